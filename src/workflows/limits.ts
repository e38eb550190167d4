import { BATCH_BYTES_MAX, withinPayload } from '../protocol/payloadLimit.js';
import type { BatchLimits } from '../protocol/settings.js';

/**
 * Limits of a batcher that no configuration changes. Each keeps a payload or a history below one of Temporal's limits.
 * Those of payloads are for Temporal's default, see {@link encodedLimit}.
 */
export const LIMITS = {
  /** Encoded bytes of one batch. Senders make no chunk that is larger, see `chunkBytesMax`. */
  batchEncodedBytes: BATCH_BYTES_MAX,
  /** Encoded bytes that continue-as-new may carry over; a larger buffer is flushed first. */
  carriedBytes: 512 * 1024,
  /**
   * Encoded bytes of everything that a run gets: the input of the next run, or what an heir reads. It has to fit into a
   * payload (2 MiB, `limit.blobSize.error`). `carriedState.ts` decides what is left out if there is no room.
   */
  inputBytes: 1_900_000,
  /** The most of these bytes for names of requests, and for confirmations. Coverage gets the rest. */
  inputRequestsBytes: 400_000,
  inputConfirmationsBytes: 200_000,
  /** Foreign signals in one activity's input, as JSON. By default all that wait are smaller. */
  foreignSignalsBytes: 1_500_000,
  /** Control signals that are remembered. */
  controls: 20,
  /** Runs that a buffer remembers. There are more than two only if its oldest chunks are flushed in none of them, as while it is paused. */
  bufferRuns: 50,
} as const;

/** The limits that keep a payload small enough for Temporal. */
export type EncodedLimit = Exclude<keyof typeof LIMITS, 'controls' | 'bufferRuns'>;

/** A limit of payloads, in bytes: smaller if Temporal takes smaller payloads than by default. */
export function encodedLimit(name: EncodedLimit, { payloadBytesMax }: Pick<BatchLimits, 'payloadBytesMax'>): number {
  return withinPayload(LIMITS[name], payloadBytesMax);
}
