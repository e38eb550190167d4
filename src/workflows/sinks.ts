import type { Sinks } from '@temporalio/workflow';

/** How a run began. `first`: of a new batcher. `continued`: continued as new. `heir`: after a closed run. */
export const RUN_BEGINNINGS = ['first', 'continued', 'heir'] as const;
export type RunBeginning = (typeof RUN_BEGINNINGS)[number];

export interface BatcherReport {
  /** Records that are accepted and not flushed, including the batch that is being flushed. */
  readonly records: number;
  /** When the oldest of them was accepted, milliseconds since 1970. Null if there is none. */
  readonly oldestAcceptedAtMs: number | null;
  readonly paused: boolean;
  /** Batches still to be flushed from the histories of closed runs. Also 0 while that is not known yet. */
  readonly inheritedBatches: number;
  readonly coverageRanges: number;
  /** Chunks dropped since the last report, because all of their records had been accepted before. */
  readonly duplicateChunks: number;
  /** Signals refused since the last report, see `applySignal`. */
  readonly refusedSignals: number;
}

/** How a batcher reports its state to its worker, for the metrics. Not called during a replay. */
export interface BatcherSinks extends Sinks {
  batcher: {
    /** A run has begun. */
    began(pipeline: string, how: RunBeginning): void;
    /** The batcher's present state. */
    reported(pipeline: string, report: BatcherReport): void;
    /**
     * A batch that is stored once, see `BATCH_FORMATS`, is about to be flushed, by a worker of this task queue. `bodies`
     * are those of its chunks.
     */
    taken(taskQueue: string, batchId: string, bodies: Uint8Array): void;
    /** The result of an activity was not for its call. */
    refusedResult(pipeline: string): void;
    /** Partitions of which the next run is handed nothing, see `countForgotten`. */
    forgot(pipeline: string, partitions: number): void;
    /** The run has stopped continuing as new, see `BatcherState.holding`. */
    holding(pipeline: string, holding: boolean): void;
  };
}
