import type { BatchSpec, RejectionSpec } from './flush.js';
import type { ForeignSignalBatch } from './foreignSignal.js';
import type { Inheritance } from './inheritance.js';
import type { InheritedBatch } from './leftover.js';
import type { Unconfirmed } from './request.js';

/**
 * The activities that a batcher calls. All may be repeated: an insert finds what is already in the table, and a
 * repeated acknowledgement or dead letter is a second copy of the same message.
 */
export interface FlushActivities {
  /**
   * Inserts a batch and publishes the positive acknowledgements.
   *
   * @param bodies empty if the batch is stored once
   * @returns an `Envelope` of `InsertOutcome` and the encoded rejected records
   */
  insertBatch(spec: BatchSpec, bodies: Uint8Array): Promise<Uint8Array>;
  /**
   * Publishes dead letters, then negative acknowledgements, for the records that {@link insertBatch} rejected.
   *
   * @returns confirmations that could not be delivered. Undefined if there are none
   */
  rejectRecords(spec: RejectionSpec, rejectedRecords: Uint8Array): Promise<readonly Unconfirmed[] | undefined>;
  /**
   * Tries once more to deliver confirmations to their requesters.
   *
   * @returns those that have to be tried again
   */
  confirmRequests(pipeline: string, unconfirmed: readonly Unconfirmed[]): Promise<readonly Unconfirmed[]>;
  /**
   * Reads from the history of a batcher's closed run what the run has left.
   *
   * @param runId of the closed run
   * @param bound the same once more, since a text cannot be noted as encrypted for this call. If it is there, it counts
   */
  readInheritance(batcher: string, runId: string, bound?: { readonly runId: string }): Promise<Inheritance>;
  /**
   * Like {@link insertBatch}, for a batch whose records are in the history of a closed run.
   *
   * @returns an `Envelope` of `FlushOutcome` and the encoded rejected records
   */
  insertInherited(batch: InheritedBatch): Promise<Uint8Array>;
  /** Publishes foreign signals, which no part of this product sends, as dead letters. */
  publishForeignSignals(batch: ForeignSignalBatch): Promise<void>;
}
