import type { BufferedChunk, OffsetRange, RecordMark } from './chunk.js';
import type { Leftover } from './leftover.js';
import type { FlushReason } from './flush.js';
import type { ForeignSignal } from './foreignSignal.js';
import type { RecordSource } from './record.js';
import { REQUESTS, type RequestVerdict, type Unconfirmed } from './request.js';
import type { BatcherSettings } from './settings.js';

/** Name of the workflow type, of its signals and of its queries, as clients and the Temporal UI see them. */
export const BATCHER = {
  workflowType: 'batcher',
  /** How long a worker may have a workflow task. `docs/internals/batcher.md` says why. */
  workflowTaskTimeoutMs: 30_000,
  signals: {
    records: 'records',
    submit: REQUESTS.submit,
    pause: 'pause',
    resume: 'resume',
    flush: 'flush',
    drain: 'drain',
    park: 'park',
    close: 'close',
  },
  queries: { status: 'status', coverage: 'coverage', settings: 'settings', epoch: 'epoch' },
} as const;

/**
 * Input of a batcher run. The sender of the first signal gives format and settings; continue-as-new adds the state of
 * the run before it. The bodies of `chunks` travel beside it, one after the other, as one `Uint8Array`.
 */
export interface BatcherInput {
  readonly format: typeof BATCHER_FORMAT;
  readonly settings: BatcherSettings;
  readonly carried?: CarriedState;
  /** The closed run that this run takes over from. What it left is flushed first. */
  readonly heirOf?: string;
  /**
   * What of the settings and the state came encrypted. Believed only if the input itself came so. Absent: nothing is
   * known to have.
   */
  readonly encrypted?: EncryptedParts;
}

/** What of a batcher's state came from somebody with the key. */
export interface EncryptedParts {
  readonly settings?: true;
  /** All that it has accepted. */
  readonly accepted?: true;
  /** It has asked Temporal for a run before its first one, see `RUN_BEFORE`. */
  readonly runBefore?: true;
}

export const BATCHER_FORMAT = 'ktb-batcher/1';

/** What a run hands to the next one at continue-as-new. Plain JSON: nothing in it may be a Map, a Set or undefined. */
export interface CarriedState {
  readonly chunks: readonly AcceptedChunk[];
  readonly coverage: CoverageState;
  /**
   * What was accepted and is not believed any more, since it had not come encrypted. Records of it that come again may be in
   * the table. Absent if there is none.
   */
  readonly doubtful?: CoverageState;
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
   * What closed runs have left that is not flushed yet. Oldest first, so that the records of one key keep their order.
   */
  readonly estates: readonly Leftover[];
  /** The runs in which the buffered chunks have been. Empty if the buffer is empty. */
  readonly bufferRuns: readonly string[];
  /** Foreign signals that are not on the dead-letter topic yet. Absent if there are none. */
  readonly foreignSignals?: readonly ForeignSignal[];
  /** Absent if there has never been a request. */
  readonly requests?: RequestsState;
  /** Absent if there are none. */
  readonly confirmations?: readonly PostponedConfirmation[];
}

/** The requests of workflows that a batcher remembers, oldest first. */
export interface RequestsState {
  readonly epoch: string;
  /** The offset that the next request gets. */
  readonly next: number;
  /** All names, one after the other, each with the same number of hexadecimal digits. */
  readonly names: string;
  /** Run-length encoded: `count` requests in a row were accepted in this minute since 1970, and have this verdict. */
  readonly runs: readonly (readonly [minute: number, verdict: RequestVerdict[1] | '', count: number])[];
}

/** A confirmation that is tried again later (workflow time, milliseconds since 1970). */
export interface PostponedConfirmation extends Unconfirmed {
  readonly dueAtMs: number;
}

/** A buffered chunk and when it arrived (workflow time, milliseconds since 1970). */
export interface AcceptedChunk extends BufferedChunk {
  readonly acceptedAtMs: number;
  /** See {@link ChunkMeta.waitedMs}. Missing for 0. */
  readonly waitedMs?: number;
}

/** What was accepted of each partition's last epochs, the most recently used epoch last. */
export type CoverageState = readonly PartitionCoverage[];

export interface PartitionCoverage {
  readonly topic: string;
  readonly partition: number;
  readonly epochs: readonly EpochCoverage[];
  /** The last accepted record of the epoch used last. */
  readonly mark?: AcceptedMark;
}

export interface EpochCoverage {
  readonly epoch: string;
  readonly ranges: readonly OffsetRange[];
  /** Nothing after this offset is accepted any more, because the partition has gone over to another layout. */
  readonly closedAt?: number;
}

export interface AcceptedMark extends RecordMark {
  readonly epoch: string;
  /** Workflow time, milliseconds since 1970. */
  readonly acceptedAtMs: number;
}

/** Asks a batcher to accept nothing of an epoch after an offset. */
export interface CloseRequest extends RecordSource {
  readonly offset: number;
}

/** Answer to the query for an epoch of a partition. */
export interface EpochStatus {
  /** The highest offset accepted. Null if there is none. */
  readonly coveredTo: number | null;
  readonly closedAt: number | null;
  /** True if every accepted record of the epoch is in the table, rejected or skipped. */
  readonly flushed: boolean;
}

/** Totals since the batcher's first run. */
export interface BatcherCounters {
  readonly signals: number;
  /** Accepted records. If a chunk repeats some, all of its records are counted until it is flushed. */
  readonly records: number;
  readonly batches: number;
  readonly inserted: number;
  readonly rejected: number;
  readonly skipped: number;
  /** Chunks dropped because all of them had been accepted before. */
  readonly duplicateChunks: number;
  /** Signals that no part of this product sends. */
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

/** What a person can tell a batcher. */
export const CONTROL_ACTIONS = ['pause', 'resume', 'flush', 'drain', 'park'] as const;

export type ControlAction = (typeof CONTROL_ACTIONS)[number];

/** Who sends a control signal and why; both are kept with the batcher. */
export interface ControlRequest {
  readonly actor: string;
  readonly reason: string;
  /** The number of the batch that `park` gives up. So a late signal never gives up another batch by mistake. */
  readonly batch?: number;
  /** The run that it is for, if it is encrypted: see `lastingRunId`. Nobody can send it to a later one again. */
  readonly run?: string;
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
  /** Records in the buffer. Like the next two, it does not count the batch that is being flushed. */
  readonly bufferedRecords: number;
  readonly bufferedBytes: number;
  /** When the oldest buffered record arrived. Null if the buffer is empty. */
  readonly oldestAcceptedAtMs: number | null;
  /** The batch that is being flushed. Null between flushes. */
  readonly flushing: {
    readonly number: number;
    readonly reason: FlushReason;
    readonly records: number;
    readonly bytes: number;
    readonly startedAtMs: number;
    /**
     * When the oldest of its records arrived; in an inherited batch, when its flush began. Absent if the worker is of an
     * earlier version.
     */
    readonly oldestAcceptedAtMs?: number;
    /** A person has given it up. */
    readonly parked: boolean;
  } | null;
  readonly lastFlush: FlushSummary | null;
  readonly lastError: string | null;
  readonly paused: boolean;
  readonly draining: boolean;
  /** True if it takes only signals that are encrypted for it. Absent otherwise. */
  readonly requiresEncryption?: true;
  /** True after too many continuations in which nothing was handled: the run stays until anything arrives. */
  readonly holding: boolean;
  readonly counters: BatcherCounters;
  /** Batches still to be flushed from the histories of closed runs. Null until they are known. Normally 0. */
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
