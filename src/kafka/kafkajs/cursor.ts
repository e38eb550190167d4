import { NULL_LENGTH } from '../../protocol/packedRecord.js';

/** Bytes that do not follow the Kafka protocol. Reading them again does not help. Fetching them again may help. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}

/** Bytes in a format that this version does not know. A later version may know it. */
export class UnsupportedError extends MalformedError {}

const SINGLE_BYTE_MAX = 0x7f;

/**
 * Reads the Kafka protocol's types from a part of a buffer. At the end of the part it throws {@link MalformedError}.
 */
export class Cursor {
  readonly bytes: Buffer;
  readonly end: number;
  at: number;

  constructor(bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  int8(): number {
    return this.bytes.readInt8(this.skip(1));
  }

  int16(): number {
    return this.bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.bytes.readInt32BE(this.skip(4));
  }

  int64(): bigint {
    return this.bytes.readBigInt64BE(this.skip(8));
  }

  /** Skips bytes. @returns the index of the first skipped byte */
  skip(length: number): number {
    const { at } = this;
    if (length < 0 || length > this.end - at)
      throw new MalformedError(`${length} bytes are due where ${this.end - at} are left`);
    this.at = at + length;
    return at;
  }

  /** Zigzag, of at most five bytes. */
  varint(): number {
    const { bytes, end } = this;
    let at = this.at;
    if (at < end && (bytes[at] as number) <= SINGLE_BYTE_MAX) {
      const byte = bytes[at] as number;
      this.at = at + 1;
      return (byte >>> 1) ^ -(byte & 1);
    }
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= end) throw new MalformedError('a number goes on past the end');
      const byte = bytes[at++] as number;
      result |= (byte & SINGLE_BYTE_MAX) << shift;
      if (byte <= SINGLE_BYTE_MAX) {
        this.at = at;
        return (result >>> 1) ^ -(result & 1);
      }
    }
    throw new MalformedError('a number has more than five bytes');
  }

  /** Without a sign, of at most five bytes. */
  uvarint(): number {
    let result = 0;
    for (let unit = 1, count = 0; count < 5; count++, unit *= 128) {
      const byte = this.bytes[this.skip(1)] as number;
      result += (byte & SINGLE_BYTE_MAX) * unit;
      if (byte <= SINGLE_BYTE_MAX) return result;
    }
    throw new MalformedError('a number has more than five bytes');
  }

  /**
   * Zigzag, of at most ten bytes. Over seven bytes the result is a bigint, because a number may not hold it exactly.
   */
  varlong(): number | bigint {
    const { bytes, end } = this;
    let at = this.at;
    let result = 0;
    let unit = 1;
    for (let count = 0; count < 7; count++) {
      if (at >= end) throw new MalformedError('a number goes on past the end');
      const byte = bytes[at++] as number;
      result += (byte & SINGLE_BYTE_MAX) * unit;
      if (byte <= SINGLE_BYTE_MAX) {
        this.at = at;
        return result % 2 === 0 ? result / 2 : -(result + 1) / 2;
      }
      unit *= 128;
    }
    return this.#longVarlong();
  }

  /**
   * Skips bytes after their length as a varint.
   *
   * @returns their length: they end at {@link at}. {@link NULL_LENGTH} for a negative one, as in Kafka's own clients
   */
  skipVarintBytes(): number {
    return this.#skipBytes(this.varint());
  }

  /** As {@link skipVarintBytes}, but after their length as an int32. */
  skipInt32Bytes(): number {
    return this.#skipBytes(this.int32());
  }

  /** A view of the bytes that {@link skipVarintBytes} skips. Null if there are none. */
  varintBytes(): Buffer | null {
    return this.#before(this.skipVarintBytes());
  }

  /** A view of the bytes that {@link skipInt32Bytes} skips. Null if there are none. */
  int32Bytes(): Buffer | null {
    return this.#before(this.skipInt32Bytes());
  }

  #skipBytes(length: number): number {
    if (length < 0) return NULL_LENGTH;
    this.skip(length);
    return length;
  }

  #before(length: number): Buffer | null {
    if (length === NULL_LENGTH) return null;
    return length === 0 ? EMPTY : this.bytes.subarray(this.at - length, this.at);
  }

  #longVarlong(): bigint {
    let result = 0n;
    for (let count = 0n; count < 10n; count++) {
      const byte = this.bytes[this.skip(1)] as number;
      result |= BigInt(byte & SINGLE_BYTE_MAX) << (count * 7n);
      if (byte <= SINGLE_BYTE_MAX) return BigInt.asIntN(64, (result >> 1n) ^ -(result & 1n));
    }
    throw new MalformedError('a number has more than ten bytes');
  }
}

/** Shared, because a record may have half a million empty headers. */
const EMPTY = Buffer.alloc(0);

export function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/**
 * An offset over 2^53 - 1 is not exact as a JavaScript number. The partition is not read beyond it, so nothing is lost.
 */
export function offsetOf(value: bigint): number {
  const offset = Number(value);
  if (!isOffset(offset)) throw new MalformedError(`it has offset ${value}, which is none between 0 and 2^53 - 1`);
  return offset;
}
