import { BinaryReader, endsEarly } from './binaryReader.js';
import { UndecodableError } from './errors.js';

/** Reads Avro's binary encoding. */
export class AvroReader extends BinaryReader {
  /** The last {@link long} that a number cannot hold exactly. */
  big = 0n;

  /** A whole number of 64 bits. NaN if it needs more than 53, then {@link big} is the number. */
  long(): number {
    const { bytes, end } = this;
    let { at } = this;
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) throw endsEarly();
      const byte = bytes[at++] as number;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        return (low & 1) === 0 ? low >>> 1 : ~(low >>> 1);
      }
    }
    let high = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) throw endsEarly();
      const byte = bytes[at++] as number;
      high |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        this.at = at;
        if (high >= HIGH_OF_NUMBERS) return this.#big((BigInt(high) << 28n) | BigInt(low));
        const folded = high * LOW + low;
        return (low & 1) === 0 ? folded / 2 : -(folded + 1) / 2;
      }
    }
    let folded = (BigInt(high) << 28n) | BigInt(low);
    for (let shift = 56n; shift < 64n; shift += 7n) {
      if (at >= end) throw endsEarly();
      const byte = bytes[at++] as number;
      folded |= BigInt(byte & 0x7f) << shift;
      if (byte >= 0x80) continue;
      if (folded >= BEYOND_64_BITS) break;
      this.at = at;
      return this.#big(folded);
    }
    throw new UndecodableError('a number has more than 64 bits');
  }

  int(): number {
    const value = this.long();
    if (value >= -INT_BEYOND && value < INT_BEYOND) return value;
    throw new UndecodableError('an int has more than 32 bits');
  }

  boolean(): boolean {
    if (this.at >= this.end) throw endsEarly();
    const byte = this.bytes[this.at++] as number;
    if (byte > 1) throw new UndecodableError('a boolean is neither 0 nor 1');
    return byte === 1;
  }

  /** The length of bytes or of a text, all of which is there. */
  size(): number {
    const size = this.long();
    if (size < 0) throw new UndecodableError('a length is negative');
    // NaN stands for more than 2^53.
    if (!(size <= this.end - this.at)) throw endsEarly();
    return size;
  }

  /** The number of items in the next block of an array or a map. 0 ends them. */
  blockItems(): number {
    const items = this.long();
    if (items >= 0) return items;
    if (Number.isNaN(items)) throw new UndecodableError('a block has more items than can be');
    // Then the block's size in bytes follows, for readers that skip it.
    this.long();
    return -items;
  }

  #big(folded: bigint): number {
    this.big = (folded & 1n) === 0n ? folded >> 1n : -(folded >> 1n) - 1n;
    return NaN;
  }
}

const LOW = 2 ** 28;
/** Below it, the two parts together have 53 bits. */
const HIGH_OF_NUMBERS = 2 ** 25;
const BEYOND_64_BITS = 2n ** 64n;
const INT_BEYOND = 2 ** 31;
