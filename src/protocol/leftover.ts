import type { InsertOutcome, Parking } from './flush.js';
import type { Destination } from './settings.js';

/**
 * What a closed run of a batcher had accepted and not flushed, as a plan for its heir. The records stay in the closed
 * run's history, which cannot change any more. So the plan names the same batches for ever, on whatever worker and for
 * whatever heir.
 */
export interface Leftover {
  readonly runId: string;
  /** Chunks of the plan that are done, counted from the first chunk that the run had not flushed. */
  readonly chunksDone: number;
  /** Number of chunks in each batch to come. */
  readonly batches: readonly number[];
  /** What is known about the first of these batches, if it had begun. Otherwise null. */
  readonly begun: BegunBatch | null;
}

/** A batch that was being flushed when its run was closed. Some of its rows may be in the table. */
export interface BegunBatch {
  /** The destination it had. The present configuration does not count. */
  readonly destination: Destination;
  /** See `BatchSpec.sealed`. */
  readonly sealed?: true;
  /** The event in which its insert had answered with rejections. That verdict does not change. */
  readonly answer: { readonly runId: string; readonly eventId: number } | null;
  /** A person had given it up. */
  readonly parking?: Parking;
}

/** One batch of a {@link Leftover}, as the activity `insertInherited` gets it. */
export interface InheritedBatch {
  readonly pipeline: string;
  /** Workflow id of the batcher. */
  readonly batcher: string;
  /** Counts the batcher's batches from 1. */
  readonly number: number;
  readonly runId: string;
  /** Chunks before this batch, see {@link Leftover.chunksDone}. */
  readonly chunksDone: number;
  readonly chunks: number;
  readonly destination: Destination;
  /** See `BatchSpec.sealed`. */
  readonly sealed?: true;
  readonly answer: BegunBatch['answer'];
  /** Set once a person has given the batch up. */
  readonly parking?: Parking;
  /** See `BatchSpec.installation`. */
  readonly installation?: string;
}

/** What a flush has done; `id` is the batch id in acknowledgements. */
export interface FlushOutcome extends InsertOutcome {
  readonly id: string;
}
