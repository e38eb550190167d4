/** Temporal's default for one payload: `limit.blobSize.error`. All limits of ours are made for it. */
export const PAYLOAD_BYTES_MAX = 2 * 1024 * 1024;

/**
 * A limit of ours where Temporal takes smaller payloads than by default: smaller in the same measure.
 *
 * @param bytes made for {@link PAYLOAD_BYTES_MAX}
 * @param payloadBytesMax what the server takes; absent: the default
 */
export function withinPayload(bytes: number, payloadBytesMax = PAYLOAD_BYTES_MAX): number {
  return Math.floor(bytes * Math.min(1, payloadBytesMax / PAYLOAD_BYTES_MAX));
}
