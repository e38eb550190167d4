import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import type {
  AcceptedChunk,
  BatcherCounters,
  BatcherInput,
  BatcherStatus,
  Control,
  ControlAction,
  ControlRequest,
  FlushSummary,
} from '../records/batcher.js';
import { BATCHER_FORMAT } from '../records/batcher.js';
import type { ChunkMeta, OffsetRange } from '../records/chunk.js';
import { BATCH_FORMAT, type BatchSpec, type FlushReason, type InsertOutcome } from '../records/flush.js';
import type { BatcherSettings } from '../records/settings.js';
import { Coverage } from './coverage.js';

/** What the batcher does next. `wait` without a delay: until a signal arrives. */
export type Decision =
  | { readonly type: 'wait'; readonly delayMs?: number }
  | { readonly type: 'flush'; readonly reason: FlushReason }
  | { readonly type: 'continueAsNew' }
  | { readonly type: 'complete' };

/** What a run knows of its own history when it decides. */
export interface HistoryView {
  readonly continueAsNewSuggested: boolean;
  readonly length: number;
  readonly bytes: number;
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
  /** Successive continuations without a record handled, after which a run stays as it is and raises an alert. */
  idleContinuations: 10,
  /** Control signals kept for the record. */
  controls: 20,
} as const;

/**
 * The batcher's state and every decision about it. No clock, no randomness, no promise: the workflow passes the time in
 * and carries the decisions out.
 *
 *     accepting ──takeBatch──► flushing ──finishFlush──► accepting      (signals are accepted in both)
 *
 * Records are in exactly one of: `buffer` (accepted, not in a batch), `flushing` (in the one batch that is on its way).
 * What was accepted stays in `coverage` for good.
 */
export class BatcherState {
  readonly #workflowId: string;
  readonly #coverage: Coverage;
  readonly #controls: Control[];
  readonly #idleContinuationsBefore: number;
  #settings: BatcherSettings;
  #buffer: Buffered[] = [];
  #bufferedRecords = 0;
  #bufferedBytes = 0;
  #bufferedEncodedBytes = 0;
  #flushing: Flushing | null = null;
  #counters: BatcherCounters;
  #paused: boolean;
  #draining: boolean;
  /** Chunks at the head of the buffer that a flush signal asks for. */
  #chunksToFlush: number;
  #recordsSinceStart = 0;
  #lastFlush: FlushSummary | null;
  #lastError: string | null = null;

  constructor(workflowId: string, input: BatcherInput, bodies: Uint8Array) {
    this.#workflowId = workflowId;
    this.#settings = input.settings;
    const { carried } = input;
    this.#coverage = new Coverage(carried?.coverage);
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
    if (meta.settings !== undefined) this.#settings = meta.settings;
    this.#count({ signals: 1 });
    const keep = meta.segments.map((segment): readonly OffsetRange[] | null => {
      const range: OffsetRange = [segment.from, segment.to];
      const uncovered = this.#coverage.uncovered(segment, range);
      this.#coverage.add(segment, range);
      return isWhole(uncovered, range) ? null : uncovered;
    });
    if (keep.every((ranges) => ranges?.length === 0)) {
      this.#count({ duplicateChunks: 1 });
      return;
    }
    const { segments, records, bytes } = meta;
    this.#append({ chunk: { segments, keep, records, bytes, bodyBytes: body.length, acceptedAtMs: nowMs }, body });
    this.#count({ records });
    this.#recordsSinceStart += records;
  }

  /** A signal that no part of this product sends. */
  countForeignSignal(): void {
    this.#count({ foreignSignals: 1 });
  }

  control(action: ControlAction, { actor, reason }: ControlRequest, nowMs: number): void {
    this.#controls.push({ action, actor, reason, atMs: nowMs });
    if (this.#controls.length > LIMITS.controls) this.#controls.shift();
    switch (action) {
      case 'pause':
        this.#paused = true;
        break;
      case 'resume':
        this.#paused = false;
        break;
      case 'flush':
        this.#chunksToFlush = this.#buffer.length;
        break;
      case 'drain':
        this.#draining = true;
        break;
    }
  }

  /** Pure: the same state, time and history give the same answer. While a batch is on its way the answer is `wait`. */
  decide(nowMs: number, history: HistoryView): Decision {
    if (this.#flushing !== null) return { type: 'wait' };
    if (this.#draining && this.#buffer.length === 0) return { type: 'complete' };
    const continueAsNewDue = this.#continueAsNewDue(history);
    if (continueAsNewDue && this.#bufferedEncodedBytes <= LIMITS.carriedBytes) return { type: 'continueAsNew' };
    const oldest = this.#buffer[0];
    if (this.#paused || oldest === undefined) return { type: 'wait' };
    const reason = this.#flushReason(oldest.chunk.acceptedAtMs, nowMs, continueAsNewDue);
    if (reason !== null) return { type: 'flush', reason };
    return { type: 'wait', delayMs: oldest.chunk.acceptedAtMs + this.#settings.batch.maxDelayMs - nowMs };
  }

  #flushReason(oldestAcceptedAtMs: number, nowMs: number, continueAsNewDue: boolean): FlushReason | null {
    const { maxRecords, maxBytes, maxDelayMs } = this.#settings.batch;
    if (this.#draining) return 'drain';
    if (this.#chunksToFlush > 0) return 'signal';
    if (this.#bufferedRecords >= maxRecords) return 'records';
    if (this.#bufferedBytes >= maxBytes || this.#bufferedEncodedBytes >= LIMITS.batchEncodedBytes) return 'bytes';
    if (nowMs - oldestAcceptedAtMs >= maxDelayMs) return 'delay';
    return continueAsNewDue ? 'continueAsNew' : null;
  }

  #continueAsNewDue({ continueAsNewSuggested, length, bytes }: HistoryView): boolean {
    if (this.holding) return false;
    const { historyBytes, historyEvents } = this.#settings.continueAsNewAt;
    return continueAsNewSuggested || length >= historyEvents || bytes >= historyBytes;
  }

  /**
   * True when run after run continued as new without handling a record: something other than traffic fills the
   * histories, and going on would be an endless loop.
   */
  get holding(): boolean {
    return this.#recordsSinceStart === 0 && this.#idleContinuationsBefore >= LIMITS.idleContinuations;
  }

  /** Moves the oldest chunks, as many as one batch may have and at least one, from the buffer into a batch. */
  takeBatch(reason: FlushReason, nowMs: number): Batch {
    if (this.#flushing !== null) throw new Error('a batch is being flushed already');
    const taken: Buffered[] = [];
    const { maxRecords, maxBytes } = this.#settings.batch;
    let records = 0;
    let bytes = 0;
    let encodedBytes = 0;
    for (const buffered of this.#buffer) {
      records += buffered.chunk.records;
      bytes += buffered.chunk.bytes;
      encodedBytes += encodedBytesOf(buffered);
      const full = records > maxRecords || bytes > maxBytes || encodedBytes > LIMITS.batchEncodedBytes;
      if (full && taken.length > 0) break;
      taken.push(buffered);
    }
    if (taken.length === 0) throw new Error('there is nothing to flush');
    this.#buffer.splice(0, taken.length);
    for (const buffered of taken) this.#weigh(buffered, -1);
    this.#chunksToFlush = Math.max(0, this.#chunksToFlush - taken.length);

    this.#count({ batches: 1 });
    const chunks = taken.map(({ chunk: { segments, keep, records, bytes, bodyBytes } }) => {
      return { segments, keep, records, bytes, bodyBytes };
    });
    const spec: BatchSpec = {
      format: BATCH_FORMAT,
      pipeline: this.#settings.pipeline,
      batcher: this.#workflowId,
      number: this.#counters.batches,
      id: batchId(this.#workflowId, chunks),
      reason,
      destination: this.#settings.destination,
      chunks,
    };
    this.#flushing = { spec, records: chunks.reduce((sum, chunk) => sum + chunk.records, 0), startedAtMs: nowMs };
    return { spec, bodies: concatenate(taken.map(({ body }) => body)) };
  }

  /** The batch is done with: every record of it inserted, rejected or skipped. */
  finishFlush({ inserted, rejected, skipped }: InsertOutcome, nowMs: number): void {
    if (this.#flushing === null) throw new Error('no batch is being flushed');
    const { spec, records, startedAtMs } = this.#flushing;
    const { number, id, reason } = spec;
    this.#lastFlush = { number, id, reason, records, startedAtMs, finishedAtMs: nowMs };
    this.#lastError = null;
    this.#flushing = null;
    this.#count({ inserted, rejected, skipped });
  }

  /** A step of the flush ended in an error and will be tried again. */
  flushFailed(message: string): void {
    this.#lastError = message;
  }

  /** Input and bodies of the next run. */
  carryOver(): { readonly input: BatcherInput; readonly bodies: Uint8Array } {
    if (this.#flushing !== null) throw new Error('a batch is being flushed');
    this.#count({ continuations: 1 });
    return {
      input: {
        format: BATCHER_FORMAT,
        settings: this.#settings,
        carried: {
          chunks: this.#buffer.map(({ chunk }) => chunk),
          coverage: this.#coverage.toState(),
          counters: this.#counters,
          paused: this.#paused,
          draining: this.#draining,
          chunksToFlush: this.#chunksToFlush,
          controls: this.#controls,
          lastFlush: this.#lastFlush,
          idleContinuations: this.#recordsSinceStart === 0 ? this.#idleContinuationsBefore + 1 : 0,
        },
      },
      bodies: concatenate(this.#buffer.map(({ body }) => body)),
    };
  }

  status({ continueAsNewSuggested, length, bytes }: HistoryView): BatcherStatus {
    return {
      pipeline: this.#settings.pipeline,
      bufferedRecords: this.#bufferedRecords,
      bufferedBytes: this.#bufferedBytes,
      oldestAcceptedAtMs: this.#buffer[0]?.chunk.acceptedAtMs ?? null,
      flushing: this.#flushing && {
        number: this.#flushing.spec.number,
        reason: this.#flushing.spec.reason,
        records: this.#flushing.records,
        startedAtMs: this.#flushing.startedAtMs,
      },
      lastFlush: this.#lastFlush,
      lastError: this.#lastError,
      paused: this.#paused,
      draining: this.#draining,
      holding: this.holding,
      counters: this.#counters,
      coverageRanges: this.#coverage.size,
      controls: this.#controls,
      continueAsNewSuggested,
      historyLength: length,
      historyBytes: bytes,
    };
  }

  /** Records and payload bytes not flushed yet, those in a batch on its way included. */
  get held(): { readonly records: number; readonly bytes: number } {
    const flushing = this.#flushing;
    return {
      records: this.#bufferedRecords + (flushing?.records ?? 0),
      bytes: this.#bufferedBytes + (flushing?.spec.chunks.reduce((sum, chunk) => sum + chunk.bytes, 0) ?? 0),
    };
  }

  get coverage(): Coverage {
    return this.#coverage;
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

interface Buffered {
  readonly chunk: AcceptedChunk;
  readonly body: Uint8Array;
}

interface Flushing {
  readonly spec: BatchSpec;
  readonly records: number;
  readonly startedAtMs: number;
}

const NO_COUNTERS: BatcherCounters = {
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

/** What a chunk adds to a payload: its body, and its metadata as JSON, generously. */
function encodedBytesOf({ chunk, body }: Buffered): number {
  let bytes = body.length + 100;
  for (const { topic, epoch } of chunk.segments) bytes += 120 + topic.length + epoch.length;
  for (const ranges of chunk.keep) bytes += ranges === null ? 5 : 40 * ranges.length;
  return bytes;
}

function isWhole(ranges: readonly OffsetRange[], [from, to]: OffsetRange): boolean {
  return ranges.length === 1 && ranges[0]?.[0] === from && ranges[0][1] === to;
}

/**
 * Hash of the identities in a batch: a batcher's share of a range of offsets is always the same records.
 */
function batchId(workflowId: string, chunks: BatchSpec['chunks']): string {
  const ranges = chunks.map(({ segments, keep }) =>
    segments.map(({ topic, partition, epoch, from, to }, index) => [
      topic,
      partition,
      epoch,
      keep[index] ?? [[from, to]],
    ]),
  );
  return bytesToHex(sha256(utf8ToBytes(JSON.stringify([workflowId, ranges])))).slice(0, BATCH_ID_HEX_DIGITS);
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
