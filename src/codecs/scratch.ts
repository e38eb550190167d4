/**
 * Memory for copies that are needed for a moment only: up to the 8 MiB of payload that a chunk of several records has, or
 * the 16 MiB of one record. One buffer is used again and again,
 * because garbage of this size costs more than the copying.
 */
export class Scratch {
  #buffer = Buffer.alloc(0);
  #used = 0;
  /** Bytes that were asked for since the last {@link reset}. */
  #wanted = 0;

  /** Ends the life of all copies. The buffer becomes large enough for as many bytes as they had. */
  reset(): void {
    if (this.#wanted > this.#buffer.length) this.#buffer = Buffer.allocUnsafeSlow(this.#wanted);
    this.#used = 0;
    this.#wanted = 0;
  }

  /** @returns the parts, one after the other, until {@link reset}. A part that is alone is not copied */
  join(parts: readonly Buffer[]): Buffer {
    const [only] = parts;
    if (only !== undefined && parts.length === 1) return only;
    const bytes = parts.reduce((sum, { length }) => sum + length, 0);
    this.#wanted += bytes;
    if (this.#used + bytes > this.#buffer.length) return Buffer.concat(parts, bytes);
    const start = this.#used;
    for (const part of parts) this.#used += part.copy(this.#buffer, this.#used);
    return this.#buffer.subarray(start, this.#used);
  }
}
