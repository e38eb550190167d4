import type { Sinks } from '@temporalio/workflow';

/** `first`: of a new batcher; `continued`: as new; `heir`: after a run that was closed. */
export type RunBeginning = 'first' | 'continued' | 'heir';

export interface BatcherReport {
  /** Accepted and not flushed, the batch on its way included. */
  readonly records: number;
  /** When the oldest of them was accepted, milliseconds since 1970; null without one. */
  readonly oldestAcceptedAtMs: number | null;
  readonly paused: boolean;
  /** Batches to come out of the histories of closed runs; 0 also while that is not known yet. */
  readonly inheritedBatches: number;
  readonly coverageRanges: number;
  /** Chunks dropped since the last report, because all of them had been accepted before. */
  readonly duplicateChunks: number;
}

/** How a batcher tells its worker what it holds, for the metrics. Not called while a history is replayed. */
export interface BatcherSinks extends Sinks {
  batcher: {
    /** A run has begun. */
    began(pipeline: string, how: RunBeginning): void;
    /** What the batcher is like now. */
    reported(pipeline: string, report: BatcherReport): void;
    /** The run has stopped continuing as new, see `BatcherState.holding`. */
    holding(pipeline: string, holding: boolean): void;
  };
}
