import type { Sinks } from '@temporalio/workflow';

/** How a batcher tells its worker what it holds, for the metrics. Not called while a history is replayed. */
export interface BatcherSinks extends Sinks {
  batcher: {
    /** What the buffer holds now, the batch on its way included. */
    buffered(pipeline: string, records: number, bytes: number): void;
    /** The run has stopped continuing as new, see `BatcherState.holding`. */
    holding(pipeline: string, holding: boolean): void;
  };
}
