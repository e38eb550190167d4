import type { InsertOutcome, Parking } from './flush.js';
import type { Destination } from './settings.js';

/**
 * What a closed run of a batcher had accepted and not flushed, as its heir works it off. The records stay in the closed
 * run's history, which can no longer change: the plan below names the same batches for ever, on whatever worker and by
 * whatever heir.
 */
export interface Leftover {
  readonly runId: string;
  /** Chunks of the plan that are done with, counted from the first one that the run had not flushed. */
  readonly chunksDone: number;
  /** Chunks in each batch to come. */
  readonly batches: readonly number[];
  /** What is known of the first of them where it had been begun. */
  readonly begun: BegunBatch | null;
}

/** A batch that was on its way when its run was closed: rows of it may be in the table. */
export interface BegunBatch {
  /** Where it was going, whatever the configuration says now. */
  readonly destination: Destination;
  /** Its insert had answered, with rejections, in this event: the verdict on them stands. */
  readonly answer: { readonly runId: string; readonly eventId: number } | null;
  /** A person had given it up. */
  readonly parking?: Parking;
}

/** One batch of an {@link Leftover}, as an activity carries it out. */
export interface InheritedBatch {
  readonly pipeline: string;
  /** Workflow id of the batcher. */
  readonly batcher: string;
  /** Counts the batcher's batches from 1. */
  readonly number: number;
  readonly runId: string;
  /** Chunks before it, see {@link Leftover.chunksDone}. */
  readonly chunksDone: number;
  readonly chunks: number;
  readonly destination: Destination;
  readonly answer: BegunBatch['answer'];
  /** Set once a person has given the batch up. */
  readonly parking?: Parking;
  /** As in `BatchSpec`. */
  readonly installation?: string;
}

/** What became of an {@link InheritedBatch}; `id` is the batch id in acknowledgements. */
export interface InheritedOutcome extends InsertOutcome {
  readonly id: string;
}
