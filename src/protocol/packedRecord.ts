import type { KafkaRecord, RecordHeader } from './record.js';

/** The length that stands for null. An empty key or value has length 0. */
export const NULL_LENGTH = -1;

/**
 * A record whose key and value are parts of larger buffers, which it shares with other records. A batch has thousands of
 * them, and two `Buffer`s for each cost more than all the rest. So code for every record reads the bytes in their place,
 * and {@link key} and {@link value} are for the rare cases: they make a new `Buffer` each time.
 */
export class PackedRecord implements KafkaRecord {
  readonly offset: number;
  readonly timestampMs: number;
  /** The buffer with the key. */
  readonly keys: Buffer;
  readonly keyAt: number;
  /** {@link NULL_LENGTH} if there is no key. */
  readonly keyLength: number;
  /** The buffer with the value. */
  readonly values: Buffer;
  readonly valueAt: number;
  /** {@link NULL_LENGTH} if there is no value. */
  readonly valueLength: number;
  readonly headers: readonly RecordHeader[];
  readonly tooLargeBytes?: number;

  constructor(
    offset: number,
    timestampMs: number,
    keys: Buffer,
    keyAt: number,
    keyLength: number,
    values: Buffer,
    valueAt: number,
    valueLength: number,
    headers: readonly RecordHeader[],
    tooLargeBytes?: number,
  ) {
    this.offset = offset;
    this.timestampMs = timestampMs;
    this.keys = keys;
    this.keyAt = keyAt;
    this.keyLength = keyLength;
    this.values = values;
    this.valueAt = valueAt;
    this.valueLength = valueLength;
    this.headers = headers;
    if (tooLargeBytes !== undefined) this.tooLargeBytes = tooLargeBytes;
  }

  get key(): Buffer | null {
    const { keyAt, keyLength } = this;
    return keyLength === NULL_LENGTH ? null : this.keys.subarray(keyAt, keyAt + keyLength);
  }

  get value(): Buffer | null {
    const { valueAt, valueLength } = this;
    return valueLength === NULL_LENGTH ? null : this.values.subarray(valueAt, valueAt + valueLength);
  }
}
