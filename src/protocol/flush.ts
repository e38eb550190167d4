import type { BufferedChunk } from './chunk.js';
import type { RequestVerdict, Unconfirmed } from './request.js';
import type { Destination } from './settings.js';

/**
 * Why a batcher flushes. `continueAsNew`: its buffer was too large to be carried into the next run. `inherited`: a
 * closed run had left the records.
 */
export const FLUSH_REASONS = ['records', 'bytes', 'delay', 'signal', 'drain', 'continueAsNew', 'inherited'] as const;
export type FlushReason = (typeof FLUSH_REASONS)[number];

/**
 * A batch. It is fixed in the batcher's history before anything is inserted. So a retry, on whatever worker, works on
 * exactly the same records. The chunks' bodies travel beside it, one after the other, or are in the history already.
 */
export interface BatchSpec {
  readonly format: BatchFormat;
  readonly pipeline: string;
  /** Workflow id of the batcher. */
  readonly batcher: string;
  /** Counts the batcher's batches from 1. */
  readonly number: number;
  /** Hash of the identities of the batch's records. It is the batch id in acknowledgements. */
  readonly id: string;
  readonly reason: FlushReason;
  /**
   * The runs in which its records have been since they were accepted. If one of them was reset, the records may have
   * been inserted before.
   */
  readonly runs: readonly string[];
  readonly destination: Destination;
  /** True if the settings that say so came encrypted. Absent otherwise. */
  readonly sealed?: true;
  readonly chunks: readonly BufferedChunk[];
  /** Set once a person has given the batch up. */
  readonly parking?: Parking;
  /**
   * Name of the installation that the batch belongs to. No worker of another installation may insert it. Absent if the
   * batcher's settings name none.
   */
  readonly installation?: string;
}

/** A person gives a batch up. Nothing more is inserted. Records that are not in the table yet are rejected. */
export interface Parking {
  /** The reason that the person gave. It is part of the rejections' message. */
  readonly reason: string;
}

/** Used in {@link BatchSpec.runs}: the records may have been inserted before, by a run that is not known. */
export const UNKNOWN_RUN = '';

/** The same batch for another activity, after the first one failed and may have done a part of the work. */
export function repeatedBatch(spec: BatchSpec, parking?: Parking): BatchSpec {
  return { ...spec, runs: [UNKNOWN_RUN], ...(parking === undefined ? {} : { parking }) };
}

/**
 * `withBodies`: the bodies of the chunks are in the activity's input. `storedOnce`: they are not. They are in the history
 * already, in the signals that brought them or in what the run before handed on, and the worker finds them there, if it
 * has not kept them. Workers of version 0.1.0 know `withBodies` only.
 */
export const BATCH_FORMATS = { withBodies: 'ktb-batch/1', storedOnce: 'ktb-batch/2' } as const;
export type BatchFormat = (typeof BATCH_FORMATS)[keyof typeof BATCH_FORMATS];

/**
 * From this size on, and from this share of the history on, a batch is stored once, if the settings allow it. A worker
 * that has not kept the batch reads the whole history of its run. For a small part of it that costs more than storing it
 * twice.
 */
export const STORED_ONCE_BYTES_MIN = 256 * 1024;
export const STORED_ONCE_SHARE_MIN = 0.25;

/**
 * What an insert did with a batch. `inserted + rejected + skipped` is the number of records in the batch. The rejected
 * records follow as bytes (see `rejectionCodec.ts`) in the same {@link Envelope}.
 */
export interface InsertOutcome {
  readonly inserted: number;
  readonly rejected: number;
  readonly skipped: number;
  /** The verdict on each request in the batch. Absent if it has none. */
  readonly requests?: readonly RequestVerdict[];
  /** Confirmations of inserted and skipped requests that could not be delivered. Absent if there are none. */
  readonly unconfirmed?: readonly Unconfirmed[];
}

/**
 * What a rejection needs to know about its batch. It is kept small, because the rejected records in the same input may
 * need nearly as much room as a payload has.
 */
export interface RejectionSpec extends Pick<BatchSpec, 'pipeline' | 'batcher' | 'number' | 'id' | 'installation'> {
  readonly destination: Pick<Destination, 'reply' | 'deadLetterTopic'>;
}

/**
 * One payload made of JSON and bytes. Temporal carries only a top-level `Uint8Array` as raw bytes. Nested in JSON it
 * would be four times as large.
 *
 * Layout: length of the JSON in bytes (4, big-endian), the JSON in UTF-8, the bytes.
 */
export interface Envelope<T> {
  readonly json: T;
  readonly bytes: Uint8Array;
}

export function sealEnvelope(json: unknown, bytes: Uint8Array): Uint8Array {
  const head = new TextEncoder().encode(JSON.stringify(json));
  const envelope = new Uint8Array(4 + head.length + bytes.length);
  new DataView(envelope.buffer).setUint32(0, head.length);
  envelope.set(head, 4);
  envelope.set(bytes, 4 + head.length);
  return envelope;
}

export function openEnvelope<T>(envelope: Uint8Array): Envelope<T> {
  const headLength = new DataView(envelope.buffer, envelope.byteOffset, envelope.byteLength).getUint32(0);
  const head = envelope.subarray(4, 4 + headLength);
  return { json: JSON.parse(new TextDecoder().decode(head)) as T, bytes: envelope.subarray(4 + headLength) };
}
