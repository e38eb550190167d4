import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type {
  AcceptedChunk,
  BatcherCounters,
  BatcherInput,
  BatcherStatus,
  CarriedState,
  CloseRequest,
  Control,
  ControlAction,
  ControlRequest,
  EpochStatus,
  FlushSummary,
} from '../protocol/batcher.js';
import { BATCHER_FORMAT } from '../protocol/batcher.js';
import type { BufferedChunk, ChunkMeta } from '../protocol/chunk.js';
import type { BegunBatch, Leftover, InheritedBatch, InheritedOutcome } from '../protocol/leftover.js';
import type { Inheritance } from '../protocol/inheritance.js';
import {
  BATCH_FORMAT,
  UNKNOWN_RUN,
  type BatchSpec,
  type FlushReason,
  type InsertOutcome,
  type Parking,
} from '../protocol/flush.js';
import type { ForeignSignal } from '../protocol/foreignSignal.js';
import { withinPayload } from '../protocol/payloadLimit.js';
import { sourceName, type RecordSource } from '../protocol/record.js';
import {
  CONFIRMATION_FORMAT,
  encodeRequest,
  requestSource,
  type RowRequest,
  type Unconfirmed,
} from '../protocol/request.js';
import type { BatcherSettings, BatchLimits } from '../protocol/settings.js';
import { Confirmations } from './confirmations.js';
import {
  continuationDue,
  continuationWasDue,
  hasOutgrown,
  isHolding,
  type HistoryView,
  type RunFacts,
} from './continuation.js';
import { Coverage } from './coverage.js';
import { Leftovers } from './leftovers.js';
import { ForeignSignals } from './foreignSignals.js';
import { encodedJsonBytes } from './jsonBytes.js';
import { Requests } from './requests.js';
import type { BatcherReport } from './sinks.js';

/** What the batcher does next. `wait` without a delay: until a signal arrives. */
export type Decision =
  | { readonly type: 'wait'; readonly delayMs?: number }
  | { readonly type: 'flush'; readonly reason: FlushReason }
  /** Read what this closed run has left. */
  | { readonly type: 'readInheritance'; readonly runId: string }
  /** Flush the next batch that a closed run has left. */
  | { readonly type: 'flushInherited' }
  /** Try to deliver the confirmations that are due. */
  | { readonly type: 'confirm' }
  | { readonly type: 'continueAsNew' }
  | { readonly type: 'complete' };

/** Which run of which batcher. */
export interface RunIdentity {
  readonly workflowId: string;
  readonly runId: string;
  /** As the run's first event has them: a reset run has those of the run that it was reset from. */
  readonly firstExecutionRunId?: string | undefined;
  readonly continuedFromExecutionRunId?: string | undefined;
}

export interface Batch {
  readonly spec: BatchSpec;
  readonly bodies: Uint8Array;
}

/** Limits of a batcher that no configuration changes: each keeps a payload or a history below a limit of Temporal's. */
export const LIMITS = {
  /**
   * Encoded bytes of one batch (bodies and metadata), because an activity's input over 2 MiB
   * (`limit.blobSize.error`) would terminate the run, and what is rejected comes back in a result of up to this size.
   */
  batchEncodedBytes: 1_400_000,
  /** Encoded bytes that continue-as-new may carry over; a larger buffer is flushed first. */
  carriedBytes: 512 * 1024,
  /**
   * Encoded bytes of all that a run gets: the input of the next one, or what an heir reads, has to fit into a payload
   * (2 MiB, `limit.blobSize.error`). What has to be left out for want of room is chosen by {@link BatcherState.carryOver}.
   */
  inputBytes: 1_900_000,
  /** Of these, at most, for what is remembered of requests, and for confirmations: coverage gets what they leave. */
  inputRequestsBytes: 400_000,
  inputConfirmationsBytes: 200_000,
  /** Control signals kept for the record. */
  controls: 20,
  /** Runs that a buffer remembers it has been in: more than one only where a paused batcher continues as new. */
  bufferRuns: 50,
} as const;

/** Those that keep one payload within what Temporal takes. */
type EncodedLimit =
  'batchEncodedBytes' | 'carriedBytes' | 'inputBytes' | 'inputRequestsBytes' | 'inputConfirmationsBytes';

/** Rules that version 0.1.0 did not have: whether they hold for a run. */
export interface PresentRules {
  /** When it continues as new. */
  readonly continuation: () => boolean;
  /** That payloads are smaller where the settings say so. */
  readonly payloadLimit: () => boolean;
}

const PRESENT_RULES: PresentRules = { continuation: () => true, payloadLimit: () => true };

/**
 * The batcher's state and every decision about it. No clock, no randomness, no promise: the workflow passes the time in
 * and carries the decisions out.
 *
 *     accepting ──takeBatch──► flushing ──finishFlush──► accepting      (signals are accepted in both)
 *         └──takeInherited──► flushing ──finishInherited──► accepting
 *
 * Records are in exactly one of: `buffer` (accepted, not in a batch), `flushing` (in the one batch that is on its way),
 * the histories of closed runs that `leftovers` points to. What was accepted stays in `coverage`, also in
 * the next runs.
 *
 * An heir knows what its closed run had accepted only when it has read it; chunks that arrive before are kept in
 * `unjudged`.
 */
export class BatcherState {
  readonly #workflowId: string;
  /** The runs that what is buffered has been in, this one last. */
  readonly #runs: readonly string[];
  readonly #carriedBytes: number;
  readonly #idleContinuationsBefore: number;
  #coverage: Coverage;
  #controls: readonly Control[];
  /** The closed run whose inheritance is still to be read; null for all but heirs, and soon for these. */
  #heirOf: string | null;
  /** What arrived before an heir knows what was accepted, in its order. */
  readonly #unjudged: (() => void)[] = [];
  #leftovers: Leftovers;
  #requests: Requests;
  #confirmations: Confirmations;
  #settings: BatcherSettings;
  #buffer: Buffered[] = [];
  #bufferedRecords = 0;
  #bufferedBytes = 0;
  #bufferedEncodedBytes = 0;
  #flushing: Flushing | null = null;
  #counters: BatcherCounters;
  #paused: boolean;
  /** In this run. `#controls` does not say: it keeps only the last ones. */
  #toldToPauseOrResume = false;
  #draining: boolean;
  readonly #foreignSignals: ForeignSignals;
  /** Chunks at the head of the buffer that a flush signal asks for. */
  #chunksToFlush: number;
  #recordsSinceStart = 0;
  #handledSinceStart = false;
  #duplicateChunksSinceStart = 0;
  #lastFlush: FlushSummary | null;
  #lastError: string | null = null;

  constructor(run: RunIdentity, input: BatcherInput, bodies: Uint8Array) {
    const { workflowId, runId } = run;
    this.#workflowId = workflowId;
    this.#runs = [...(input.carried?.bufferRuns ?? []), runId];
    this.#settings = input.settings;
    const { carried } = input;
    this.#carriedBytes = carried === undefined ? 0 : encodedJsonBytes(input) + bodies.length;
    this.#heirOf = input.heirOf ?? null;
    this.#leftovers = new Leftovers(carried?.estates);
    this.#requests = new Requests(requestEpoch(run), carried?.requests);
    this.#confirmations = new Confirmations(carried?.confirmations);
    this.#coverage = new Coverage(carried?.coverage);
    this.#foreignSignals = new ForeignSignals(carried?.foreignSignals);
    this.#counters = carried?.counters ?? NO_COUNTERS;
    this.#paused = carried?.paused ?? false;
    this.#draining = carried?.draining ?? false;
    this.#controls = [...(carried?.controls ?? [])];
    this.#chunksToFlush = carried?.chunksToFlush ?? 0;
    this.#lastFlush = carried?.lastFlush ?? null;
    this.#idleContinuationsBefore = carried?.idleContinuations ?? 0;
    let at = 0;
    for (const chunk of carried?.chunks ?? []) {
      this.#append({ chunk, body: bodies.subarray(at, at + chunk.bodyBytes) });
      at += chunk.bodyBytes;
    }
  }

  /**
   * Takes a chunk in, or the part of it that had not been accepted before. The acknowledgement of a record that comes a
   * second time is certain already, so what is dropped here needs none.
   */
  accept(meta: ChunkMeta, body: Uint8Array, nowMs: number): void {
    // A member of a version that names no installation must not take it away.
    if (meta.settings !== undefined) this.#settings = { ...onlyInstallation(this.#settings), ...meta.settings };
    this.#handledSinceStart = true;
    this.#count({ signals: 1 });
    // Without records it has only brought the settings.
    if (meta.segments.length > 0) this.#whenKnown(() => this.#judge(meta, body, nowMs));
  }

  /** Takes a workflow's request in. One that was answered before is answered again, as it was then. */
  submit(request: RowRequest, nowMs: number): void {
    this.#handledSinceStart = true;
    this.#count({ signals: 1 });
    this.#whenKnown(() => this.#judgeRequest(request, nowMs));
  }

  #whenKnown(judge: () => void): void {
    if (this.#heirOf === null) judge();
    else this.#unjudged.push(judge);
  }

  #judge({ segments, records, bytes }: ChunkMeta, body: Uint8Array, atMs: number): void {
    const keep = this.#coverage.accept(segments, atMs);
    if (keep === null) {
      this.#count({ duplicateChunks: 1 });
      this.#duplicateChunksSinceStart++;
      return;
    }
    this.#append({ chunk: { segments, keep, records, bytes, bodyBytes: body.length, acceptedAtMs: atMs }, body });
    this.#count({ records });
    this.#recordsSinceStart += records;
  }

  #judgeRequest(request: RowRequest, atMs: number): void {
    const judgement = this.#requests.accept(request, atMs);
    const source = requestSource(this.#workflowId, this.#requests.epoch);
    if (judgement.type === 'new') {
      const body = encodeRequest(request, atMs);
      const counted = { records: 1, bytes: body.length };
      const segment = { ...source, from: judgement.offset - 1, to: judgement.offset, ...counted };
      const chunk = { segments: [segment], keep: [null], ...counted, bodyBytes: body.length, acceptedAtMs: atMs };
      this.#append({ chunk, body });
      this.#count({ records: 1 });
      this.#recordsSinceStart++;
      return;
    }
    this.#count({ duplicateChunks: 1 });
    if (judgement.type === 'pending') return;
    const [offset, verdict] = judgement.verdict;
    const answered = { format: CONFIRMATION_FORMAT, id: request.id, ...source, offset, batch: null } as const;
    const confirmation =
      verdict === 'inserted' || verdict === 'skipped'
        ? ({ ...answered, status: verdict } as const)
        : ({ ...answered, status: 'rejected', code: verdict, message: REJECTED_BEFORE } as const);
    this.postponeConfirmations([{ requester: request.requester, confirmation, attempts: 0 }], atMs);
  }

  /** These could not be delivered yet. */
  postponeConfirmations(unconfirmed: readonly Unconfirmed[], nowMs: number): void {
    this.#confirmations.add(unconfirmed, nowMs);
  }

  /** Takes out the confirmations that are due. What is not delivered then is to be postponed again. */
  takeConfirmations(nowMs: number): readonly Unconfirmed[] {
    this.#handledSinceStart = true;
    return this.#confirmations.takeDue(nowMs);
  }

  /** An heir takes over what its closed run has left, and then what has arrived meanwhile. */
  inherit(inheritance: Inheritance): void {
    const { coverage, counters, paused, controls, lastFlush, estates, requests, confirmations } = inheritance;
    if (this.#heirOf === null) throw new Error('there is nothing to inherit');
    this.#heirOf = null;
    this.#handledSinceStart = true;
    this.#coverage = new Coverage(coverage);
    this.#count(counters);
    // A person may have sent the heir a pause or a resume already; theirs is the later word.
    if (!this.#toldToPauseOrResume) this.#paused = paused;
    this.#controls = [...controls, ...this.#controls].slice(-LIMITS.controls);
    this.#lastFlush = lastFlush;
    this.#leftovers = new Leftovers(estates);
    this.#requests = new Requests(this.#requests.epoch, requests);
    this.#confirmations = new Confirmations(confirmations);
    for (const judge of this.#unjudged.splice(0)) judge();
  }

  /** Accepts nothing of an epoch beyond an offset: the partition goes over to another layout. */
  close({ offset, ...source }: CloseRequest): void {
    this.#handledSinceStart = true;
    this.#whenKnown(() => this.#coverage.close(source, offset));
  }

  /** Null while an heir does not know yet. */
  epochStatus(source: RecordSource): EpochStatus | null {
    if (this.#heirOf !== null) return null;
    const name = sourceName(source);
    const unflushed =
      this.#leftovers.batches > 0 ||
      this.#flushing?.sources.has(name) === true ||
      this.#buffer.some(({ chunk }) => chunk.segments.some((segment) => sourceName(segment) === name));
    return { ...this.#coverage.ofEpoch(source), flushed: !unflushed };
  }

  /** A signal that no part of this product sends. */
  countForeignSignal(): void {
    this.#handledSinceStart = true;
    this.#count({ foreignSignals: 1 });
  }

  /** Keeps such a signal until it is on the dead-letter topic. */
  keepForeignSignal(name: string, args: readonly unknown[], nowMs: number): void {
    this.#foreignSignals.add(name, args, nowMs);
  }

  /** Signals of strangers to be published, oldest first. */
  get foreignSignals(): readonly ForeignSignal[] {
    return this.#foreignSignals.waiting;
  }

  /** So many of {@link foreignSignals} are on the dead-letter topic. */
  foreignSignalsPublished(count: number): void {
    this.#handledSinceStart = true;
    this.#foreignSignals.published(count);
  }

  control(action: ControlAction, { actor, reason, batch }: ControlRequest, nowMs: number): void {
    this.#handledSinceStart = true;
    this.#controls = [...this.#controls, { action, actor, reason, atMs: nowMs }].slice(-LIMITS.controls);
    switch (action) {
      case 'pause':
      case 'resume':
        this.#paused = action === 'pause';
        this.#toldToPauseOrResume = true;
        break;
      case 'flush':
        this.#chunksToFlush = this.#buffer.length;
        break;
      case 'drain':
        this.#draining = true;
        break;
      case 'park':
        this.#park(batch, reason);
        break;
    }
  }

  /** Where another batch is on its way, the one that is meant is done with: there is nothing to give up. */
  #park(number: number | undefined, reason: string): void {
    if (this.#flushing === null || this.#flushing.number !== number || this.#flushing.parking !== null) return;
    const parking: Parking = { reason };
    this.#flushing = { ...this.#flushing, parking };
    if (this.#flushing.reason === 'inherited') this.#leftovers.park(parking);
  }

  /** That a person gives the batch on its way up; null normally. */
  get parking(): Parking | null {
    return this.#flushing?.parking ?? null;
  }

  /**
   * Pure: the same state, time and history give the same answer. While a batch is on its way the answer is `wait`.
   *
   * @param rules which rules of this version hold for this run. Asked only where 0.1.0 decided otherwise, so that histories in
   *   which it makes no difference have no mark of it, and workers of both versions can go on with them
   */
  decide(nowMs: number, history: HistoryView, rules: PresentRules = PRESENT_RULES): Decision {
    if (this.#flushing) return { type: 'wait' };
    if (this.#heirOf !== null) return { type: 'readInheritance', runId: this.#heirOf };
    if (this.#confirmations.dueAtMs <= nowMs) return { type: 'confirm' };
    if (this.#isDrained) return { type: 'complete' };
    const due = this.#continueAsNewDue(history, rules);
    if (due && this.#byLimit('carriedBytes', rules, (bytesMax) => this.#bufferedEncodedBytes <= bytesMax))
      return { type: 'continueAsNew' };
    if (hasOutgrown(history, this.#paused) && rules.continuation()) return { type: 'continueAsNew' };
    if (this.#paused) return this.#waitUntil(Infinity, nowMs);
    if (this.#leftovers.batches > 0) return { type: 'flushInherited' };
    const oldest = this.#buffer[0];
    if (oldest === undefined) return this.#waitUntil(Infinity, nowMs);
    const reason = this.#flushReason(oldest.chunk.acceptedAtMs, nowMs, due, rules);
    if (reason !== null) return { type: 'flush', reason };
    return this.#waitUntil(oldest.chunk.acceptedAtMs + this.#settings.batch.maxDelayMs, nowMs);
  }

  #limit(name: EncodedLimit): number {
    return withinPayload(LIMITS[name], this.#settings.batch.payloadBytesMax);
  }

  /** What a limit of payloads decides, which 0.1.0 took for the one under Temporal's default. */
  #byLimit(name: EncodedLimit, { payloadLimit }: PresentRules, decides: (bytesMax: number) => boolean): boolean {
    const does = decides(this.#limit(name));
    const did = decides(LIMITS[name]);
    return does === did || payloadLimit() ? does : did;
  }

  get #canCarryBuffer(): boolean {
    return this.#bufferedEncodedBytes <= this.#limit('carriedBytes');
  }

  /** Or until a confirmation is due, if that is earlier. */
  #waitUntil(atMs: number, nowMs: number): Decision {
    const earliestMs = Math.min(atMs, this.#confirmations.dueAtMs);
    return earliestMs === Infinity ? { type: 'wait' } : { type: 'wait', delayMs: earliestMs - nowMs };
  }

  get #isDrained(): boolean {
    const holdsRecords = this.#buffer.length > 0 || this.#leftovers.batches > 0;
    return this.#draining && !holdsRecords && this.foreignSignals.length === 0 && this.#confirmations.size === 0;
  }

  #flushReason(
    oldestAcceptedAtMs: number,
    nowMs: number,
    continueAsNewDue: boolean,
    rules: PresentRules,
  ): FlushReason | null {
    const { maxRecords, maxBytes, maxDelayMs } = this.#settings.batch;
    if (this.#draining) return 'drain';
    if (this.#chunksToFlush > 0) return 'signal';
    if (this.#bufferedRecords >= maxRecords) return 'records';
    const isFull = (bytesMax: number): boolean => this.#bufferedEncodedBytes >= bytesMax;
    if (this.#bufferedBytes >= maxBytes || this.#byLimit('batchEncodedBytes', rules, isFull)) return 'bytes';
    if (nowMs - oldestAcceptedAtMs >= maxDelayMs) return 'delay';
    return continueAsNewDue ? 'continueAsNew' : null;
  }

  #continueAsNewDue(history: HistoryView, rules: PresentRules): boolean {
    const due = continuationDue(this.#facts, history);
    const before = { ...this.#facts, handled: this.#recordsSinceStart > 0 };
    const wasDue = continuationWasDue(before, history);
    return due === wasDue || rules.continuation() ? due : wasDue;
  }

  get #facts(): RunFacts {
    return {
      marks: this.#settings.continueAsNewAt,
      carriedBytes: this.#carriedBytes,
      handled: this.#handledSinceStart,
      idleContinuations: this.#idleContinuationsBefore,
    };
  }

  /** See `continuation.ts`. */
  get holding(): boolean {
    return isHolding(this.#facts);
  }

  /** Moves the oldest chunks, as many as one batch may have and at least one, from the buffer into a batch. */
  takeBatch(reason: FlushReason, nowMs: number, rules: PresentRules = PRESENT_RULES): Batch {
    const { payloadBytesMax, ...asBefore } = this.#settings.batch;
    // Only the first: a buffer may have thousands of chunks.
    const [size = 0] = batchSizes(this.#buffer, this.#settings.batch);
    const [sizeBefore = 0] = payloadBytesMax === undefined ? [size] : batchSizes(this.#buffer, asBefore);
    const chunks = size === sizeBefore || rules.payloadLimit() ? size : sizeBefore;
    const taken = this.takeChunks(chunks, reason, nowMs);
    const bodies = concatenate(taken.map(({ body }) => body));
    const spec: BatchSpec = {
      format: BATCH_FORMAT,
      pipeline: this.#settings.pipeline,
      batcher: this.#workflowId,
      number: this.#counters.batches,
      id: batchId(this.#workflowId, taken),
      reason,
      runs: this.#runs,
      destination: this.#settings.destination,
      chunks: taken.map(({ chunk: { segments, keep, records, bytes, bodyBytes } }) => {
        return { segments, keep, records, bytes, bodyBytes };
      }),
    };
    return { spec, bodies };
  }

  /** Moves this many of the oldest chunks into a batch. For a closed run, whose history says how many they were. */
  takeChunks(count: number, reason: FlushReason, nowMs: number): readonly Buffered[] {
    const taken = this.#buffer.slice(0, count);
    if (taken.length < Math.max(1, count)) throw new Error(`a batch of ${count} chunks, of ${this.#buffer.length}`);
    this.#begin({
      reason,
      records: sum(taken, 'records'),
      bytes: sum(taken, 'bytes'),
      startedAtMs: nowMs,
      oldestAcceptedAtMs: taken[0]?.chunk.acceptedAtMs ?? nowMs,
      sources: sourcesOf(taken),
      parking: null,
    });
    this.#buffer.splice(0, count);
    for (const buffered of taken) this.#weigh(buffered, -1);
    this.#chunksToFlush = Math.max(0, this.#chunksToFlush - count);
    return taken;
  }

  /** The batch is done with: every record of it inserted, rejected or skipped. */
  finishFlush(outcome: InsertOutcome, id: string, nowMs: number): void {
    if (this.#flushing === null) throw new Error('no batch is being flushed');
    const { number, reason, startedAtMs } = this.#flushing;
    const { inserted, rejected, skipped } = outcome;
    const records = inserted + rejected + skipped;
    // A chunk of which a part had been accepted before was counted whole: how many records the part has, the flush finds out.
    if (reason !== 'inherited') this.#count({ records: records - this.#flushing.records });
    this.#lastFlush = { number, id, reason, records, startedAtMs, finishedAtMs: nowMs };
    this.#lastError = null;
    this.#flushing = null;
    this.#handledSinceStart = true;
    this.#count({ inserted, rejected, skipped });
    this.#requests.answered(outcome.requests ?? []);
    this.postponeConfirmations(outcome.unconfirmed ?? [], nowMs);
  }

  /** Begins the next batch that a closed run has left. */
  takeInherited(nowMs: number): InheritedBatch {
    const next = this.#leftovers.next();
    if (next === null) throw new Error('no closed run has left anything');
    const { runId, chunksDone, chunks, begun } = next;
    const parking = begun?.parking ?? null;
    this.#begin({
      reason: 'inherited',
      records: 0,
      bytes: 0,
      startedAtMs: nowMs,
      oldestAcceptedAtMs: nowMs,
      sources: new Set(),
      parking,
    });
    const destination = begun?.destination ?? this.#settings.destination;
    const parked = parking === null ? {} : { parking };
    this.beginInherited({ destination, answer: begun?.answer ?? null, ...parked });
    return {
      pipeline: this.#settings.pipeline,
      batcher: this.#workflowId,
      number: this.#counters.batches,
      runId,
      chunksDone,
      chunks,
      destination,
      answer: begun?.answer ?? null,
      ...parked,
    };
  }

  /** What is known of the inherited batch on its way: kept for an heir of this run. */
  beginInherited(begun: BegunBatch): void {
    this.#leftovers.begin(begun);
  }

  finishInherited(outcome: InheritedOutcome, nowMs: number): void {
    this.finishFlush(outcome, outcome.id, nowMs);
    this.#leftovers.advance();
    this.#recordsSinceStart += outcome.inserted + outcome.rejected + outcome.skipped;
  }

  #begin(flushing: Omit<Flushing, 'number'>): void {
    if (this.#flushing !== null) throw new Error('a batch is being flushed already');
    this.#count({ batches: 1 });
    this.#flushing = { ...flushing, number: this.#counters.batches };
  }

  /** A step of the flush ended in an error and will be tried again. */
  flushFailed(message: string): void {
    this.#lastError = message;
  }

  /**
   * Input and bodies of the next run. A buffer too large to be carried stays behind in this run's history, from which the
   * next one takes it as an heir does. `forgotten`: partitions whose coverage the next run does not get, for want of room.
   */
  carryOver(nowMs: number): { readonly input: BatcherInput; readonly bodies: Uint8Array; readonly forgotten: number } {
    if (this.#flushing !== null) throw new Error('a batch is being flushed');
    this.#count({ continuations: 1 });
    this.#requests.expire(nowMs);
    const buffer = this.#canCarryBuffer ? this.#buffer : [];
    const left = this.#canCarryBuffer ? null : this.leave(planBatches(this.#buffer, this.#settings.batch), null);
    const bodies = concatenate(buffer.map(({ body }) => body));
    const carried = this.#carry(buffer, left, bodies.length);
    return {
      input: { format: BATCHER_FORMAT, settings: this.#settings, carried },
      bodies,
      forgotten: this.#coverage.partitions - carried.coverage.length,
    };
  }

  /** What this run leaves in its history. */
  leave(batches: readonly number[], begun: BegunBatch | null): Leftover {
    return { runId: this.#runs.at(-1) ?? UNKNOWN_RUN, chunksDone: 0, batches, begun };
  }

  /** All there is to know of the state for an heir, which takes the records from this run's history. */
  handOn(left: Leftover | null): Inheritance {
    const { coverage, counters, paused, controls, lastFlush, estates, requests, confirmations } = this.#carry(
      [],
      left,
      0,
    );
    return {
      coverage,
      counters,
      paused,
      controls,
      lastFlush,
      estates,
      ...(requests === undefined ? {} : { requests }),
      ...(confirmations === undefined ? {} : { confirmations }),
    };
  }

  /**
   * Within {@link LIMITS.inputBytes}. What no record may be lost for comes first: the buffer, leftovers, what people have said.
   * Then what keeps records from coming twice, which forgets the oldest for want of room: names of requests, and the
   * coverage, which gets what the confirmations leave. Signals of strangers get the rest; they are counted in any case.
   */
  #carry(buffer: readonly Buffered[], left: Leftover | null, bodiesBytes: number): CarriedState {
    const kept = {
      chunks: buffer.map(({ chunk }) => chunk),
      counters: this.#counters,
      paused: this.#paused,
      draining: this.#draining,
      chunksToFlush: Math.min(this.#chunksToFlush, buffer.length),
      controls: this.#controls,
      lastFlush: this.#lastFlush,
      idleContinuations: this.#handledSinceStart ? 0 : this.#idleContinuationsBefore + 1,
      estates: [...this.#leftovers.toState(), ...(left === null ? [] : [left])],
      bufferRuns: this.#bufferRuns(buffer),
    };
    let room = this.#limit('inputBytes') - bodiesBytes - encodedJsonBytes({ ...kept, settings: this.#settings });
    const within = <State>(bytesMax: number, stateWithin: (bytesMax: number) => State): State => {
      const state = stateWithin(Math.max(0, Math.min(bytesMax, room - FIELD_BYTES)));
      room -= FIELD_BYTES + (state === undefined ? 0 : encodedJsonBytes(state));
      return state;
    };
    const requests = within(this.#limit('inputRequestsBytes'), (bytes) => this.#requests.toState(bytes));
    const confirmations = within(this.#limit('inputConfirmationsBytes'), (bytes) => this.#confirmations.toState(bytes));
    const coverage = within(Infinity, (bytes) => this.#coverage.toState(bytes));
    const foreignSignals = within(Infinity, (bytes) => this.#foreignSignals.toState(bytes));
    return {
      ...kept,
      coverage,
      ...(foreignSignals.length === 0 ? {} : { foreignSignals }),
      ...(requests === undefined ? {} : { requests }),
      ...(confirmations.length === 0 ? {} : { confirmations }),
    };
  }

  #bufferRuns(buffer: readonly Buffered[]): readonly string[] {
    if (buffer.length === 0) return [];
    return this.#runs.length > LIMITS.bufferRuns ? [UNKNOWN_RUN] : this.#runs;
  }

  /** Accepted and not in a batch, oldest first. */
  get buffered(): readonly Buffered[] {
    return this.#buffer;
  }

  status({ continueAsNewSuggested, length, bytes }: HistoryView): BatcherStatus {
    return {
      pipeline: this.#settings.pipeline,
      bufferedRecords: this.#bufferedRecords,
      bufferedBytes: this.#bufferedBytes,
      oldestAcceptedAtMs: this.#buffer[0]?.chunk.acceptedAtMs ?? null,
      flushing: this.#flushing && {
        number: this.#flushing.number,
        reason: this.#flushing.reason,
        records: this.#flushing.records,
        bytes: this.#flushing.bytes,
        startedAtMs: this.#flushing.startedAtMs,
        parked: this.#flushing.parking !== null,
      },
      inheritedBatches: this.#heirOf === null ? this.#leftovers.batches : null,
      lastFlush: this.#lastFlush,
      lastError: this.#lastError,
      paused: this.#paused,
      draining: this.#draining,
      holding: this.holding,
      counters: this.#counters,
      coverageRanges: this.#coverage.size,
      rememberedRequests: this.#requests.size,
      unconfirmed: this.#confirmations.size,
      controls: this.#controls,
      continueAsNewSuggested,
      historyLength: length,
      historyBytes: bytes,
    };
  }

  /** For the metrics. `duplicateChunks`: since this run began. */
  report(): BatcherReport {
    return {
      records: this.#bufferedRecords + (this.#flushing?.records ?? 0),
      oldestAcceptedAtMs: this.#flushing?.oldestAcceptedAtMs ?? this.#buffer[0]?.chunk.acceptedAtMs ?? null,
      paused: this.#paused,
      inheritedBatches: this.#leftovers.batches,
      coverageRanges: this.#coverage.size,
      duplicateChunks: this.#duplicateChunksSinceStart,
    };
  }

  /** Null while an heir does not know yet. */
  get coverage(): Coverage | null {
    return this.#heirOf === null ? this.#coverage : null;
  }

  get settings(): BatcherSettings {
    return this.#settings;
  }

  #append(buffered: Buffered): void {
    this.#buffer.push(buffered);
    this.#weigh(buffered, 1);
  }

  #weigh(buffered: Buffered, sign: 1 | -1): void {
    this.#bufferedRecords += sign * buffered.chunk.records;
    this.#bufferedBytes += sign * buffered.chunk.bytes;
    this.#bufferedEncodedBytes += sign * encodedBytesOf(buffered);
  }

  #count(increments: Partial<BatcherCounters>): void {
    const counters: Record<keyof BatcherCounters, number> = { ...this.#counters };
    for (const [name, increment] of Object.entries(increments)) counters[name as keyof BatcherCounters] += increment;
    this.#counters = counters;
  }
}

/** A chunk in the buffer. */
export interface Buffered {
  readonly chunk: AcceptedChunk;
  readonly body: Uint8Array;
}

interface Flushing {
  readonly number: number;
  readonly reason: FlushReason;
  readonly records: number;
  readonly bytes: number;
  readonly startedAtMs: number;
  /** Of an inherited batch, which is read from elsewhere: when it began. */
  readonly oldestAcceptedAtMs: number;
  readonly sources: ReadonlySet<string>;
  readonly parking: Parking | null;
}

export const NO_COUNTERS: BatcherCounters = {
  signals: 0,
  records: 0,
  batches: 0,
  inserted: 0,
  rejected: 0,
  skipped: 0,
  duplicateChunks: 0,
  foreignSignals: 0,
  continuations: 0,
};

/** Name, punctuation and an empty list of one field of the carried state, generously. */
const FIELD_BYTES = 100;

const REJECTED_BEFORE = 'a request of this id was rejected before; its first confirmation says why';

/**
 * The epoch of requests that a run begins to count. Not the run's id, which a reset changes; and not the chain's alone: a
 * run of an earlier version, which knows no requests, may have continued as new in between, and forgotten how far the
 * count was.
 */
function requestEpoch({ runId, firstExecutionRunId, continuedFromExecutionRunId }: RunIdentity): string {
  // A history says by an empty text that there is none.
  if (continuedFromExecutionRunId) return `${continuedFromExecutionRunId}+1`;
  return firstExecutionRunId ?? runId;
}

function onlyInstallation({ installation }: BatcherSettings): Pick<BatcherSettings, 'installation'> {
  return installation === undefined ? {} : { installation };
}

/** What a chunk adds to a payload: its body, and its metadata as JSON, generously. */
function encodedBytesOf({ chunk, body }: Buffered): number {
  let bytes = body.length + 100;
  for (const { topic, epoch } of chunk.segments) bytes += 200 + topic.length + epoch.length;
  for (const ranges of chunk.keep) bytes += ranges === null ? 5 : 40 * ranges.length;
  return bytes;
}

/**
 * Divides chunks into batches, in their order: how many go into each. A batch has one chunk or keeps to the limits.
 */
export function planBatches(chunks: readonly Buffered[], limits: BatchLimits): number[] {
  return [...batchSizes(chunks, limits)];
}

function* batchSizes(chunks: readonly Buffered[], limits: BatchLimits): Generator<number, void> {
  const { maxRecords, maxBytes, payloadBytesMax } = limits;
  const maxEncodedBytes = withinPayload(LIMITS.batchEncodedBytes, payloadBytesMax);
  let size = 0;
  let records = 0;
  let bytes = 0;
  let encodedBytes = 0;
  for (const buffered of chunks) {
    records += buffered.chunk.records;
    bytes += buffered.chunk.bytes;
    encodedBytes += encodedBytesOf(buffered);
    const full = records > maxRecords || bytes > maxBytes || encodedBytes > maxEncodedBytes;
    if (full && size > 0) {
      yield size;
      size = 0;
      records = buffered.chunk.records;
      bytes = buffered.chunk.bytes;
      encodedBytes = encodedBytesOf(buffered);
    }
    size++;
  }
  if (size > 0) yield size;
}

/**
 * Hash of the identities in a batch: a batcher's share of a range of offsets is always the same records.
 */
export function batchId(workflowId: string, taken: readonly { readonly chunk: BufferedChunk }[]): string {
  const ranges = taken.map(({ chunk: { segments, keep } }) =>
    segments.map(({ topic, partition, epoch, from, to }, index) => [
      topic,
      partition,
      epoch,
      keep[index] ?? [[from, to]],
    ]),
  );
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify([workflowId, ranges])))).slice(0, BATCH_ID_HEX_DIGITS);
}

function sourcesOf(taken: readonly Buffered[]): Set<string> {
  return new Set(taken.flatMap(({ chunk }) => chunk.segments.map(sourceName)));
}

function sum(buffered: readonly Buffered[], what: 'records' | 'bytes'): number {
  return buffered.reduce((total, { chunk }) => total + chunk[what], 0);
}

/** 128 bits. */
const BATCH_ID_HEX_DIGITS = 32;

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
