import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../lib/messageOf.js';
import type { StateLog } from '../telemetry/logging.js';
import type { Installations } from './installations.js';

const RETRY_MS = 2_000;
/** How often the claims are updated. Replicas and tables come and go. */
const WATCH_MS = 60_000;

/** Settles which installation a process belongs to: once before the process does anything, then at intervals. */
export class InstallationWatch {
  readonly #installations: Pick<Installations, 'settle'>;
  readonly #stateLog: StateLog;
  #problem: string | null = 'it is not settled yet';

  constructor(installations: Pick<Installations, 'settle'>, stateLog: StateLog) {
    this.#installations = installations;
    this.#stateLog = stateLog;
  }

  /** What stands in the way of readiness. */
  get problems(): readonly string[] {
    return this.#problem === null ? [] : [`installation: ${this.#problem}`];
  }

  /** Resolves when all pipelines are this installation's. Rejects if the process ends before. */
  async untilSettled(ending: AbortSignal): Promise<void> {
    // A part that hangs must not keep the process from ending. Nothing has begun yet.
    const ended = once(ending, 'abort').then(() => true);
    while (!ending.aborted && !(await Promise.race([this.#settle(), ended])))
      await sleep(RETRY_MS, undefined, { signal: ending });
    ending.throwIfAborted();
  }

  /** Updates the claims until the process ends. Never rejects. */
  async watch(ending: AbortSignal): Promise<void> {
    try {
      for (;;) {
        // After a failure this process is not ready, so it tries again soon.
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
