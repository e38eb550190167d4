import { UNCONFIRMED_MAX, type Unconfirmed } from '../protocol/request.js';
import type { PostponedConfirmation } from '../protocol/batcher.js';
import { encodedJsonBytes } from './encodedJsonBytes.js';

/**
 * A confirmation is given up after so many attempts. They take some four minutes, longer than requesters wait by
 * default.
 */
const ATTEMPTS_MAX = 10;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;

/**
 * Confirmations that could not be delivered. They are retried separately, so that batches do not wait for them. Pure.
 * Over {@link UNCONFIRMED_MAX} the oldest is given up.
 */
export class Confirmations {
  #postponed: readonly PostponedConfirmation[];

  constructor(state: readonly PostponedConfirmation[] = []) {
    this.#postponed = state;
  }

  get size(): number {
    return this.#postponed.length;
  }

  /** When the next one is due. Infinity if there is none. */
  get dueAtMs(): number {
    return this.#postponed.reduce((earliest, { dueAtMs }) => Math.min(earliest, dueAtMs), Infinity);
  }

  /** Adds confirmations that have to be retried. One that was not tried yet is due at once. */
  add(unconfirmed: readonly Unconfirmed[], nowMs: number): void {
    const added = unconfirmed
      .filter(({ attempts }) => attempts < ATTEMPTS_MAX)
      .map((item) => ({ ...item, dueAtMs: nowMs + nextTryAfterMs(item.attempts) }));
    this.#postponed = [...this.#postponed, ...added].slice(-UNCONFIRMED_MAX);
  }

  /** Takes out those that are due. */
  takeDue(nowMs: number): Unconfirmed[] {
    const due = this.#postponed.filter(({ dueAtMs }) => dueAtMs <= nowMs);
    this.#postponed = this.#postponed.filter(({ dueAtMs }) => dueAtMs > nowMs);
    return due.map(({ requester, confirmation, attempts }) => ({ requester, confirmation, attempts }));
  }

  /** @param bytesMax bytes of JSON, beyond which the oldest are given up */
  toState(bytesMax = Infinity): readonly PostponedConfirmation[] {
    let bytes = 0;
    const first = this.#postponed.findLastIndex((item) => (bytes += encodedJsonBytes(item) + 1) > bytesMax);
    return this.#postponed.slice(first + 1);
  }
}

function nextTryAfterMs(attempts: number): number {
  return attempts === 0 ? 0 : Math.min(RETRY_MIN_MS * 2 ** (attempts - 1), RETRY_MAX_MS);
}
