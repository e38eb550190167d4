import { setTimeout as sleep } from 'node:timers/promises';
import type { Worker } from '@temporalio/worker';
import { messageOf } from '../lib/messageOf.js';
import { retryDelayMs, STEADY_MS } from '../lib/retryDelay.js';
import type { StateLog } from '../telemetry/logging.js';

/** What is needed of Temporal's worker. */
export type TemporalWorker = Pick<Worker, 'run' | 'shutdown' | 'getState'>;

export interface LastingWorkerOptions {
  readonly taskQueue: string;
  readonly create: () => Promise<TemporalWorker>;
  readonly stateLog: Pick<StateLog, 'problem' | 'well'>;
  /** Called when the worker has failed. It is started again later. */
  readonly failed: () => void;
  /** The time before the first restart, in milliseconds. Default: 1 s. It doubles with each failure, up to a minute. */
  readonly firstDelayMs?: number;
}

const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 60_000;

/**
 * A Temporal worker that is replaced by a new one when it fails. The SDK ends a worker after an answer that looks
 * final: no permission, no such namespace, an expired API key. Such a problem may pass, and it must not stop the
 * consumers.
 *
 *     running ──failure──► waiting ──delay──► running ──drain──► ended
 *        └──shut down by others──► running
 *
 * Others shut it down to have a new one: `FollowingConnection` does.
 */
export class LastingWorker {
  readonly #options: LastingWorkerOptions;
  readonly #ending = new AbortController();
  #worker: TemporalWorker | null = null;
  #failure: string | null = null;
  #ended: Promise<void> = Promise.resolve();

  constructor(options: LastingWorkerOptions) {
    this.#options = options;
  }

  /** Why it does not work now. Null if it works. */
  get problem(): string | null {
    const state = this.#worker?.getState() ?? 'starting';
    if (state === 'RUNNING') return null;
    const { taskQueue } = this.#options;
    return this.#failure ?? `the worker of ${taskQueue} is ${state.toLowerCase()}`;
  }

  /** Never throws. A worker that cannot be created counts as failed. */
  start(): void {
    this.#ended = this.#run();
  }

  /** Takes no more tasks. Resolves when the running tasks are done or given up. */
  async drain(): Promise<void> {
    this.#ending.abort();
    if (this.#worker?.getState() === 'RUNNING') this.#worker.shutdown();
    await this.#ended;
  }

  async #run(): Promise<void> {
    let failures = 0;
    const { signal } = this.#ending;
    while (!this.#isEnding()) {
      const startedMs = performance.now();
      try {
        this.#worker = await this.#options.create();
        await this.#work(this.#worker);
        if (this.#isEnding()) return;
      } catch (error) {
        if (this.#isEnding()) return;
        failures = performance.now() - startedMs >= STEADY_MS ? 1 : failures + 1;
        this.#fail(error);
        const firstMs = this.#options.firstDelayMs ?? FIRST_DELAY_MS;
        const delayMs = retryDelayMs(failures, { firstMs, longestMs: LONGEST_DELAY_MS }, Math.random());
        await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  #isEnding(): boolean {
    return this.#ending.signal.aborted;
  }

  async #work(worker: TemporalWorker): Promise<void> {
    const steady = setTimeout(() => {
      const { stateLog, taskQueue } = this.#options;
      this.#failure = null;
      stateLog.well(`worker of ${taskQueue}`, `The worker of ${taskQueue} works again`);
    }, STEADY_MS);
    steady.unref();
    try {
      const running = worker.run();
      // A drain has come while it was made. One that never ran would keep the connection to Temporal.
      if (this.#isEnding()) worker.shutdown();
      await running;
    } finally {
      clearTimeout(steady);
    }
  }

  #fail(error: unknown): void {
    const { taskQueue, stateLog, failed } = this.#options;
    this.#worker = null;
    this.#failure = `the worker of ${taskQueue} has failed and begins anew: ${causes(error)}`;
    stateLog.problem(`worker of ${taskQueue}`, this.#failure);
    failed();
  }
}

/** All causes of an error. The SDK's own message says only that polling has failed. */
function causes(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error ? `${messageOf(error)}: ${causes(cause)}` : messageOf(error);
}
