/** SIGINT or SIGTERM has ended a command before its end. */
export class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

/**
 * Notes SIGINT and SIGTERM, so that a command can end where it can say what it has done. A second signal ends the
 * process at once.
 */
export class Interruption {
  #signal: NodeJS.Signals | null = null;
  readonly #note = (signal: NodeJS.Signals): void => {
    this.#signal = signal;
  };

  constructor() {
    process.once('SIGINT', this.#note).once('SIGTERM', this.#note);
  }

  /** @throws InterruptedError after a signal */
  check(): void {
    if (this.#signal !== null) throw new InterruptedError(`ended by ${this.#signal} before all was done`);
  }

  /** Signals are no longer noted. */
  close(): void {
    process.off('SIGINT', this.#note).off('SIGTERM', this.#note);
  }
}
