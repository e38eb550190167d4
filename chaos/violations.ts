/** Enough to see what it is. */
const TEXTS_MAX = 200;

/** What is wrong. All of it is counted, and the first ones have a text: of ten million they would take the memory. */
export class Violations {
  readonly texts: string[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(text: () => string): void {
    this.#count++;
    if (this.texts.length < TEXTS_MAX) this.texts.push(text());
  }

  addAll(other: Violations): void {
    this.#count += other.#count;
    this.texts.push(...other.texts.slice(0, TEXTS_MAX - this.texts.length));
  }
}
