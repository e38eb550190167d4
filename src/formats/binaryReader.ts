import { UndecodableError } from './errors.js';

/**
 * What readers of binary encodings have in common. They read between two places of a buffer, and never beyond. The buffer
 * usually holds other records, too.
 *
 * @throws UndecodableError from each method, if the bytes end too early or are none of the encoding
 */
export class BinaryReader {
  bytes: Buffer = Buffer.alloc(0);
  at = 0;
  end = 0;
  #depth = 0;

  set(bytes: Buffer, from: number, to: number): void {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
    this.#depth = 0;
  }

  float(): number {
    return this.bytes.readFloatLE(this.skip(4));
  }

  double(): number {
    return this.bytes.readDoubleLE(this.skip(8));
  }

  /** Passes over some bytes. @returns where they begin */
  skip(length: number): number {
    const { at } = this;
    if (length > this.end - at) throw endsEarly();
    this.at = at + length;
    return at;
  }

  /** Begins a value that has others in it. */
  enter(): void {
    if (++this.#depth > DEPTH_MAX) throw new UndecodableError('its values are nested too deeply');
  }

  /** Ends what {@link enter} began. */
  leave(): void {
    this.#depth--;
  }
}

/** Values within values. Each takes room on the stack. */
const DEPTH_MAX = 500;

export function endsEarly(): UndecodableError {
  return new UndecodableError('its bytes end too early for its schema');
}
