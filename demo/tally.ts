/**
 * Counts things that are numbered from 0, one byte each, however many there are: a single count stays at 255, the totals
 * are exact.
 */
export class Tally {
  readonly #counts: Uint8Array;
  #distinct = 0;
  #repeated = 0;
  #foreign = 0;

  /** @param size numbers from 0 to `size - 1` belong here */
  constructor(size: number) {
    this.#counts = new Uint8Array(size);
  }

  /** Counts one; true where it is the first of its number. A number that does not belong here is foreign. */
  add(index: number | undefined): boolean {
    const count = index === undefined ? undefined : this.#counts[index];
    if (index === undefined || count === undefined) {
      this.#foreign += 1;
      return false;
    }
    this.#counts[index] = Math.min(count + 1, 255);
    if (count > 0) {
      this.#repeated += 1;
      return false;
    }
    this.#distinct += 1;
    return true;
  }

  has(index: number): boolean {
    return (this.#counts[index] ?? 0) > 0;
  }

  /** Different numbers that were counted. */
  get distinct(): number {
    return this.#distinct;
  }

  /** How many were counted again: the second, third, ... of a number. */
  get repeated(): number {
    return this.#repeated;
  }

  get foreign(): number {
    return this.#foreign;
  }
}
