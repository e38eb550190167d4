import { fileURLToPath } from 'node:url';
import type { Stack } from '../stack/index.js';
import type { Destination } from './destination.js';
import { drain, type DrainResult } from './drain.js';

const FLOOR = fileURLToPath(new URL('./floorProcess.ts', import.meta.url));

/** Drains a backlog without Temporal, in a process of its own as the daemon is one. */
export function drainByFloor(stack: Stack, destination: Destination): Promise<DrainResult> {
  const { replyTopic, table, name, backlog } = destination;
  const { brokers } = stack.kafka;
  const job = { brokers, clickhouse: stack.clickhouse.url, topic: backlog.topic, replyTopic, table, group: name };
  return drain(stack, destination, [
    {
      command: process.execPath,
      args: ['--import', 'tsx', FLOOR, JSON.stringify(job)],
      startedOutput: 'assigned',
    },
  ]);
}
