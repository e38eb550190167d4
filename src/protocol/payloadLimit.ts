/** Temporal's default limit of one payload (`limit.blobSize.error`), in bytes. All our limits are made for it. */
export const PAYLOAD_BYTES_MAX = 2 * 1024 * 1024;

/**
 * Encoded bytes of one batch: bodies and metadata. An activity's input over {@link PAYLOAD_BYTES_MAX} would terminate the
 * run, or fail its workflow task again and again. The rejected records come back in a result of up to this size.
 */
export const BATCH_BYTES_MAX = 1_400_000;

/**
 * Encoded bytes of a chunk's body. They are below {@link BATCH_BYTES_MAX}, with room for the metadata of one record. A
 * record that is larger fits into no signal.
 */
export const CHUNK_BYTES_MAX = 1_200_000;

/**
 * Encoded bytes of a full chunk, body and metadata. A signal costs Temporal and the workers some 5 ms of processor time,
 * whatever is in it. So a full chunk is as large as lets three of them fill a batch, with 10 % of room for one that packs
 * worse than the last.
 */
export const CHUNK_BYTES_GOAL = 420_000;

/**
 * One of our limits, made smaller by the same factor if Temporal takes smaller payloads than by default.
 *
 * @param bytes the limit for {@link PAYLOAD_BYTES_MAX}
 * @param payloadBytesMax what the server takes. Absent: the default
 */
export function withinPayload(bytes: number, payloadBytesMax = PAYLOAD_BYTES_MAX): number {
  return Math.floor(bytes * Math.min(1, payloadBytesMax / PAYLOAD_BYTES_MAX));
}
