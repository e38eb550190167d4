import { fileURLToPath } from 'node:url';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import { drain, type DrainResult } from './drain.js';

const FLOOR = fileURLToPath(new URL('./floorProcess.ts', import.meta.url));

/** Drains a backlog without Temporal, in a process of its own as the daemon is one. */
export function drainByFloor(stack: Stack, backlog: Backlog): Promise<DrainResult> {
  const { topic, replyTopic, table } = backlog;
  const job = { brokers: stack.kafka.brokers, clickhouse: stack.clickhouse.url, topic, replyTopic, table };
  return drain(stack, backlog, {
    args: ['--import', 'tsx', FLOOR, JSON.stringify(job)],
    startedOutput: 'assigned',
  });
}
