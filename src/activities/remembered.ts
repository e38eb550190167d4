/** A map that forgets: the oldest entry when it is full, each a while after it was set. */
export class Remembered<Value> {
  readonly #entriesMax: number;
  readonly #maxAgeMs: number;
  readonly #now: () => number;
  readonly #entries = new Map<string, { readonly value: Value; readonly untilMs: number }>();

  constructor(bounds: { entriesMax: number; maxAgeMs: number }, now: () => number = () => performance.now()) {
    this.#entriesMax = bounds.entriesMax;
    this.#maxAgeMs = bounds.maxAgeMs;
    this.#now = now;
  }

  get(name: string): Value | undefined {
    const entry = this.#entries.get(name);
    return entry !== undefined && this.#now() < entry.untilMs ? entry.value : undefined;
  }

  set(name: string, value: Value): void {
    this.#entries.delete(name);
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size >= this.#entriesMax) this.#entries.delete(oldest);
    this.#entries.set(name, { value, untilMs: this.#now() + this.#maxAgeMs });
  }

  delete(name: string): void {
    this.#entries.delete(name);
  }
}
