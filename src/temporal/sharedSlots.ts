import { NoAnswerError, within } from '../lib/within.js';

/**
 * Slots that all callers of a process share, for questions to one server. If a question gets no answer in time, and no other
 * one got any meanwhile, those that wait for a slot are not asked: they would wait as long, one after the other.
 *
 * @throws NoAnswerError for each of them
 */
export class SharedSlots {
  readonly #waiting: { readonly begin: () => void; readonly giveUp: (error: NoAnswerError) => void }[] = [];
  readonly #waitMs: number;
  #free: number;
  /** When the last question was answered, also by an error. */
  #answeredAtMs = -Infinity;

  /** @param waitMs for an answer, from when the question is asked */
  constructor(slots: number, waitMs: number) {
    this.#free = slots;
    this.#waitMs = waitMs;
  }

  /** Asks when there is a slot. A question without an answer in time goes on, and keeps no slot. */
  async ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((begin, giveUp) => this.#waiting.push({ begin, giveUp }));
    try {
      const answer = await within(question(), this.#waitMs);
      this.#answeredAtMs = performance.now();
      return answer;
    } catch (error) {
      if (!(error instanceof NoAnswerError)) this.#answeredAtMs = performance.now();
      else if (performance.now() - this.#answeredAtMs >= this.#waitMs)
        for (const { giveUp } of this.#waiting.splice(0)) giveUp(error);
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next.begin();
    }
  }
}
