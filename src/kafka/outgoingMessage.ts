import type { IHeaders, Message } from 'kafkajs';
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

/** The message as kafkajs takes it. Its types do not know that values of headers may be null: see `produceRequest.ts`. */
export function toMessage({ key, value, headers, partition }: OutgoingMessage): Message {
  const message: Message = { key, value };
  if (headers !== undefined) message.headers = headers as IHeaders;
  if (partition !== undefined) message.partition = partition;
  return message;
}

/**
 * Bytes of a message besides key and value: lengths, deltas, attributes. The same for each header besides its name and
 * value.
 */
const MESSAGE_OVERHEAD_BYTES = 24;

/** About how many bytes a message takes in a request. */
export function messageBytes({ key, value, headers = {} }: OutgoingMessage): number {
  const valueBytes = value === null ? 0 : Buffer.byteLength(value);
  return MESSAGE_OVERHEAD_BYTES + (key?.length ?? 0) + valueBytes + headersBytes(headers);
}

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
