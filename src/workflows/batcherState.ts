import type {
  BatcherInput,
  BatcherStatus,
  CarriedState,
  CloseRequest,
  ControlAction,
  ControlRequest,
  EpochStatus,
} from '../protocol/batcher.js';
import { BATCHER_FORMAT, type EncryptedParts } from '../protocol/batcher.js';
import type { ChunkMeta } from '../protocol/chunk.js';
import { joinBodies } from '../protocol/chunkBodies.js';
import { carriedPurpose, intend, purposeOf, PURPOSES } from '../protocol/encryption.js';
import type { BatchSpec, FlushReason, InsertOutcome, Parking } from '../protocol/flush.js';
import type { ForeignSignal } from '../protocol/foreignSignal.js';
import { RUN_BEFORE, type Inheritance } from '../protocol/inheritance.js';
import type { BegunBatch, InheritedBatch, FlushOutcome, Leftover } from '../protocol/leftover.js';
import { sourceName, type RecordSource } from '../protocol/record.js';
import type { RowRequest, Unconfirmed } from '../protocol/request.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { batchSpec, firstBatchSize, formatOf, inheritedLimits, planBatches, type Buffered } from './batchPlanning.js';
import { newParts, type BatcherParts } from './batcherParts.js';
import { countForgotten, restore, toCarried, toInheritance, withoutBuffer } from './carriedState.js';
import { isHolding, type HistoryView } from './continuation.js';
import type { Coverage } from './coverage.js';
import { decide, type Decision } from './decision.js';
import { flushOf } from './flushProgress.js';
import { encodedJsonBytes } from './encodedJsonBytes.js';
import { encodedLimit } from './limits.js';
import { lastingRunId, type RunIdentity } from './runIdentity.js';
import { SignalIntake } from './signalIntake.js';
import type { BatcherReport } from './sinks.js';
import { batcherReport, batcherStatus } from './statusViews.js';
import { believeOnlyEncrypted, trustAll, trustEncrypted } from './trust.js';
import { decideBy, FOLLOWS_ALL, type Follows } from './versions.js';

/** A batch as the insert gets it. */
export interface TakenBatch {
  readonly spec: BatchSpec;
  readonly bodies: Uint8Array;
}

/**
 * The batcher's state: it keeps the parts (`batcherParts.ts`) together. Decisions are in `decision.ts`, `signalIntake.ts`
 * and `batchPlanning.ts`. It has no clock, no randomness and no promise: the workflow passes the time in and carries
 * the decisions out.
 *
 *     accepting ──takeBatch──► flushing ──finishFlush──► accepting      (signals are accepted in both)
 *         └──takeInherited──► flushing ──finishInherited──► accepting
 *
 * A record is in exactly one place: in the buffer (accepted, not in a batch), in the one batch that is being flushed,
 * or in the history of a closed run that `leftovers` points to. Accepted offsets stay in the coverage, also in later
 * runs.
 *
 * An heir knows what its closed run had accepted only after it has read that. Chunks that arrive before are judged
 * then.
 */
export class BatcherState {
  readonly #workflowId: string;
  readonly #runId: string;
  readonly #parts: BatcherParts;
  #settings: BatcherSettings;
  /** Whether they came encrypted. */
  #areSettingsEncrypted: boolean;
  /** Whether the run, or one before it in its chain, has asked for the {@link RUN_BEFORE}. */
  #hasAskedForRunBefore: boolean;
  readonly #isHeir: boolean;
  /** Ids of the encrypted control signals that this run has had. Each is an event, of which a run has a bounded number. */
  readonly #controlIds = new Set<string>();
  readonly #lastingRunId: string;
  readonly #intake: SignalIntake;

  /** @param bodies of the chunks in the input, one after the other */
  constructor(run: RunIdentity, input: BatcherInput, bodies: Uint8Array) {
    this.#workflowId = run.workflowId;
    this.#runId = run.runId;
    this.#lastingRunId = lastingRunId(run);
    const isOurs = isInput(run, input, bodies);
    this.#settings = isOurs ? input.settings : withoutEncryption(input.settings);
    const { heirOf = null } = input;
    // No process of ktb starts a run with the state of another one. Somebody else would have rows confirmed with it.
    const carried = run.continuedFromExecutionRunId ? input.carried : undefined;
    const encrypted: EncryptedParts = input.encrypted ?? (carried === undefined ? ALL : {});
    this.#areSettingsEncrypted = isOurs && encrypted.settings === true;
    this.#hasAskedForRunBefore = isOurs && encrypted.runBefore === true;
    this.#isHeir = heirOf !== null;
    this.#parts = newParts(run);
    this.#intake = new SignalIntake(this.#parts, run.workflowId, () => this.refusesUnencrypted, heirOf);
    if (carried !== undefined) {
      if (isOurs) restore(this.#parts, carried, bodies);
      else restore(this.#parts, withoutMarks(carried), withoutSecrets(bodies));
      if (isOurs) trustEncrypted(this.#parts, carried.chunks);
      this.#parts.progress.carriedBytes = encodedJsonBytes(input) + bodies.length;
    }
    if (isOurs && (encrypted.accepted === true || this.refusesUnencrypted)) trustAll(this.#parts);
    if (this.refusesUnencrypted) this.#askForRunBefore();
  }

  /**
   * Accepts a chunk, or the part of it that is new. The dropped part needs no acknowledgement: its records were
   * accepted before, and get theirs.
   *
   * @param encrypted whether it came encrypted, for this batcher
   */
  accept(meta: ChunkMeta, body: Uint8Array, nowMs: number, encrypted = false): void {
    const { encryption } = this.#settings;
    if (meta.settings !== undefined) this.#takeSettings(meta.settings, nowMs, encrypted);
    if (encrypted && meta.requiredAtMs !== undefined) this.#require(meta.requiredAtMs, nowMs);
    if (encryption !== 'required' && this.refusesUnencrypted) this.#believeOnlyEncrypted();
    this.#intake.accept(meta, body, nowMs, encrypted);
  }

  /** Settings that are much older than those of this run come from a signal that somebody sends again. */
  #takeSettings(settings: BatcherSettings, nowMs: number, encrypted: boolean): void {
    const { sealedAtMs = 0 } = settings;
    if (encrypted && this.#isLate(sealedAtMs, nowMs)) return;
    const latestMs = this.#latestMs(encrypted ? sealedAtMs : 0, nowMs);
    this.#areSettingsEncrypted = encrypted;
    this.#settings = {
      // A member of a version without installations must not remove the name.
      ...onlyInstallation(this.#settings),
      ...(encrypted ? settings : withoutEncryption(settings)),
      ...(latestMs > 0 ? { sealedAtMs: latestMs } : {}),
    };
  }

  /** The sender of an encrypted chunk requires encryption. Its settings may follow later. */
  #require(sealedAtMs: number, nowMs: number): void {
    if (this.refusesUnencrypted || this.#isLate(sealedAtMs, nowMs)) return;
    this.#settings = {
      ...this.#settings,
      encryption: 'required',
      sealedAtMs: this.#latestMs(sealedAtMs, nowMs),
    };
  }

  /** Whether it was encrypted long before the latest settings. */
  #isLate(sealedAtMs: number, nowMs: number): boolean {
    return sealedAtMs < this.#latestMs(0, nowMs) - SETTINGS_LATE_MS;
  }

  /** When the latest settings were encrypted. A sender's clock may be fast. */
  #latestMs(sealedAtMs: number, nowMs: number): number {
    return Math.max(Math.min(this.#settings.sealedAtMs ?? 0, nowMs), Math.min(sealedAtMs, nowMs));
  }

  #believeOnlyEncrypted(): void {
    believeOnlyEncrypted(this.#parts, `${this.#lastingRunId}+encrypted`);
    this.#askForRunBefore();
  }

  /**
   * Whoever may start and terminate workflows may have started this run in place of an heir, also with what a process of
   * ktb has once encrypted for a first run. So a run that requires encryption, and is no heir, finds out whether there was
   * another one before.
   */
  #askForRunBefore(): void {
    if (this.knowsRunBefore) return;
    this.#hasAskedForRunBefore = true;
    this.#intake.waitFor(RUN_BEFORE);
  }

  /**
   * Accepts a workflow's request. If it was answered before, it gets the same answer again. One that would not fit into
   * a batch is answered as too large.
   */
  submit(request: RowRequest, nowMs: number, follows: Follows = FOLLOWS_ALL, encrypted = false): void {
    const bytesMax = encodedLimit('batchEncodedBytes', this.#settings.batch);
    const fits = (bytes: number): boolean => decideBy(follows, 'requestLimit', bytes <= bytesMax, true);
    this.#intake.submit(request, nowMs, fits, encrypted);
  }

  /** From now on accepts nothing of an epoch after an offset, because the partition goes over to another layout. */
  close(request: CloseRequest, encrypted = false): void {
    this.#intake.close(request, encrypted);
  }

  /** A person pauses, flushes, drains, … */
  control(action: ControlAction, request: ControlRequest, nowMs: number, encrypted = false): void {
    this.#intake.control(action, request, nowMs, encrypted);
  }

  /** The closed run that it has still to read. Null if there is none. */
  get unreadRun(): string | null {
    return this.#intake.unreadRun;
  }

  /**
   * Whether signals that are not encrypted for this batcher are refused. The last settings that came encrypted say so. It
   * is no matter of the worker's configuration: a replay has to decide as the run did.
   */
  get refusesUnencrypted(): boolean {
    return this.#settings.encryption === 'required';
  }

  /** Whether an encrypted control signal is for this run, and comes for the first time. */
  isNewControl(id: string, { run }: ControlRequest): boolean {
    if (run !== this.#lastingRunId || this.#controlIds.has(id)) return false;
    this.#controlIds.add(id);
    return true;
  }

  /** Whether it is an heir, or it or a run before it in its chain has asked for the {@link RUN_BEFORE}. */
  get knowsRunBefore(): boolean {
    return this.#isHeir || this.#hasAskedForRunBefore;
  }

  /** Counts a signal of somebody who does not have the key. It is also a foreign one. */
  countRefusedSignal(): void {
    this.#intake.countRefusedSignal();
  }

  /** Counts a signal that no part of this product sends. */
  countForeignSignal(): void {
    this.#intake.countForeignSignal();
  }

  /** See `BatchSpec.sealed`. */
  get sealed(): { readonly sealed?: true } {
    return this.#areSettingsEncrypted ? { sealed: true } : {};
  }

  /**
   * Takes over what the closed run has left. Then handles what has arrived meanwhile.
   *
   * If somebody without the key has started this run, nobody but them has said yet where the records go. Then they go where
   * the closed run would have sent them.
   */
  inherit(inheritance: Inheritance): void {
    const { settings, estates } = inheritance;
    if (settings !== undefined && !this.#areSettingsEncrypted && (this.refusesUnencrypted || estates.length > 0)) {
      const isRequired = this.refusesUnencrypted;
      this.#settings = settings;
      this.#areSettingsEncrypted = true;
      if (!isRequired) this.#believeOnlyEncrypted();
    }
    this.#intake.inherit(inheritance);
  }

  /** Tries confirmations again later. */
  postponeConfirmations(unconfirmed: readonly Unconfirmed[], nowMs: number): void {
    this.#parts.confirmations.add(unconfirmed, nowMs);
  }

  /** Takes out the confirmations that are due. Those that are not delivered have to be postponed again. */
  takeConfirmations(nowMs: number): readonly Unconfirmed[] {
    this.#parts.progress.handled = true;
    return this.#parts.confirmations.takeDue(nowMs);
  }

  /** Null in an heir that has not read its inheritance yet. */
  epochStatus(source: RecordSource): EpochStatus | null {
    if (this.#intake.isWaitingForInheritance) return null;
    const { buffer, flushes, leftovers, coverage } = this.#parts;
    const name = sourceName(source);
    const unflushed = leftovers.batches > 0 || flushes.current?.sources.has(name) === true || buffer.holds(name);
    return { ...coverage.ofEpoch(source), flushed: !unflushed };
  }

  /** Keeps such a signal until it is on the dead-letter topic. */
  keepForeignSignal(name: string, args: readonly unknown[], nowMs: number): void {
    this.#parts.foreignSignals.add(name, args, nowMs);
  }

  /** Foreign signals that have to be published, oldest first. */
  get foreignSignals(): readonly ForeignSignal[] {
    if (this.#lacksSettings) return [];
    return this.#parts.foreignSignals.waiting;
  }

  /** The first `count` of {@link foreignSignals} are on the dead-letter topic. */
  foreignSignalsPublished(count: number): void {
    this.#parts.progress.handled = true;
    this.#parts.foreignSignals.published(count);
  }

  /** Set if a person gives the batch that is being flushed up. Normally null. */
  get parking(): Parking | null {
    return this.#parts.flushes.current?.parking ?? null;
  }

  /**
   * What to do next. The same state, time and history give the same answer. While a batch is being flushed the answer
   * is `wait`.
   *
   * @param follows asked only if an earlier version decided otherwise, see `versions.ts`
   */
  decide(nowMs: number, history: HistoryView, follows: Follows = FOLLOWS_ALL): Decision {
    const decision = decide(this.#parts, this.#intake.unreadRun, this.#settings, nowMs, history, follows);
    const isFlush = decision.type === 'flush' || decision.type === 'flushInherited';
    return isFlush && this.#lacksSettings ? { type: 'wait' } : decision;
  }

  /** Encryption is required, and only somebody else has said yet where records go. */
  get #lacksSettings(): boolean {
    return this.refusesUnencrypted && !this.#areSettingsEncrypted;
  }

  /** See `continuation.ts`. */
  get holding(): boolean {
    return isHolding(this.#parts.progress);
  }

  /**
   * Moves the oldest chunks from the buffer into a batch: as many as a batch may have, and at least one.
   *
   * @param historyBytes of the run
   */
  takeBatch(reason: FlushReason, nowMs: number, historyBytes = 0, follows: Follows = FOLLOWS_ALL): TakenBatch {
    const { buffer, counters } = this.#parts;
    const { pipeline, batch, destination } = this.#settings;
    const { payloadBytesMax, ...before } = batch;
    const size = firstBatchSize(buffer.chunks, batch);
    const sizeBefore = payloadBytesMax === undefined ? size : firstBatchSize(buffer.chunks, before);
    const { runs } = buffer;
    const taken = this.takeChunks(decideBy(follows, 'payloadLimit', size, sizeBefore), reason, nowMs);
    const batcher = { pipeline, batcher: this.#workflowId, destination, ...this.sealed };
    const format = formatOf(taken, batch, historyBytes);
    const spec = batchSpec(taken, { ...batcher, format, number: counters.batches, reason, runs });
    return { spec, bodies: joinBodies(taken) };
  }

  /**
   * Moves this many of the oldest chunks into a batch. Used for a closed run, whose history says how many they were.
   */
  takeChunks(count: number, reason: FlushReason, nowMs: number): readonly Buffered[] {
    const { buffer, counters, flushes } = this.#parts;
    flushes.mustBeIdle();
    const taken = buffer.take(count);
    flushes.begin(flushOf(taken, ++counters.batches, reason, nowMs));
    return taken;
  }

  /** The batch is done: every record of it is inserted, rejected or skipped. */
  finishFlush(outcome: InsertOutcome, id: string, nowMs: number): void {
    const { counters, flushes, progress, requests } = this.#parts;
    const { inserted, rejected, skipped } = outcome;
    const records = inserted + rejected + skipped;
    const finished = flushes.finish(id, records, nowMs);
    // A chunk that repeats some records was counted whole. Only the flush knows how many of its records are new.
    if (finished.reason !== 'inherited') counters.records += records - finished.records;
    counters.inserted += inserted;
    counters.rejected += rejected;
    counters.skipped += skipped;
    progress.handled = true;
    requests.noteVerdicts(outcome.requests ?? []);
    this.postponeConfirmations(outcome.unconfirmed ?? [], nowMs);
  }

  /** Begins the next batch that a closed run has left. */
  takeInherited(nowMs: number): InheritedBatch {
    const { counters, flushes, leftovers } = this.#parts;
    flushes.mustBeIdle();
    const next = leftovers.takeNext(this.#settings.destination, this.#areSettingsEncrypted);
    const flush = flushOf([], ++counters.batches, 'inherited', nowMs);
    flushes.begin({ ...flush, parking: next.parking ?? null });
    return { pipeline: this.#settings.pipeline, batcher: this.#workflowId, number: flush.number, ...next };
  }

  /** Notes what is known about the inherited batch that is being flushed. An heir of this run needs it. */
  noteInherited(begun: BegunBatch): void {
    this.#parts.leftovers.noteBegun(begun);
  }

  /** The inherited batch is done. */
  finishInherited(outcome: FlushOutcome, nowMs: number): void {
    this.finishFlush(outcome, outcome.id, nowMs);
    this.#parts.leftovers.advance();
    this.#parts.progress.records += outcome.inserted + outcome.rejected + outcome.skipped;
  }

  /** A step of the flush ended in an error and will be tried again. */
  flushFailed(message: string): void {
    this.#parts.flushes.lastError = message;
  }

  /**
   * Input and bodies of the next run. A buffer that is too large to be carried stays in this run's history, and the
   * next run takes it from there, like an heir. `forgotten`: see {@link countForgotten}.
   */
  carryOver(nowMs: number): { readonly input: BatcherInput; readonly bodies: Uint8Array; readonly forgotten: number } {
    const { buffer, counters, flushes, requests } = this.#parts;
    flushes.mustBeIdle();
    counters.continuations++;
    requests.expire(nowMs);
    const carriesBuffer = buffer.encodedBytes <= encodedLimit('carriedBytes', this.#settings.batch);
    const left = carriesBuffer
      ? null
      : this.leave(planBatches(buffer.chunks, inheritedLimits(this.#settings.batch)), null);
    const bodies = joinBodies(carriesBuffer ? buffer.chunks : []);
    const parts = carriesBuffer ? this.#parts : withoutBuffer(this.#parts, left);
    const carried = toCarried(parts, this.#settings, bodies.length);
    const encrypted = this.#encryptedParts;
    const input: BatcherInput = {
      format: BATCHER_FORMAT,
      settings: this.#settings,
      carried,
      ...(Object.keys(encrypted).length > 0 ? { encrypted } : {}),
    };
    intend(input, carriedPurpose(0, this.#runId));
    intend(bodies, carriedPurpose(1, this.#runId));
    return { input, bodies, forgotten: countForgotten(this.#parts, carried) };
  }

  get #encryptedParts(): EncryptedParts {
    return {
      ...(this.#areSettingsEncrypted ? { settings: true } : {}),
      ...(this.#parts.encryptedCoverage === null ? { accepted: true } : {}),
      ...(this.#hasAskedForRunBefore ? { runBefore: true } : {}),
    };
  }

  /** The plan for what this run leaves in its history. */
  leave(batches: readonly number[], begun: BegunBatch | null): Leftover {
    return { runId: this.#runId, chunksDone: 0, batches, begun };
  }

  /** Everything that an heir needs. The heir takes the records from this run's history. */
  handOn(left: Leftover | null): Inheritance {
    const inheritance = toInheritance(toCarried(withoutBuffer(this.#parts, left), this.#settings, 0));
    const forgotten = countForgotten(this.#parts, inheritance);
    const { settings } = this;
    return {
      ...inheritance,
      ...(forgotten > 0 ? { forgotten } : {}),
      ...(this.#parts.encryptedCoverage === null ? { trusted: true } : {}),
      ...(this.#areSettingsEncrypted && settings.encryption === 'required' ? { settings } : {}),
    };
  }

  /** Chunks that are accepted but not in a batch, oldest first. */
  get buffered(): readonly Buffered[] {
    return this.#parts.buffer.chunks;
  }

  status(history: HistoryView): BatcherStatus {
    return batcherStatus(this.#parts, this.#settings, this.#intake.isWaitingForInheritance, history);
  }

  report(): BatcherReport {
    return batcherReport(this.#parts);
  }

  /** Null in an heir that has not read its inheritance yet. */
  get coverage(): Coverage | null {
    return this.#intake.isWaitingForInheritance ? null : this.#parts.coverage;
  }

  get settings(): BatcherSettings {
    return this.#settings;
  }
}

/** An input that somebody with the key has encrypted, without anything of a run before. */
const ALL: EncryptedParts = { settings: true, accepted: true };

/** How much older the settings of one sender may be than those of another one: their clocks differ. */
const SETTINGS_LATE_MS = 5 * 60_000;

/** Whether somebody with the key has started this run, or the run before it has. */
function isInput({ continuedFromExecutionRunId }: RunIdentity, input: BatcherInput, bodies: Uint8Array): boolean {
  if (continuedFromExecutionRunId)
    return [input, bodies].every((arg, index) => purposeOf(arg) === carriedPurpose(index, continuedFromExecutionRunId));
  return purposeOf(input) === PURPOSES.input && purposeOf(bodies) === PURPOSES.input;
}

/** Settings of somebody who may not have the key. */
function withoutEncryption({ encryption: _, sealedAtMs: _at, ...settings }: BatcherSettings): BatcherSettings {
  return settings;
}

/** State of somebody who may not have the key. */
function withoutMarks(carried: CarriedState): CarriedState {
  return { ...carried, chunks: carried.chunks.map(({ encrypted: _, ...chunk }) => chunk) };
}

/**
 * Bodies that came encrypted for something else are copied from a history by somebody who cannot read them. When their
 * batch is given up, they would be dead letters. Zeros of the same length cannot be unpacked, so the batch waits for a person.
 */
function withoutSecrets(bodies: Uint8Array): Uint8Array {
  return purposeOf(bodies) === null ? bodies : new Uint8Array(bodies.length);
}

function onlyInstallation({ installation }: BatcherSettings): Pick<BatcherSettings, 'installation'> {
  return installation === undefined ? {} : { installation };
}
