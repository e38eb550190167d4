import type { HeaderValues } from '../protocol/record.js';

/**
 * A message to publish, with the present time as its timestamp. Without a partition it goes to the partition that every
 * Kafka client would choose for its key.
 */
export interface OutgoingMessage {
  readonly key: Buffer | null;
  readonly value: Buffer | string | null;
  readonly headers?: HeaderValues;
  /** It must exist. Otherwise nothing is published, and that is an error. */
  readonly partition?: number;
}

/**
 * Bytes of a message besides key and value: lengths, deltas, attributes. The same for each header besides its name and
 * value.
 */
export const MESSAGE_OVERHEAD_BYTES = 24;

/** About how many bytes headers take in a message. */
export function headersBytes(headers: HeaderValues): number {
  let bytes = 0;
  for (const [name, values] of Object.entries(headers)) {
    for (const header of values instanceof Array ? values : [values]) {
      bytes += MESSAGE_OVERHEAD_BYTES + name.length + (header === null ? 0 : Buffer.byteLength(header));
    }
  }
  return bytes;
}
