/** Temporal's default limit of one payload (`limit.blobSize.error`), in bytes. All our limits are made for it. */
export const PAYLOAD_BYTES_MAX = 2 * 1024 * 1024;

/**
 * Encoded bytes of a chunk that Temporal always accepts. They are below {@link PAYLOAD_BYTES_MAX}, and below the limit of
 * one batch, with room for the metadata. A record that is larger fits into no signal.
 */
export const CHUNK_BYTES_MAX = 1_200_000;

/**
 * One of our limits, made smaller by the same factor if Temporal takes smaller payloads than by default.
 *
 * @param bytes the limit for {@link PAYLOAD_BYTES_MAX}
 * @param payloadBytesMax what the server takes. Absent: the default
 */
export function withinPayload(bytes: number, payloadBytesMax = PAYLOAD_BYTES_MAX): number {
  return Math.floor(bytes * Math.min(1, payloadBytesMax / PAYLOAD_BYTES_MAX));
}
