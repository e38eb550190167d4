import { pino, type Logger as PinoLogger } from 'pino';
import { pretty } from './prettyLog.js';

export type Logger = PinoLogger;

/** Creates the logger. `auto` is pretty on a terminal and JSON lines elsewhere. */
export function createLogger({ level, format }: { level: string; format: 'auto' | 'json' | 'pretty' }): Logger {
  const onTerminal = format === 'pretty' || (format === 'auto' && process.stdout.isTTY);
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    messageKey: 'message',
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return onTerminal ? pino(options, pretty()) : pino(options);
}

/**
 * Logs the changes of a state, and nothing while it lasts: one line when something goes wrong or the reason changes,
 * and one when it is well again.
 */
export class StateLog {
  readonly #logger: Logger;
  readonly #problems = new Map<string, string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** @param what names the state: `kafka`, `pipeline orders` */
  problem(what: string, problem: string): void {
    if (this.#problems.get(what) === problem) return;
    this.#problems.set(what, problem);
    this.#logger.warn({ what }, problem);
  }

  well(what: string, message: string): void {
    if (this.#problems.delete(what)) this.#logger.info({ what }, message);
  }
}
