import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import { memoryPeakBytes, Usage, type CpuSeconds } from './usage.js';

export interface DrainResult {
  readonly recordsPerSecond: number;
  readonly cpuSecondsPerMillion: CpuSeconds;
  readonly memoryPeakBytes: number;
}

/** A Node process that drains a backlog. */
export interface Drainer {
  readonly args: readonly string[];
  /** What it prints once it has its partitions: the clock starts then. */
  readonly startedOutput: string;
}

/**
 * What the image and the chart set, too: glibc otherwise keeps, in arenas of each thread, some 60 MiB that nothing uses.
 */
const ENVIRONMENT = { MALLOC_ARENA_MAX: '2', MALLOC_TRIM_THRESHOLD_: '131072' };

const START_WITHIN_MS = 60_000;

/** From the moment the process has its partitions to the last acknowledgement. */
export async function drain(stack: Stack, backlog: Backlog, drainer: Drainer): Promise<DrainResult> {
  return whileDrainerRuns(stack, drainer, async (usage, pid) => {
    const startedAt = performance.now();
    await backlog.untilAcknowledged();
    const seconds = (performance.now() - startedAt) / 1000;
    return {
      recordsPerSecond: backlog.records / seconds,
      cpuSecondsPerMillion: usage.perMillion(backlog.records),
      memoryPeakBytes: memoryPeakBytes(pid),
    };
  });
}

/** Starts the process, measures once it has its partitions, and stops it. */
export async function whileDrainerRuns<T>(
  stack: Stack,
  drainer: Drainer,
  measure: (usage: Usage, pid: number) => Promise<T>,
): Promise<T> {
  const child = spawn(process.execPath, drainer.args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...ENVIRONMENT },
  });
  const closed = new Promise((resolve) => child.once('close', resolve));
  const pid = child.pid ?? 0;
  const usage = new Usage(stack, pid);
  try {
    await untilPrinted(child.stdout, drainer.startedOutput);
    usage.begin();
    return await Promise.race([
      measure(usage, pid),
      closed.then(() => Promise.reject(new Error('what is measured has ended'))),
    ]);
  } finally {
    child.kill('SIGTERM');
    await closed;
  }
}

async function untilPrinted(output: NodeJS.ReadableStream, text: string): Promise<void> {
  let printed = '';
  output.on('data', (data: Buffer) => {
    printed += data.toString();
  });
  for (const deadline = Date.now() + START_WITHIN_MS; !printed.includes(text);) {
    await sleep(10);
    if (Date.now() > deadline) throw new Error(`what is to be measured did not start:\n${printed}`);
  }
}
