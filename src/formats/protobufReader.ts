import { BinaryReader, endsEarly } from './binaryReader.js';
import { UndecodableError } from './errors.js';

/** Reads Protobuf's binary encoding. */
export class ProtobufReader extends BinaryReader {
  /** The lower and the upper half of the last number of 64 bits, neither with a sign. */
  low = 0;
  high = 0;
  /** Of the work that the bytes may take, in the tags that are read. */
  stepsLeft = 0;

  /** Reads a number of variable length into {@link low} and {@link high}. @returns low */
  varint(): number {
    const { bytes, end } = this;
    let { at } = this;
    let low = 0;
    for (let shift = 0; shift < 28; shift += 7) {
      if (at >= end) throw endsEarly();
      const byte = bytes[at++] as number;
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return this.#read(at, low, 0);
    }
    if (at >= end) throw endsEarly();
    const middle = bytes[at++] as number;
    low |= (middle & 0x0f) << 28;
    let high = (middle & 0x70) >>> 4;
    if (middle < 0x80) return this.#read(at, low, high);
    for (let shift = 3; shift < 38; shift += 7) {
      if (at >= end) throw endsEarly();
      const byte = bytes[at++] as number;
      // Of the tenth byte only one bit counts.
      high |= shift < 31 ? (byte & 0x7f) << shift : (byte & 0x01) << 31;
      if (byte < 0x80) return this.#read(at, low, high);
    }
    throw new UndecodableError('a number has more than 64 bits');
  }

  #read(at: number, low: number, high: number): number {
    this.at = at;
    this.low = low >>> 0;
    this.high = high >>> 0;
    return this.low;
  }

  /** Passes over the number and the wire type of a field. @returns both, as they are written */
  tag(): number {
    this.step(1);
    const tag = this.varint();
    if (this.high !== 0 || tag >>> 3 === 0) throw new UndecodableError('a field has an impossible number');
    return tag;
  }

  fixed32(): number {
    return this.bytes.readUInt32LE(this.skip(4));
  }

  /** Reads 8 bytes into {@link low} and {@link high}. */
  fixed64(): void {
    const at = this.skip(8);
    this.low = this.bytes.readUInt32LE(at);
    this.high = this.bytes.readUInt32LE(at + 4);
  }

  /** The length of what follows, all of which is there. */
  size(): number {
    const size = this.varint();
    if (this.high !== 0 || size > this.end - this.at) throw endsEarly();
    return size;
  }

  step(count: number): void {
    this.stepsLeft -= count;
    if (this.stepsLeft < 0) throw new UndecodableError('it takes too much work for its size');
  }

  /** Passes over the value after a tag. @returns where it ends if it is a group, before the tag that ends it */
  skipValue(tag: number): number {
    switch (tag & 7) {
      case WIRE.varint:
        this.varint();
        return NO_GROUP;
      case WIRE.fixed64:
        this.skip(8);
        return NO_GROUP;
      case WIRE.sized:
        this.skip(this.size());
        return NO_GROUP;
      case WIRE.group:
        return this.#groupEnd(tag);
      case WIRE.fixed32:
        this.skip(4);
        return NO_GROUP;
      default:
        throw new UndecodableError('a value has an impossible encoding');
    }
  }

  #groupEnd(begin: number): number {
    const last = (begin & ~7) | WIRE.groupEnd;
    this.enter();
    for (;;) {
      const { at } = this;
      const tag = this.tag();
      if (tag === last >>> 0) {
        this.leave();
        return at;
      }
      this.skipValue(tag);
    }
  }
}

/** How a value is written, in the last three bits of its tag. */
export const WIRE = { varint: 0, fixed64: 1, sized: 2, group: 3, groupEnd: 4, fixed32: 5 } as const;

const NO_GROUP = -1;
