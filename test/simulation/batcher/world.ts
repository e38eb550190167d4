import { RunHistories } from '../../../src/temporal/runHistories.js';
import { BATCHER_FORMAT, type BatcherInput, type ControlAction, BATCHER } from '../../../src/protocol/batcher.js';
import { sealEnvelope, type BatchSpec } from '../../../src/protocol/flush.js';
import {
  CONFIRMATION_FORMAT,
  isRequestSource,
  REQUEST_FORMAT,
  requestSource,
  type BufferedRequest,
  type Confirmation,
  type RowRequest,
  type Unconfirmed,
} from '../../../src/protocol/request.js';
import type { BufferedChunk } from '../../../src/protocol/chunk.js';
import type { BatcherSettings, BatchLimits, Destination } from '../../../src/protocol/settings.js';
import { tableOf } from '../../../src/protocol/tables.js';
import { batchId, inheritedLimits } from '../../../src/workflows/batchPlanning.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import { IDLE_CONTINUATIONS_MAX, type HistoryView } from '../../../src/workflows/continuation.js';
import { Coverage } from '../../../src/workflows/coverage.js';
import { settings } from '../../support/chunks.js';
import { Histories } from './histories.js';
import { BatcherRun, type Activity } from './run.js';
import { Tables, type Extent, type LateInsert } from './tables.js';
import { decodeChunk, Sender, Topic, type Chunk, type Identity } from './topic.js';

/** What becomes of a signal. `delayed`: it arrives later, or never; like `lost` for the sender. */
export type SignalFate = 'accepted' | 'unknown' | 'lost' | 'delayed';

/**
 * What becomes of an attempt of an activity. `lost` and its kin: nobody hears of its end, and Temporal begins another;
 * `late`: its insert is on its way and arrives later. `failed`: the activity ends in a failure, half done.
 */
export type AttemptFate = 'answers' | 'lost' | 'late' | 'half' | 'unheard' | 'failed';

/** One thing that happens. Numbers choose among what is there. */
export type Event =
  | {
      readonly type: 'send';
      readonly sender: number;
      readonly lengths: number[];
      readonly padding: number;
      readonly fate: SignalFate;
    }
  /** A workflow asks for a row. The same one may ask for it again. */
  | { readonly type: 'submit'; readonly requester: string; readonly id: number; readonly fate: SignalFate }
  | { readonly type: 'deliver'; readonly index: number }
  | {
      readonly type: 'assign';
      readonly sender: number;
      readonly partitions: number[];
      readonly behind: number;
      readonly configuration: number;
    }
  | { readonly type: 'rewind'; readonly partition: number; readonly back: number }
  | { readonly type: 'control'; readonly action: ControlAction; readonly times: number }
  | { readonly type: 'attempt'; readonly fate: AttemptFate }
  | { readonly type: 'lateInsert'; readonly index: number }
  | { readonly type: 'alter' }
  | { readonly type: 'advance'; readonly ms: number }
  | { readonly type: 'suggestContinueAsNew'; readonly runs: number }
  /** The history of the run comes near Temporal's limits. */
  | { readonly type: 'outgrow' }
  | { readonly type: 'terminate' }
  /** @property behind how many runs have been closed since the sender has looked: it names the one that it saw. */
  | { readonly type: 'startHeir'; readonly behind: number };

/** An event, and whether the worker gets round to a workflow task after it. */
export interface Step {
  readonly event: Event;
  readonly task: boolean;
}

export const SENDERS = 4;
const WORKFLOW_ID = 'ktb:orders:8-key:0';
const QUIET: HistoryView = { continueAsNewSuggested: false, length: 0, bytes: 0 };
const NO_BODIES = new Uint8Array(0);
/** More than any case needs to come to rest. */
const ROUNDS_MAX = 10_000;

/** Pipelines as they may be configured, one after the other. */
export const CONFIGURATIONS: readonly BatcherSettings[] = [
  configuration('a', { maxRecords: 12, maxDelayMs: 500 }),
  configuration('a', { maxRecords: 4, maxDelayMs: 0 }),
  configuration('b', { maxBytes: 150, maxDelayMs: 2_000 }),
  configuration('b', {}),
];

function configuration(table: string, limits: Partial<BatcherSettings['batch']>): BatcherSettings {
  const defaults = settings(limits);
  return { ...defaults, destination: { ...defaults.destination, table } };
}

/** Situations that a run of the test has to have met, or it has not tried what it says. */
export const SITUATIONS = [
  'terminated with readInheritance under way',
  'terminated with insertBatch under way',
  'terminated with insertInherited under way',
  'terminated with rejectRecords under way',
  'terminated with confirmRequests under way',
  'an heir of an heir that had not read',
  'an heir of a drained run',
  'an heir that names another run than the one before it',
  'a verdict taken from a closed history',
  'a buffer carried over',
  'inherited batches carried over',
  'a buffer too large to be carried over',
  'a buffer left behind by a history at its limit',
  'a batch as large as its encoded size may be',
  'a chunk that is new in part',
  'a request that was pending already',
  'a request that was answered already',
  'as many ranges as are kept',
  'as many epochs as are kept',
  'a late insert of what is there',
  'continued as new in vain, too often',
  'a batch given up',
  'an inherited batch given up',
] as const;
export type Situation = (typeof SITUATIONS)[number];

/**
 * A batcher with everything around it: senders and the network, the runs and their histories, workers whose attempts get
 * lost, tables. Small models of all but the batcher's own code, which is the real one: its state, and the reading of
 * histories.
 *
 * Every rule is checked as soon as it can be broken; the method that breaks it throws.
 */
export class World {
  readonly #histories = new Histories();
  readonly #reader = new RunHistories(this.#histories.client(), 'default');
  readonly #tables = new Tables();
  readonly #accepted = new Set<Identity>();
  /** Names of requests, and the identity that each has once it is in a batch. */
  readonly #requested = new Map<string, Identity | null>();
  /** Names of requests whose requesters were told, and what. */
  readonly #confirmed = new Map<string, Confirmation['status']>();
  readonly #topic = new Topic(this.#accepted);
  readonly #senders = Array.from({ length: SENDERS }, () => new Sender());
  readonly #controls: ControlAction[] = [];
  readonly #recordsOfBatch = new Map<string, string>();
  #inTheNetwork: Chunk[] = [];
  #lateInserts: LateInsert[] = [];
  #run: BatcherRun | null = null;
  #ending: 'open' | 'terminated' | 'drained' = 'open';
  #runs = 0;
  /** Runs that senders may have seen closed, oldest first. */
  readonly #closed: string[] = [];
  #configuration = CONFIGURATIONS[0]!;
  #nowMs = 1_000_000;
  /** Runs to come, this one first, to which the server suggests to continue as new. */
  #suggestions = 0;
  /** The history of the present run has come near Temporal's limits. */
  #outgrown = false;
  readonly #met: (situation: Situation) => void;

  constructor(met: (situation: Situation) => void) {
    this.#met = met;
  }

  async apply({ event, task }: Step): Promise<void> {
    await this.#happen(event);
    if (task) this.#task();
  }

  async #happen(event: Event): Promise<void> {
    switch (event.type) {
      case 'send':
        this.#send(this.#senders[event.sender]!, event);
        break;
      case 'submit':
        this.#submit(event);
        break;
      case 'deliver':
        for (const chunk of takeOne(this.#inTheNetwork, event.index)) if (this.#knows(chunk)) this.#signal(chunk);
        break;
      case 'assign':
        this.#configuration = CONFIGURATIONS[event.configuration]!;
        this.#senders[event.sender]!.assign(this.#topic, event.partitions, event.behind, this.#configuration);
        break;
      case 'rewind':
        this.#topic.rewind(event.partition, event.back);
        break;
      case 'control':
        for (let time = 0; time < event.times; time++) this.#control(event.action);
        break;
      case 'attempt':
        await this.#attempt(event.fate);
        break;
      case 'lateInsert':
        for (const late of takeOne(this.#lateInserts, event.index)) {
          if (late.rows.every((row) => this.#tables.rows.has(row))) this.#met('a late insert of what is there');
          this.#tables.arrive(late);
        }
        break;
      case 'alter':
        // Minutes after: an insert that was on its way has arrived or never will.
        this.#lateInserts = [];
        this.#tables.alter();
        break;
      case 'advance':
        this.#nowMs += event.ms;
        break;
      case 'suggestContinueAsNew':
        this.#suggestions = event.runs;
        break;
      case 'outgrow':
        this.#outgrown = this.#run !== null && this.#ending === 'open';
        break;
      case 'terminate':
        this.#terminate();
        break;
      case 'startHeir':
        if (this.#ending === 'terminated') this.#startHeir(event.behind);
        break;
    }
  }

  /** Everything that is still under way comes to its end. Then each accepted record has a row or was rejected. */
  async settle(): Promise<void> {
    for (const late of this.#lateInserts.splice(0)) this.#tables.arrive(late);
    if (this.#ending === 'terminated') this.#startHeir();
    this.#control('resume');
    for (let round = 0; round < ROUNDS_MAX; round++) {
      this.#nowMs += 10_000;
      this.#task();
      if (this.#run === null || this.#ending !== 'open' || isIdle(this.#run)) break;
      await this.#attempt('answers');
    }
    const { rows, rejected } = this.#tables;
    for (const record of this.#accepted) {
      if (!rows.has(record) && !rejected.has(record)) throw new Error(`${record} was accepted and is lost`);
    }
    for (const [name, identity] of this.#requested) {
      if (identity === null) throw new Error(`request ${name} was accepted and is lost`);
      if (this.#confirmed.get(name) !== (rows.has(identity) ? 'inserted' : 'rejected'))
        throw new Error(`request ${name} was answered: ${this.#confirmed.get(name) ?? 'never'}`);
    }
    if (rows.size + rejected.size !== this.#accepted.size + this.#requested.size)
      throw new Error('there are rows that nobody has sent');
    if (this.#run === null) return;
    const { counters } = this.#run.state.status(QUIET);
    if (counters.inserted !== rows.size || counters.rejected !== rejected.size) {
      const counted = `${counters.inserted} inserted and ${counters.rejected} rejected`;
      throw new Error(`${counted} are counted, there are ${rows.size} and ${rejected.size}`);
    }
  }

  // Senders

  #send(sender: Sender, { lengths, padding, fate }: Extract<Event, { type: 'send' }>): void {
    const chunk = sender.next(this.#topic, lengths, padding);
    if (chunk === null) return;
    if (fate === 'delayed') this.#inTheNetwork.push(chunk);
    if (fate === 'delayed' || fate === 'lost') return;
    if (this.#signal(chunk) && fate === 'accepted') sender.knowsAccepted();
  }

  #submit({ requester, id, fate }: Extract<Event, { type: 'submit' }>): void {
    if (fate === 'lost') return;
    const value = `value of ${id}`;
    const request: RowRequest = { format: REQUEST_FORMAT, requester, id: String(id), value };
    if (this.#run === null || this.#ending !== 'open') return;
    this.#run.signal(BATCHER.signals.submit, [request], this.#nowMs);
  }

  /** A request has been taken for one. */
  #request(request: RowRequest): void {
    const name = requestName(request);
    if (this.#confirmed.has(name)) this.#met('a request that was answered already');
    else if (this.#requested.has(name)) this.#met('a request that was pending already');
    if (!this.#requested.has(name)) this.#requested.set(name, null);
  }

  #knows({ meta }: Chunk): boolean {
    return meta.segments.every(({ partition, epoch }) => this.#topic.isAlive(partition, Number(epoch.slice(1))));
  }

  /** Signal-with-start, as senders do it. False: not accepted, because the run had ended; an heir takes over. */
  #signal({ meta, body }: Chunk): boolean {
    if (this.#run === null) this.#start({ format: BATCHER_FORMAT, settings: this.#configuration }, NO_BODIES);
    if (this.#ending !== 'open') {
      this.#startHeir();
      return false;
    }
    this.#run?.signal(BATCHER.signals.records, [meta, body], this.#nowMs);
    for (const record of decodeChunk(meta.segments, body)) this.#accepted.add(record);
    return true;
  }

  #control(action: ControlAction): void {
    if (this.#run === null || this.#ending !== 'open') return;
    const batch = action === 'park' ? { batch: this.#run.state.status(QUIET).flushing?.number ?? 0 } : {};
    this.#run.signal(action, [{ actor: 'test', reason: '', ...batch }], this.#nowMs);
    this.#controls.push(action);
  }

  // Runs

  #start(input: BatcherInput, bodies: Uint8Array): void {
    const run = { workflowId: WORKFLOW_ID, runId: `run-${++this.#runs}` };
    this.#run = new BatcherRun(run, this.#histories, input, bodies, this.#nowMs, (request) => {
      this.#request(request);
    });
    this.#ending = 'open';
    this.#outgrown = false;
  }

  /** Where continuing is suggested, the history is as large as a server may find it, whatever the run has done. */
  get #view(): HistoryView {
    const continueAsNewSuggested = this.#suggestions > 0;
    const bytes = this.#outgrown ? 45_000_000 : continueAsNewSuggested ? 4_000_000 : 1_000;
    return { continueAsNewSuggested, length: 10, bytes };
  }

  #terminate(): void {
    if (this.#run === null || this.#ending !== 'open') return;
    this.#ending = 'terminated';
    this.#close('TERMINATED');
    const { activity } = this.#run;
    if (activity !== null) this.#met(`terminated with ${activity.type} under way`);
  }

  #close(status: 'TERMINATED' | 'COMPLETED'): void {
    this.#histories.ended(this.#run!.runId, status);
    this.#closed.push(this.#run!.runId);
  }

  #startHeir(behind = 0): void {
    const named = this.#closed.at(-1 - behind) ?? this.#run!.runId;
    if (named !== this.#run!.runId) this.#met('an heir that names another run than the one before it');
    if (this.#ending === 'drained') this.#met('an heir of a drained run');
    for (const request of this.#run!.unhandledRequests) this.#request(request);
    if (this.#run!.state.status(QUIET).inheritedBatches === null) this.#met('an heir of an heir that had not read');
    const input: BatcherInput = { format: BATCHER_FORMAT, settings: this.#configuration };
    this.#start({ ...input, heirOf: named }, NO_BODIES);
  }

  #task(): void {
    for (let continuations = 0; this.#run !== null && this.#ending === 'open'; continuations++) {
      const end = this.#run.task(this.#nowMs, this.#view);
      this.#checkState(this.#run);
      if (end === null) return;
      if (end.type === 'completed') {
        this.#ending = 'drained';
        this.#close('COMPLETED');
        return;
      }
      const { carried } = end.input;
      if (carried!.estates.some(({ runId }) => runId === this.#run!.runId))
        this.#met('a buffer left behind by a history at its limit');
      if (end.bodies.length > LIMITS.carriedBytes) throw new Error(`${end.bodies.length} bytes are carried along`);
      if (continuations > IDLE_CONTINUATIONS_MAX + 1) throw new Error('it continues as new for ever');
      if (end.bodies.length > 0) this.#met('a buffer carried over');
      if (carried!.estates.length > 0) this.#met('inherited batches carried over');
      this.#suggestions--;
      this.#histories.ended(this.#run.runId, 'CONTINUED_AS_NEW');
      this.#start(end.input, end.bodies);
    }
  }

  #checkState({ state }: BatcherRun): void {
    if (state.holding) this.#met('continued as new in vain, too often');
    for (const { epochs } of state.coverage?.toState() ?? []) {
      if (epochs.length === Coverage.EPOCHS_MAX) this.#met('as many epochs as are kept');
      if (epochs.some(({ ranges }) => ranges.length === Coverage.RANGES_MAX)) this.#met('as many ranges as are kept');
      if (epochs.length > Coverage.EPOCHS_MAX) throw new Error(`${epochs.length} epochs of a partition are kept`);
      for (const { ranges } of epochs)
        if (ranges.length > Coverage.RANGES_MAX) throw new Error(`${ranges.length} ranges of an epoch are kept`);
    }
    const status = state.status(QUIET);
    // An heir that has not read yet knows only what was said to itself.
    if (status.inheritedBatches === null) return;
    const controls = status.controls.map(({ action }) => action).join();
    if (controls !== this.#controls.slice(-LIMITS.controls).join()) throw new Error(`it remembers ${controls}`);
    const lastWord = this.#controls.findLast((action) => action === 'pause' || action === 'resume');
    if (status.paused !== (lastWord === 'pause')) throw new Error(`it was told to ${lastWord} and does not`);
    if (state.buffered.length === 0 && (status.bufferedRecords !== 0 || status.bufferedBytes !== 0))
      throw new Error('an empty buffer weighs something');
  }

  // Activities

  async #attempt(fate: AttemptFate): Promise<void> {
    const run = this.#run;
    const activity = run?.activity;
    if (!run || !activity || this.#ending !== 'open') return;
    const result = await this.#carryOut(run, activity, fate);
    if (fate === 'answers') run.complete(activity, result, this.#nowMs);
    else if (fate === 'failed') run.fail(activity);
    else activity.attempt++;
  }

  async #carryOut(run: BatcherRun, activity: Activity, fate: AttemptFate): Promise<unknown> {
    switch (activity.type) {
      case 'readInheritance':
        return this.#reader.inheritanceOf(activity.args[0], run.runId, activity.args[1]);
      case 'insertBatch': {
        const [spec, bodies] = activity.args;
        if (spec.reason === 'continueAsNew') this.#met('a buffer too large to be carried over');
        if (spec.chunks.some(({ keep }) => keep.some((ranges) => ranges !== null && ranges.length > 0)))
          this.#met('a chunk that is new in part');
        this.#checkSize(spec.chunks, JSON.stringify(spec).length + bodies.length);
        await this.#checkHistory(run, spec, bodies);
        let at = 0;
        const records = spec.chunks.flatMap((chunk) =>
          this.#decode(chunk, bodies.subarray(at, (at += chunk.bodyBytes))),
        );
        const repeated = activity.attempt > 1 || (await this.#reader.anyWasReset(spec.batcher, spec.runs));
        if (spec.parking !== undefined) {
          this.#met('a batch given up');
          return this.#giveUp(spec.id, spec.destination, records);
        }
        return this.#insert(spec.id, spec.destination, records, repeated, fate);
      }
      case 'insertInherited': {
        const [{ batcher, runId, chunksDone, chunks, answer, destination, parking }] = activity.args;
        if (answer !== null) this.#met('a verdict taken from a closed history');
        if (answer !== null) return this.#reader.result(batcher, answer);
        const leftover = await this.#reader.leftover(batcher, runId, chunksDone, chunks);
        const bytes = leftover.reduce((sum, { body }) => sum + body.length, 0);
        this.#checkSize(
          leftover.map(({ chunk }) => chunk),
          bytes,
          inheritedLimits(settings().batch),
        );
        const records = leftover.flatMap(({ chunk, body }) => this.#decode(chunk, body));
        if (parking !== undefined) {
          this.#met('an inherited batch given up');
          return this.#giveUp(batchId(batcher, leftover), destination, records);
        }
        return this.#insert(batchId(batcher, leftover), destination, records, true, fate);
      }
      case 'rejectRecords': {
        const [, rejected] = activity.args;
        const identities = JSON.parse(Buffer.from(rejected).toString()) as string[];
        if (fate !== 'lost' && fate !== 'late') this.#tables.reject(identities);
        return this.#confirm(identities, 'rejected', fate);
      }
      case 'confirmRequests': {
        const [, unconfirmed] = activity.args;
        for (const { requester, confirmation } of unconfirmed)
          this.#tell(requestName({ requester, id: confirmation.id }), confirmation.status);
        return [];
      }
    }
  }

  /** A worker that has not kept a batch which is stored once has to find the same bytes in the history. */
  async #checkHistory({ runId }: BatcherRun, spec: BatchSpec, bodies: Uint8Array): Promise<void> {
    const { batcher, id, chunks } = spec;
    if (chunks.some(({ segments }) => segments.some(isRequestSource))) return;
    const found = await this.#reader.flushing(batcher, runId, spec);
    if (!Buffer.from(found).equals(bodies)) throw new Error(`batch ${id} has other bytes in the history`);
  }

  #insert(
    id: string,
    destination: Destination,
    records: readonly Identity[],
    repeated: boolean,
    fate: AttemptFate,
  ): Uint8Array | null {
    this.#checkId(id, records);
    const table = tableOf(destination, 't');
    if (fate === 'lost') return null;
    if (fate === 'late') {
      const late = this.#tables.late(table, records);
      if (late !== null) this.#lateInserts.push(late);
      return null;
    }
    const torn = (fate === 'half' || fate === 'failed') && this.#lateInserts.length === 0;
    const extent: Extent = torn ? 'half' : 'all';
    const { inserted, rejected } = this.#tables.insert(table, records, repeated, extent);
    return this.#answer(id, inserted, rejected, fate);
  }

  #giveUp(id: string, destination: Destination, records: readonly Identity[]): Uint8Array {
    this.#checkId(id, records);
    // It waits until no insert of the batch is running any more.
    for (const late of this.#lateInserts.splice(0)) this.#tables.arrive(late);
    const { inserted, rejected } = this.#tables.giveUp(tableOf(destination, 't'), records);
    return this.#answer(id, inserted, rejected, 'answers');
  }

  #answer(id: string, inserted: readonly Identity[], rejected: readonly Identity[], fate: AttemptFate): Uint8Array {
    const requests = [
      ...inserted.filter(isRequest).map((identity) => [offsetOf(identity), 'inserted']),
      ...rejected.filter(isRequest).map((identity) => [offsetOf(identity), 'refused_by_clickhouse']),
    ];
    const unconfirmed = this.#confirm(inserted, 'inserted', fate);
    const outcome = { id, inserted: inserted.length, rejected: rejected.length, skipped: 0, requests, unconfirmed };
    return sealEnvelope(outcome, Buffer.from(JSON.stringify(rejected)));
  }

  #decode({ segments, keep }: BufferedChunk, body: Uint8Array): Identity[] {
    const [first] = segments;
    if (first === undefined || !isRequestSource(first)) return decodeChunk(segments, body, keep);
    const { requester, id, value } = JSON.parse(Buffer.from(body).toString()) as BufferedRequest;
    if (value !== `value of ${id}`) throw new Error(`request ${id} has become ${value}`);
    const name = requestName({ requester, id });
    const identity = `${first.topic}/${first.epoch}/${first.to}`;
    const known = this.#requested.get(name);
    if (known === undefined) throw new Error(`request ${name} was never made`);
    if (known !== null && known !== identity) throw new Error(`request ${name} is ${known} and ${identity}`);
    for (const [other, its] of this.#requested)
      if (its === identity && other !== name) throw new Error(`${identity} is request ${name} and ${other}`);
    this.#requested.set(name, identity);
    return [identity];
  }

  /** Every third requester cannot be told at once. */
  #confirm(identities: readonly Identity[], status: Confirmation['status'], fate: AttemptFate): Unconfirmed[] {
    // An attempt that ends before its insert is whole tells nobody.
    if (fate !== 'answers' && fate !== 'unheard') return [];
    const unconfirmed: Unconfirmed[] = [];
    for (const identity of identities.filter(isRequest)) {
      const [name] = [...this.#requested].find(([, its]) => its === identity)!;
      const [requester, id] = JSON.parse(name) as [string, string];
      const offset = offsetOf(identity);
      if (offset % 3 !== 0) this.#tell(name, status);
      else {
        const place = { ...requestSource(WORKFLOW_ID, 'any'), offset, batch: 'any' };
        const confirmation: Confirmation = { format: CONFIRMATION_FORMAT, id, status, ...place };
        unconfirmed.push({ requester, confirmation, attempts: 1 });
      }
    }
    return unconfirmed;
  }

  #tell(name: string, status: Confirmation['status']): void {
    const before = this.#confirmed.get(name);
    if (before !== undefined && before !== status) throw new Error(`request ${name} was ${before} and is ${status}`);
    this.#confirmed.set(name, status);
  }

  #checkId(id: string, records: readonly Identity[]): void {
    const known = this.#recordsOfBatch.get(id);
    if (known !== undefined && known !== records.join()) throw new Error(`two batches have the id ${id}`);
    this.#recordsOfBatch.set(id, records.join());
  }

  /** By the largest limits that were ever configured. */
  #checkSize(
    chunks: readonly { readonly records: number; readonly bytes: number }[],
    encodedBytes: number,
    limits: BatchLimits = settings().batch,
  ): void {
    if (chunks.length === 0) throw new Error('a batch of nothing');
    if (encodedBytes > LIMITS.batchEncodedBytes - 250_000) this.#met('a batch as large as its encoded size may be');
    if (chunks.length === 1) return;
    const records = chunks.reduce((sum, chunk) => sum + chunk.records, 0);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    if (records > limits.maxRecords || bytes > limits.maxBytes || encodedBytes > LIMITS.batchEncodedBytes + 1_000)
      throw new Error(`a batch of ${records} records, ${bytes} bytes, ${encodedBytes} encoded`);
  }
}

function isIdle({ state, activity }: BatcherRun): boolean {
  const { inheritedBatches, unconfirmed } = state.status(QUIET);
  return activity === null && state.report().records === 0 && inheritedBatches === 0 && unconfirmed === 0;
}

function requestName({ requester, id }: Pick<RowRequest, 'requester' | 'id'>): string {
  return JSON.stringify([requester, id]);
}

function isRequest(identity: Identity): boolean {
  return identity.startsWith(WORKFLOW_ID);
}

function offsetOf(identity: Identity): number {
  return Number(identity.slice(identity.lastIndexOf('/') + 1));
}

function takeOne<T>(list: T[], index: number): T[] {
  return list.length === 0 ? [] : list.splice(index % list.length, 1);
}
