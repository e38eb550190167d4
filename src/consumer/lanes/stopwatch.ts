/** Measures how long a state lasts. Pure. */
export class Stopwatch {
  #sinceMs: number | null = null;

  /** @returns the seconds that it has lasted since the last call */
  update(lasts: boolean, nowMs: number): number {
    const seconds = this.#sinceMs === null ? 0 : Math.max(0, nowMs - this.#sinceMs) / 1000;
    this.#sinceMs = lasts ? nowMs : null;
    return seconds;
  }
}
