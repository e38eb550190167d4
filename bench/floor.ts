import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import type { DrainResult } from './report.js';
import { memoryPeakBytes, Usage } from './usage.js';

const FLOOR = fileURLToPath(new URL('./floorProcess.ts', import.meta.url));

/** Drains a backlog without Temporal, in a process of its own as the daemon is one. */
export async function drainByFloor(stack: Stack, backlog: Backlog): Promise<DrainResult> {
  const { topic, replyTopic, table } = backlog;
  const job = { brokers: stack.kafka.brokers, clickhouse: stack.clickhouse.url, topic, replyTopic, table };
  const child = spawn(process.execPath, ['--import', 'tsx', FLOOR, JSON.stringify(job)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const usage = new Usage(stack, child.pid ?? 0);
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    usage.begin();
    const startedAt = performance.now();
    await backlog.untilAcknowledged();
    const seconds = (performance.now() - startedAt) / 1000;
    return {
      recordsPerSecond: backlog.records / seconds,
      cpuSecondsPerMillion: usage.perMillion(backlog.records),
      memoryPeakBytes: memoryPeakBytes(child.pid ?? 0),
    };
  } finally {
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('close', resolve));
  }
}
