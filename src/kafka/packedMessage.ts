import { NULL_LENGTH } from '../protocol/packedRecord.js';
import type { HeaderValues } from '../protocol/record.js';
import { MESSAGE_OVERHEAD_BYTES, headersBytes, type OutgoingMessage } from './outgoingMessage.js';

/**
 * A message on its way into a request. One object is filled with one message after the other, and its key may be a part
 * of a larger buffer: an object and a `Buffer` for each message cost more than all the rest.
 */
export class PackedMessage {
  /** The buffer with the key. */
  keys: Buffer = NO_BYTES;
  keyAt = 0;
  /** {@link NULL_LENGTH} if there is no key. */
  keyLength = NULL_LENGTH;
  value: Buffer | null = null;
  headers: HeaderValues | undefined = undefined;
  /** See `OutgoingMessage.partition`. */
  partition: number | undefined = undefined;

  /** @param length {@link NULL_LENGTH} if there is no key */
  setKeyIn(keys: Buffer, at: number, length: number): void {
    this.keys = keys;
    this.keyAt = at;
    this.keyLength = length;
  }

  setKey(key: Buffer | null): void {
    if (key === null) this.setKeyIn(NO_BYTES, 0, NULL_LENGTH);
    else this.setKeyIn(key, 0, key.length);
  }

  fill({ key, value, headers, partition }: OutgoingMessage): void {
    this.setKey(key);
    this.value = typeof value === 'string' ? Buffer.from(value) : value;
    this.headers = headers;
    this.partition = partition;
  }

  /** About how many bytes the message takes in a request. */
  get requestBytes(): number {
    const bytes = MESSAGE_OVERHEAD_BYTES + Math.max(0, this.keyLength) + (this.value?.length ?? 0);
    return this.headers === undefined ? bytes : bytes + headersBytes(this.headers);
  }

  /** The message as an object of its own. */
  toMessage(): OutgoingMessage {
    const { keys, keyAt, keyLength, value, headers, partition } = this;
    return {
      key: keyLength === NULL_LENGTH ? null : Buffer.from(keys.subarray(keyAt, keyAt + keyLength)),
      value: value === null ? null : Buffer.from(value),
      ...(headers === undefined ? {} : { headers }),
      ...(partition === undefined ? {} : { partition }),
    };
  }
}

const NO_BYTES = Buffer.alloc(0);
