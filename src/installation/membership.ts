import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../lib/messageOf.js';
import type { StateLog } from '../telemetry/logging.js';
import type { Installations } from './installations.js';

const RETRY_MS = 2_000;
/** Replicas and tables come and go: what is known of an installation is kept up to date at this interval. */
const WATCH_MS = 60_000;

/** Settles which installation a process belongs to, before it does anything, and again and again. */
export class Membership {
  readonly #installations: Pick<Installations, 'settle'>;
  readonly #stateLog: StateLog;
  #problem: string | null = 'it is not settled yet';

  constructor(installations: Pick<Installations, 'settle'>, stateLog: StateLog) {
    this.#installations = installations;
    this.#stateLog = stateLog;
  }

  /** What is wrong now. */
  get problems(): readonly string[] {
    return this.#problem === null ? [] : [`installation: ${this.#problem}`];
  }

  /** Resolves when all pipelines are this installation's. Rejects when stopped before. */
  async untilSettled(ending: AbortSignal): Promise<void> {
    while (!(await this.#settle())) await sleep(RETRY_MS, undefined, { signal: ending });
    ending.throwIfAborted();
  }

  /** Goes on until it is stopped. Never rejects. */
  async watch(ending: AbortSignal): Promise<void> {
    try {
      for (;;) {
        // What has failed makes this process unready: it is tried again soon.
        const intervalMs = this.#problem === null ? WATCH_MS : RETRY_MS;
        await sleep(intervalMs, undefined, { signal: ending, ref: false });
        await this.#settle();
      }
    } catch (error) {
      // The only rejection of an abortable sleep is the abort.
      if (!ending.aborted) throw error;
    }
  }

  async #settle(): Promise<boolean> {
    try {
      await this.#installations.settle();
      this.#problem = null;
      this.#stateLog.well('installation', 'The pipelines belong to this installation again');
      return true;
    } catch (error) {
      this.#problem = messageOf(error);
      this.#stateLog.problem('installation', this.#problem);
      return false;
    }
  }
}
