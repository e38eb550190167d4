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
  readonly #now: () => number;
  /** By state, its problems: the latest one last, with when it was logged. */
  readonly #problems = new Map<string, Map<string, number>>();

  /** @param now milliseconds, by a clock that is never set back */
  constructor(logger: Logger, now: () => number = () => performance.now()) {
    this.#logger = logger;
    this.#now = now;
  }

  /**
   * Logs a problem if it is another one than the last, and was not logged within a minute: several flushes may find
   * different problems in turn, when one part goes away.
   *
   * @param what names the state: `kafka`, `pipeline orders`
   */
  problem(what: string, problem: string): void {
    const known = this.#problems.get(what) ?? new Map<string, number>();
    this.#problems.set(what, known);
    if ([...known.keys()].at(-1) === problem) return;
    const nowMs = this.#now();
    const loggedAtMs = known.get(problem) ?? -Infinity;
    const isDue = nowMs - loggedAtMs >= REPEAT_AFTER_MS;
    for (const [other, atMs] of known) if (nowMs - atMs >= REPEAT_AFTER_MS) known.delete(other);
    known.delete(problem);
    known.set(problem, isDue ? nowMs : loggedAtMs);
    if (isDue) this.#logger.warn({ what }, problem);
  }

  well(what: string, message: string): void {
    if (this.#problems.delete(what)) this.#logger.info({ what }, message);
  }
}

const REPEAT_AFTER_MS = 60_000;
