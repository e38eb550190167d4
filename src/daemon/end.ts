import { asError } from '../lib/asError.js';
import type { Logger } from '../telemetry/logging.js';

/** The end of the daemon: its signal, or the first fatal error. */
export class End {
  readonly #fatal = new AbortController();
  readonly #logger: Logger;
  /** Aborted when the daemon has to end. */
  readonly signal: AbortSignal;

  constructor(signal: AbortSignal, logger: Logger) {
    this.#logger = logger;
    this.signal = AbortSignal.any([signal, this.#fatal.signal]);
  }

  get exitCode(): 0 | 1 {
    return this.#fatal.signal.aborted ? 1 : 0;
  }

  fatal(error: Error): void {
    if (!this.#fatal.signal.aborted)
      this.#logger.error({ error: error.message }, 'Something failed for good; the daemon ends');
    this.#fatal.abort(error);
  }

  /** A running step has failed. That is fatal, unless the daemon is ending: then the step was cancelled. */
  failed(error: unknown): void {
    if (!this.signal.aborted) this.fatal(asError(error));
  }
}

/** Resolves once the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
