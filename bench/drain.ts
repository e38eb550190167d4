import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../stack/index.js';
import { Watchdog } from '../stack/processes.js';
import type { Destination } from './destination.js';
import { memoryPeakBytes, Usage, type CpuSeconds } from './usage.js';

/** What a drain costs. */
export interface DrainResult {
  readonly recordsPerSecond: number;
  readonly cpuSecondsPerMillion: CpuSeconds;
  /** Of what is measured, that which only its main threads have used: no process can be faster than its main thread. */
  readonly mainThreadSecondsPerMillion: number;
  /** Of all processes that are measured together. */
  readonly memoryPeakBytes: number;
}

/** Processes that drain a backlog together. */
export type Drainer = readonly DrainerProcess[];

/** One of them. */
interface DrainerProcess {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it prints once it has its partitions: the clock starts then. Without, it starts at once. */
  readonly startedOutput?: string;
}

/**
 * What the image and the chart set, too: glibc otherwise keeps, in arenas of each thread, some 60 MiB that nothing uses.
 */
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

/** Ends and removes what is left of a benchmark that is killed. */
export const watchdog = new Watchdog();
const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 60_000;

/**
 * From the moment the processes have their partitions to the last acknowledgement.
 *
 * @param atEnd is called after it, while they still run
 */
export async function drain(
  stack: Stack,
  destination: Destination,
  drainer: Drainer,
  atEnd: () => Promise<void> = () => Promise.resolve(),
): Promise<DrainResult> {
  return whileDrainerRuns(stack, drainer, async (usage, pids) => {
    const startedAt = performance.now();
    const { records } = destination.backlog.scenario;
    await destination.untilAcknowledged();
    const seconds = (performance.now() - startedAt) / 1000;
    const result = {
      recordsPerSecond: records / seconds,
      cpuSecondsPerMillion: usage.perMillion(records),
      mainThreadSecondsPerMillion: usage.mainThreadPerMillion(records),
      memoryPeakBytes: memoryPeakBytes(pids),
    };
    await atEnd();
    return result;
  });
}

/** Starts the processes, measures once they have their partitions, and stops them. */
export async function whileDrainerRuns<T>(
  stack: Stack,
  drainer: Drainer,
  measure: (usage: Usage, pids: readonly number[]) => Promise<T>,
): Promise<T> {
  const running = new RunningDrainer(drainer);
  try {
    await running.untilStarted();
    const usage = new Usage(stack, running.pids);
    usage.begin();
    return await Promise.race([
      measure(usage, running.pids),
      running.ended.then(() => Promise.reject(new Error('what is measured has ended'))),
    ]);
  } finally {
    await running.end();
  }
}

/** A drainer whose processes have been started. */
export class RunningDrainer {
  readonly #processes;
  /** Resolves when one of them has ended. */
  readonly ended: Promise<unknown>;

  constructor(drainer: Drainer) {
    this.#processes = drainer.map(({ command, args, env, startedOutput }) => {
      const child = spawn(command, args, {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, ...ENVIRONMENT, ...env },
        // A process group of its own, which the watchdog kills if the benchmark is killed.
        detached: true,
      });
      const { pid } = child;
      if (pid !== undefined) {
        watchdog.guardProcess(pid);
        child.once('close', () => watchdog.releaseProcess(pid));
      }
      let printed = '';
      child.stdout.on('data', (data: Buffer) => {
        if (startedOutput !== undefined && !printed.includes(startedOutput)) printed += data.toString();
      });
      const hasStarted = (): boolean => startedOutput === undefined || printed.includes(startedOutput);
      const closed = new Promise((resolve) => child.once('close', resolve));
      return { child, closed, hasStarted, printed: () => printed };
    });
    this.ended = Promise.race(this.#processes.map(({ closed }) => closed));
  }

  get pids(): number[] {
    return this.#processes.map(({ child }) => child.pid ?? 0);
  }

  async untilStarted(): Promise<void> {
    for (const deadline = Date.now() + START_WITHIN_MS; !this.#processes.every(({ hasStarted }) => hasStarted());) {
      const hasEnded = await Promise.race([sleep(10), this.ended.then(() => true)]);
      if (hasEnded === true || Date.now() > deadline) {
        const printed = this.#processes.map((each) => each.printed()).join('\n');
        throw new Error(`what is to be measured did not start:\n${printed}`);
      }
    }
  }

  /** Stops all processes, by SIGKILL if they have not ended after a while. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await Promise.all(
      this.#processes.map(async ({ child, closed }) => {
        child.kill(signal);
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS);
        await closed;
        clearTimeout(timer);
      }),
    );
  }
}
