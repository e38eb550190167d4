import { NoAnswerError, within } from './within.js';

/**
 * Slots that all callers of a process share, for questions to one server. If one question gets no answer in time, those that
 * wait for a slot are not asked: they would wait as long, one after the other.
 *
 * @throws NoAnswerError for each of them
 */
export class SharedSlots {
  readonly #waiting: { readonly begin: () => void; readonly giveUp: (error: NoAnswerError) => void }[] = [];
  readonly #waitMs: number;
  #free: number;

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
      return await within(question(), this.#waitMs);
    } catch (error) {
      if (error instanceof NoAnswerError) for (const { giveUp } of this.#waiting.splice(0)) giveUp(error);
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next.begin();
    }
  }
}
