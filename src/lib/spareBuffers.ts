/**
 * Buffers of one size that are used again and again. New ones would cost more than what is written into them: the kernel
 * has to provide each page, and V8 collects garbage after so many new bytes, whoever wrote them. Without this, half of
 * the collections at full load were for rows and acknowledgements (measured).
 *
 * Whoever gives a buffer back must be sure that nobody reads or writes it any more, not even a socket. In doubt it is
 * left to the garbage collector, which costs nothing but time.
 */
export class SpareBuffers {
  /** The size of each buffer. */
  readonly bytes: number;
  readonly #countMax: number;
  readonly #spare: Buffer[] = [];

  /** @param countMax how many are kept while nobody uses them */
  constructor(bytes: number, countMax: number) {
    this.bytes = bytes;
    this.#countMax = countMax;
  }

  /** @returns a buffer of this size, or a larger one if so much is needed. It may have any content */
  take(bytesMin = 0): Buffer {
    if (bytesMin > this.bytes) return Buffer.allocUnsafeSlow(bytesMin);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(this.bytes);
  }

  /** Keeps a buffer for the next one who takes one, unless it is a larger one or enough are kept. */
  give(buffer: Buffer): void {
    if (buffer.length === this.bytes && this.#spare.length < this.#countMax) this.#spare.push(buffer);
  }
}
