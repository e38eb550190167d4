import type {
  BatcherInput,
  BatcherStatus,
  CloseRequest,
  ControlAction,
  ControlRequest,
  EpochStatus,
} from '../protocol/batcher.js';
import { BATCHER_FORMAT } from '../protocol/batcher.js';
import type { ChunkMeta } from '../protocol/chunk.js';
import type { BatchSpec, FlushReason, InsertOutcome, Parking } from '../protocol/flush.js';
import type { ForeignSignal } from '../protocol/foreignSignal.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { BegunBatch, InheritedBatch, InheritedOutcome, Leftover } from '../protocol/leftover.js';
import { sourceName, type RecordSource } from '../protocol/record.js';
import type { RowRequest, Unconfirmed } from '../protocol/request.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { batchSpec, concatenateBodies, firstBatchSize, planBatches, type Buffered } from './batchPlanning.js';
import { newParts, restore, toCarried, toInheritance, withoutBuffer, type CarriedParts } from './carriedState.js';
import { isHolding, type HistoryView } from './continuation.js';
import type { Coverage } from './coverage.js';
import { decide, type Decision } from './decision.js';
import { flushOf } from './flushProgress.js';
import { encodedJsonBytes } from './jsonBytes.js';
import { encodedLimit } from './limits.js';
import type { RunIdentity } from './runIdentity.js';
import { SignalIntake } from './signalIntake.js';
import type { BatcherReport } from './sinks.js';
import { batcherReport, batcherStatus } from './statusViews.js';
import { decideBy, FOLLOWS_ALL, type Follows } from './versions.js';

/** A batch as the insert gets it. */
export interface Batch {
  readonly spec: BatchSpec;
  readonly bodies: Uint8Array;
}

/**
 * The batcher's state, put together of its parts (`carriedState.ts`), with every decision about it. No clock, no
 * randomness, no promise: the workflow passes the time in and carries the decisions out.
 *
 *     accepting ──takeBatch──► flushing ──finishFlush──► accepting      (signals are accepted in both)
 *         └──takeInherited──► flushing ──finishInherited──► accepting
 *
 * A record is in exactly one place: in the buffer (accepted, not in a batch), in the one batch that is on its way, or
 * in the history of a closed run that `leftovers` points to. What was accepted stays in the coverage, also in the next
 * runs.
 *
 * An heir knows what its closed run had accepted only when it has read it; chunks that arrive before are judged then.
 */
export class BatcherState {
  readonly #workflowId: string;
  readonly #runId: string;
  readonly #parts: CarriedParts;
  #settings: BatcherSettings;
  readonly #intake: SignalIntake;

  /** @param bodies of the chunks in the input, one after the other */
  constructor(run: RunIdentity, input: BatcherInput, bodies: Uint8Array) {
    this.#workflowId = run.workflowId;
    this.#runId = run.runId;
    this.#settings = input.settings;
    this.#parts = newParts(run);
    this.#intake = new SignalIntake(this.#parts, run.workflowId, input.heirOf ?? null);
    if (input.carried === undefined) return;
    restore(this.#parts, input.carried, bodies);
    this.#parts.progress.carriedBytes = encodedJsonBytes(input) + bodies.length;
  }

  /**
   * Takes a chunk in, or the part of it that had not been accepted before. What is dropped here needs no
   * acknowledgement: the record was accepted before, and gets its own.
   */
  accept(meta: ChunkMeta, body: Uint8Array, nowMs: number): void {
    // A member of a version that names no installation must not take the name away.
    if (meta.settings !== undefined) this.#settings = { ...onlyInstallation(this.#settings), ...meta.settings };
    this.#intake.accept(meta, body, nowMs);
  }

  /** Takes a workflow's request in. One that was answered before is answered again, as it was then. */
  submit(request: RowRequest, nowMs: number): void {
    this.#intake.submit(request, nowMs);
  }

  /** Accepts nothing of an epoch beyond an offset: the partition goes over to another layout. */
  close(request: CloseRequest): void {
    this.#intake.close(request);
  }

  /** A person pauses, flushes, drains, … */
  control(action: ControlAction, request: ControlRequest, nowMs: number): void {
    this.#intake.control(action, request, nowMs);
  }

  /** A signal that no part of this product sends. */
  countForeignSignal(): void {
    this.#intake.countForeignSignal();
  }

  /** An heir takes over what its closed run has left, and then what has arrived until then. */
  inherit(inheritance: Inheritance): void {
    this.#intake.inherit(inheritance);
  }

  /** Tries confirmations again later. */
  postponeConfirmations(unconfirmed: readonly Unconfirmed[], nowMs: number): void {
    this.#parts.confirmations.add(unconfirmed, nowMs);
  }

  /** Takes out the confirmations that are due. Postpone again what is not delivered then. */
  takeConfirmations(nowMs: number): readonly Unconfirmed[] {
    this.#parts.progress.handled = true;
    return this.#parts.confirmations.takeDue(nowMs);
  }

  /** Null while an heir does not know yet. */
  epochStatus(source: RecordSource): EpochStatus | null {
    if (this.#intake.heirOf !== null) return null;
    const { buffer, flushes, leftovers, coverage } = this.#parts;
    const name = sourceName(source);
    const unflushed = leftovers.batches > 0 || flushes.current?.sources.has(name) === true || buffer.holds(name);
    return { ...coverage.ofEpoch(source), flushed: !unflushed };
  }

  /** Keeps such a signal until it is on the dead-letter topic. */
  keepForeignSignal(name: string, args: readonly unknown[], nowMs: number): void {
    this.#parts.foreignSignals.add(name, args, nowMs);
  }

  /** Signals of strangers to be published, oldest first. */
  get foreignSignals(): readonly ForeignSignal[] {
    return this.#parts.foreignSignals.waiting;
  }

  /** So many of {@link foreignSignals} are on the dead-letter topic. */
  foreignSignalsPublished(count: number): void {
    this.#parts.progress.handled = true;
    this.#parts.foreignSignals.published(count);
  }

  /** That a person gives the batch on its way up; null normally. */
  get parking(): Parking | null {
    return this.#parts.flushes.current?.parking ?? null;
  }

  /**
   * Pure: the same state, time and history give the same answer. While a batch is on its way the answer is `wait`.
   *
   * @param follows asked only if an earlier version decided otherwise, see `versions.ts`
   */
  decide(nowMs: number, history: HistoryView, follows: Follows = FOLLOWS_ALL): Decision {
    const { heirOf } = this.#intake;
    if (heirOf !== null && this.#parts.flushes.current === null) return { type: 'readInheritance', runId: heirOf };
    return decide(this.#parts, this.#settings, nowMs, history, follows);
  }

  /** See `continuation.ts`. */
  get holding(): boolean {
    return isHolding(this.#parts.progress);
  }

  /** Moves the oldest chunks, as many as one batch may have and at least one, from the buffer into a batch. */
  takeBatch(reason: FlushReason, nowMs: number, follows: Follows = FOLLOWS_ALL): Batch {
    const { buffer, counters } = this.#parts;
    const { pipeline, batch, destination } = this.#settings;
    const { payloadBytesMax, ...before } = batch;
    const size = firstBatchSize(buffer.chunks, batch);
    const sizeBefore = payloadBytesMax === undefined ? size : firstBatchSize(buffer.chunks, before);
    const taken = this.takeChunks(decideBy(follows, 'payloadLimit', size, sizeBefore), reason, nowMs);
    const batcher = { pipeline, batcher: this.#workflowId, destination };
    const spec = batchSpec(taken, { ...batcher, number: counters.batches, reason, runs: buffer.runs });
    return { spec, bodies: concatenateBodies(taken) };
  }

  /** Moves this many of the oldest chunks into a batch. For a closed run, whose history says how many they were. */
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
    // A chunk of which a part had been accepted before was counted whole. Only the flush knows how many records are
    // new.
    if (finished.reason !== 'inherited') counters.records += records - finished.records;
    counters.inserted += inserted;
    counters.rejected += rejected;
    counters.skipped += skipped;
    progress.handled = true;
    requests.answered(outcome.requests ?? []);
    this.postponeConfirmations(outcome.unconfirmed ?? [], nowMs);
  }

  /** Begins the next batch that a closed run has left. */
  takeInherited(nowMs: number): InheritedBatch {
    const { counters, flushes, leftovers } = this.#parts;
    flushes.mustBeIdle();
    const next = leftovers.beginNext(this.#settings.destination);
    const flush = flushOf([], ++counters.batches, 'inherited', nowMs);
    flushes.begin({ ...flush, parking: next.parking ?? null });
    return { pipeline: this.#settings.pipeline, batcher: this.#workflowId, number: flush.number, ...next };
  }

  /** What is known of the inherited batch that is on its way. An heir of this run needs it. */
  beginInherited(begun: BegunBatch): void {
    this.#parts.leftovers.begin(begun);
  }

  /** The inherited batch is done. */
  finishInherited(outcome: InheritedOutcome, nowMs: number): void {
    this.finishFlush(outcome, outcome.id, nowMs);
    this.#parts.leftovers.advance();
    this.#parts.progress.records += outcome.inserted + outcome.rejected + outcome.skipped;
  }

  /** A step of the flush ended in an error and will be tried again. */
  flushFailed(message: string): void {
    this.#parts.flushes.lastError = message;
  }

  /**
   * Input and bodies of the next run. A buffer too large to be carried stays in this run's history, from which the next
   * one takes it as an heir does. `forgotten`: partitions whose coverage the next run does not get, for want of room.
   */
  carryOver(nowMs: number): { readonly input: BatcherInput; readonly bodies: Uint8Array; readonly forgotten: number } {
    const { buffer, counters, coverage, flushes, requests } = this.#parts;
    flushes.mustBeIdle();
    counters.continuations++;
    requests.expire(nowMs);
    const carriesBuffer = buffer.encodedBytes <= encodedLimit('carriedBytes', this.#settings.batch);
    const left = carriesBuffer ? null : this.leave(planBatches(buffer.chunks, this.#settings.batch), null);
    const bodies = concatenateBodies(carriesBuffer ? buffer.chunks : []);
    const parts = carriesBuffer ? this.#parts : withoutBuffer(this.#parts, left);
    const carried = toCarried(parts, this.#settings, bodies.length);
    const input = { format: BATCHER_FORMAT, settings: this.#settings, carried } as const;
    return { input, bodies, forgotten: coverage.partitions - carried.coverage.length };
  }

  /** What this run leaves in its history. */
  leave(batches: readonly number[], begun: BegunBatch | null): Leftover {
    return { runId: this.#runId, chunksDone: 0, batches, begun };
  }

  /** All there is to know of the state for an heir, which takes the records from this run's history. */
  handOn(left: Leftover | null): Inheritance {
    return toInheritance(toCarried(withoutBuffer(this.#parts, left), this.#settings, 0));
  }

  /** Accepted and not in a batch, oldest first. */
  get buffered(): readonly Buffered[] {
    return this.#parts.buffer.chunks;
  }

  status(history: HistoryView): BatcherStatus {
    return batcherStatus(this.#parts, this.#settings, this.#intake.heirOf !== null, history);
  }

  report(): BatcherReport {
    return batcherReport(this.#parts);
  }

  /** Null while an heir does not know yet. */
  get coverage(): Coverage | null {
    return this.#intake.heirOf === null ? this.#parts.coverage : null;
  }

  get settings(): BatcherSettings {
    return this.#settings;
  }
}

function onlyInstallation({ installation }: BatcherSettings): Pick<BatcherSettings, 'installation'> {
  return installation === undefined ? {} : { installation };
}
