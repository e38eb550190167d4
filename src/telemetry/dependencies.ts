import { setTimeout as sleep } from 'node:timers/promises';
import type { StateLog } from './logging.js';
import type { Dependency, Metrics } from './metrics.js';

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
const CHECK_TIMEOUT_MS = 10_000;

/**
 * Watches the dependencies. Each has a gauge. It logs one line when one goes away or its problem changes, and one when
 * it is back.
 */
export class DependencyMonitor {
  readonly #checks: ReadonlyMap<Dependency, Check>;
  readonly #metrics: Metrics;
  readonly #stateLog: StateLog;
  readonly #problems = new Map<Dependency, string>();
  #stopping = new AbortController();

  constructor(checks: ReadonlyMap<Dependency, Check>, metrics: Metrics, stateLog: StateLog) {
    this.#checks = checks;
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
   * the others from starting. Rejects when stopped before.
   */
  async untilUp(): Promise<void> {
    await Promise.all(
      [...this.#checks].map(async ([dependency, check]) => {
        while (!(await this.#answers(dependency, check)))
          await sleep(1_000, undefined, { signal: this.#stopping.signal });
      }),
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
    const problem = await failure(check);
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
}

async function failure(check: Check): Promise<Error | null> {
  const timeout = new AbortController();
  try {
    await Promise.race([
      check(),
      sleep(CHECK_TIMEOUT_MS, undefined, { signal: timeout.signal, ref: false }).then(() => {
        throw new Error(`does not answer within ${CHECK_TIMEOUT_MS / 1000} s`);
      }),
    ]);
    return null;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    timeout.abort();
  }
}
