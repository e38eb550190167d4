import type { BufferedChunk, OffsetRange, RecordMark } from './chunk.js';
import type { Leftover } from './leftover.js';
import type { FlushReason } from './flush.js';
import type { ForeignSignal } from './foreignSignal.js';
import type { RecordSource } from './record.js';
import type { RequestVerdict, Unconfirmed } from './request.js';
import type { BatcherSettings } from './settings.js';

/**
 * Input of a batcher run. The sender of the first signal gives format and settings; continue-as-new adds the state of
 * the run before it. The bodies of `chunks` travel beside it, one after the other, as one `Uint8Array`.
 */
export interface BatcherInput {
  readonly format: typeof BATCHER_FORMAT;
  readonly settings: BatcherSettings;
  readonly carried?: CarriedState;
  /** The run that was closed before this one was started: what it left comes first. */
  readonly heirOf?: string;
}

export const BATCHER_FORMAT = 'ktb-batcher/1';

/** What a run hands to the next one at continue-as-new. Plain JSON: nothing in it may be a Map, a Set or undefined. */
export interface CarriedState {
  readonly chunks: readonly AcceptedChunk[];
  readonly coverage: CoverageState;
  readonly counters: BatcherCounters;
  readonly paused: boolean;
  readonly draining: boolean;
  /** Chunks at the head of the buffer that a flush signal asked for. */
  readonly chunksToFlush: number;
  readonly controls: readonly Control[];
  readonly lastFlush: FlushSummary | null;
  /** Successive continuations before this run in which nothing was handled. */
  readonly idleContinuations: number;
  /**
   * What closed runs had left and is not flushed yet. Oldest first: records of one key are flushed in the order in which they
   * were accepted.
   */
  readonly estates: readonly Leftover[];
  /** The runs that the buffered chunks have been in; empty with an empty buffer. */
  readonly bufferRuns: readonly string[];
  /** Signals of strangers that are not on the dead-letter topic yet; absent where there are none. */
  readonly foreignSignals?: readonly ForeignSignal[];
  /** Absent where there has never been a request. */
  readonly requests?: RequestsState;
  /** Absent where there are none. */
  readonly confirmations?: readonly PostponedConfirmation[];
}

/** The requests of workflows that a batcher remembers, oldest first. */
export interface RequestsState {
  readonly epoch: string;
  /** The offset that the next request gets. */
  readonly next: number;
  /** A fixed number of hexadecimal digits each. */
  readonly names: string;
  /** For so many requests, one after the other: when they were accepted (minutes since 1970), and what became of them. */
  readonly runs: readonly (readonly [minute: number, verdict: RequestVerdict[1] | '', count: number])[];
}

/** A confirmation that is tried again later (workflow time, milliseconds since 1970). */
export interface PostponedConfirmation extends Unconfirmed {
  readonly dueAtMs: number;
}

/** A buffered chunk and when it arrived (workflow time, milliseconds since 1970). */
export interface AcceptedChunk extends BufferedChunk {
  readonly acceptedAtMs: number;
}

/** Per source partition what was accepted of its last epochs, the most recently used epoch last. */
export type CoverageState = readonly PartitionCoverage[];

export interface PartitionCoverage {
  readonly topic: string;
  readonly partition: number;
  readonly epochs: readonly EpochCoverage[];
  /** The last record accepted, of the epoch used last. */
  readonly mark?: AcceptedMark;
}

export interface EpochCoverage {
  readonly epoch: string;
  readonly ranges: readonly OffsetRange[];
  /** Nothing beyond this offset is accepted any more: the partition has gone over to another layout. */
  readonly closedAt?: number;
}

export interface AcceptedMark extends RecordMark {
  readonly epoch: string;
  /** Workflow time, milliseconds since 1970. */
  readonly acceptedAtMs: number;
}

/** Asks a batcher to accept nothing of an epoch beyond an offset. */
export interface CloseRequest extends RecordSource {
  readonly offset: number;
}

/** Answer to the query for an epoch of a partition. */
export interface EpochStatus {
  /** The highest offset accepted; null where there is none. */
  readonly coveredTo: number | null;
  readonly closedAt: number | null;
  /** True where every record accepted of it is in the table, or rejected. */
  readonly flushed: boolean;
}

/** Totals since the batcher's first run. */
export interface BatcherCounters {
  readonly signals: number;
  /** Accepted. Of a chunk that repeats some, all are counted until it is flushed. */
  readonly records: number;
  readonly batches: number;
  readonly inserted: number;
  readonly rejected: number;
  readonly skipped: number;
  /** Chunks dropped because all of them had been accepted before. */
  readonly duplicateChunks: number;
  /** Signals that are not this product's. */
  readonly foreignSignals: number;
  readonly continuations: number;
}

/** A pause, resume, flush, drain or park signal, kept for the record. */
export interface Control {
  readonly action: ControlAction;
  readonly actor: string;
  readonly reason: string;
  readonly atMs: number;
}

export type ControlAction = 'pause' | 'resume' | 'flush' | 'drain' | 'park';

/** Who sends a control signal and why; both are kept with the batcher. */
export interface ControlRequest {
  readonly actor: string;
  readonly reason: string;
  /** Number of the batch that `park` is about: another one is never given up by mistake, however late the signal comes. */
  readonly batch?: number;
}

export interface FlushSummary {
  readonly number: number;
  readonly id: string;
  readonly reason: FlushReason;
  readonly records: number;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
}

/** Answer to the status query. */
export interface BatcherStatus {
  readonly pipeline: string;
  readonly bufferedRecords: number;
  readonly bufferedBytes: number;
  /** When the oldest buffered record arrived; null with an empty buffer. */
  readonly oldestAcceptedAtMs: number | null;
  /** The batch being flushed; null between flushes. */
  readonly flushing: {
    readonly number: number;
    readonly reason: FlushReason;
    readonly records: number;
    readonly bytes: number;
    readonly startedAtMs: number;
    /** A person has given it up. Absent where the worker is of a version that knows no parking. */
    readonly parked?: boolean;
  } | null;
  readonly lastFlush: FlushSummary | null;
  readonly lastError: string | null;
  readonly paused: boolean;
  readonly draining: boolean;
  /** True after too many continuations in which nothing was handled: the run stays until anything arrives. */
  readonly holding: boolean;
  readonly counters: BatcherCounters;
  /** Batches still to come out of the histories of closed runs; null until they are known, 0 normally. */
  readonly inheritedBatches: number | null;
  readonly coverageRanges: number;
  /** Requests of workflows that are remembered, so that none is taken twice. */
  readonly rememberedRequests: number;
  /** Confirmations that could not be delivered to their requesters yet. */
  readonly unconfirmed: number;
  readonly controls: readonly Control[];
  readonly continueAsNewSuggested: boolean;
  readonly historyLength: number;
  readonly historyBytes: number;
}
