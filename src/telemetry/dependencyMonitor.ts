import { setTimeout as sleep } from 'node:timers/promises';
import type { StateLog } from './logging.js';
import type { Dependency, Metrics } from './metrics.js';
import { asError } from '../lib/asError.js';
import { unlessAborted } from '../lib/unlessAborted.js';

/**
 * Rejects, with a message that says what to do, while the dependency cannot be used. Rejects with
 * {@link PartialProblem} if some pipelines can work.
 */
export type Check = () => Promise<void>;

/** The dependency answers, but lacks something that some pipelines need. */
export class PartialProblem extends Error {
  override readonly name = 'PartialProblem';
}

const RECHECK_MS = 5_000;
const TIMEOUTS = { checkMs: 10_000, lostMs: 60_000 };

/**
 * Watches the dependencies. Each has a gauge. It logs one line when one goes away or its problem changes, and one when
 * it is back.
 */
export class DependencyMonitor {
  readonly #checks: ReadonlyMap<Dependency, Check>;
  readonly #metrics: Metrics;
  readonly #stateLog: StateLog;
  readonly #timeouts: typeof TIMEOUTS;
  readonly #problems = new Map<Dependency, string>();
  readonly #running = new Map<Dependency, { readonly sinceMs: number; readonly check: Promise<void> }>();
  #stopping = new AbortController();

  /** @param timeouts after how long a check counts as not answered, and after how long as lost */
  constructor(checks: ReadonlyMap<Dependency, Check>, metrics: Metrics, stateLog: StateLog, timeouts = TIMEOUTS) {
    this.#checks = checks;
    this.#timeouts = timeouts;
    this.#metrics = metrics;
    this.#stateLog = stateLog;
    for (const dependency of checks.keys()) {
      this.#problems.set(dependency, 'has not been reached yet');
      metrics.dependencyUp.set({ dependency }, 0);
    }
  }

  /** The present problems, one line each. */
  get problems(): readonly string[] {
    return [...this.#problems].map(([dependency, problem]) => `${dependency}: ${problem}`);
  }

  /**
   * Resolves when every dependency has answered once since the start. A problem of some pipelines only does not stop
   * the others from starting. Rejects when stopped before, without the answers that are due: a part that hangs must not
   * keep the process from ending in time.
   */
  async untilUp(): Promise<void> {
    const { signal } = this.#stopping;
    await unlessAborted(
      signal,
      Promise.all(
        [...this.#checks].map(async ([dependency, check]) => {
          while (!(await this.#answers(dependency, check))) await sleep(1_000, undefined, { signal });
        }),
      ),
    );
  }

  /** Repeats the checks until {@link stop}. */
  async watch(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await sleep(RECHECK_MS, undefined, { signal: this.#stopping.signal, ref: false }).catch(() => undefined);
      await Promise.all([...this.#checks].map(([dependency, check]) => this.#answers(dependency, check)));
    }
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #answers(dependency: Dependency, check: Check): Promise<boolean> {
    const running = this.#run(dependency, check);
    const problem = await failure(running, this.#timeouts.checkMs);
    if (!(problem instanceof TooSlow)) this.#running.delete(dependency);
    const answers = problem === null || problem instanceof PartialProblem;
    if (this.#stopping.signal.aborted) return answers;
    this.#metrics.dependencyUp.set({ dependency }, problem === null ? 1 : 0);
    if (problem === null) {
      this.#problems.delete(dependency);
      this.#stateLog.well(dependency, `${dependency} is usable again`);
    } else {
      this.#problems.set(dependency, problem.message);
      this.#stateLog.problem(dependency, problem.message);
    }
    return answers;
  }

  /**
   * A check that is too slow goes on, and the next round waits for its answer. If each round began it anew, it might never
   * end. A check that has not ended after a minute counts as lost.
   */
  #run(dependency: Dependency, begin: Check): Promise<void> {
    const running = this.#running.get(dependency);
    if (running !== undefined && performance.now() - running.sinceMs < this.#timeouts.lostMs) return running.check;
    const check = begin();
    this.#running.set(dependency, { sinceMs: performance.now(), check });
    return check;
  }
}

class TooSlow extends Error {}

async function failure(running: Promise<void>, timeoutMs: number): Promise<Error | null> {
  const timeout = new AbortController();
  try {
    await Promise.race([
      running,
      sleep(timeoutMs, undefined, { signal: timeout.signal, ref: false }).then(() => {
        throw new TooSlow(`does not answer within ${timeoutMs / 1000} s`);
      }),
    ]);
    return null;
  } catch (error) {
    return asError(error);
  } finally {
    timeout.abort();
  }
}
