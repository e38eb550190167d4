import type { BatchSpec, RejectionSpec } from './flush.js';
import type { ForeignSignalBatch } from './foreignSignal.js';
import type { Inheritance } from './inheritance.js';
import type { InheritedBatch } from './leftover.js';
import type { Unconfirmed } from './request.js';

/**
 * The activities a batcher calls. All are safe to repeat: an insert finds what is already in the table, a repeated
 * acknowledgement or dead letter is a second copy of the same message.
 */
export interface FlushActivities {
  /**
   * Inserts a batch and publishes the positive acknowledgements.
   *
   * @returns an `Envelope` of `InsertOutcome` and the encoded rejected records
   */
  insertBatch(spec: BatchSpec, bodies: Uint8Array): Promise<Uint8Array>;
  /**
   * Publishes dead letters, then negative acknowledgements, for what {@link insertBatch} gave back.
   *
   * @returns confirmations that could not be delivered; nothing where there are none
   */
  rejectRecords(spec: RejectionSpec, rejectedRecords: Uint8Array): Promise<readonly Unconfirmed[] | undefined>;
  /**
   * Tries once more to deliver confirmations to their requesters.
   *
   * @returns those that are to be tried again
   */
  confirmRequests(pipeline: string, unconfirmed: readonly Unconfirmed[]): Promise<readonly Unconfirmed[]>;
  /** Reads what a closed run of a batcher has left from its history. */
  readInheritance(batcher: string, runId: string): Promise<Inheritance>;
  /**
   * As {@link insertBatch}, for a batch whose records are in the history of a closed run.
   *
   * @returns an `Envelope` of `InheritedOutcome` and the encoded rejected records
   */
  insertInherited(batch: InheritedBatch): Promise<Uint8Array>;
  /** Publishes signals that no part of this product sends as dead letters. */
  publishForeignSignals(batch: ForeignSignalBatch): Promise<void>;
}
