import { withinPayload } from '../protocol/payloadLimit.js';
import type { BatchLimits } from '../protocol/settings.js';

/**
 * Limits of a batcher that no configuration changes: each keeps a payload or a history below a limit of Temporal's.
 * Those of payloads are made for Temporal's default, see {@link encodedLimit}.
 */
export const LIMITS = {
  /**
   * Encoded bytes of one batch (bodies and metadata), because an activity's input over 2 MiB
   * (`limit.blobSize.error`) would terminate the run, and what is rejected comes back in a result of up to this size.
   */
  batchEncodedBytes: 1_400_000,
  /** Encoded bytes that continue-as-new may carry over; a larger buffer is flushed first. */
  carriedBytes: 512 * 1024,
  /**
   * Encoded bytes of all that a run gets: the input of the next one, or what an heir reads, has to fit into a payload
   * (2 MiB, `limit.blobSize.error`). What is left out for want of room is chosen in `carriedState.ts`.
   */
  inputBytes: 1_900_000,
  /** The most of them for names of requests, and for confirmations: coverage gets what they leave. */
  inputRequestsBytes: 400_000,
  inputConfirmationsBytes: 200_000,
  /** Control signals kept for the record. */
  controls: 20,
  /** Runs that a buffer remembers it has been in: more than one only if a paused batcher continues as new. */
  bufferRuns: 50,
} as const;

/** Those that keep one payload within what Temporal takes. */
export type EncodedLimit =
  'batchEncodedBytes' | 'carriedBytes' | 'inputBytes' | 'inputRequestsBytes' | 'inputConfirmationsBytes';

/** A limit of payloads, in bytes: smaller if Temporal takes smaller payloads than by default. */
export function encodedLimit(name: EncodedLimit, { payloadBytesMax }: Pick<BatchLimits, 'payloadBytesMax'>): number {
  return withinPayload(LIMITS[name], payloadBytesMax);
}
