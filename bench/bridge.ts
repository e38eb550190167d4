import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { ConfigInput } from '../src/config/schema.js';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import { drain, type DrainResult } from './drain.js';

/** `dist/cli.js` of this build. */
const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Drains a backlog by a daemon of its own. */
export async function drainByBridge(
  stack: Stack,
  backlog: Backlog,
  { cli = CLI, signalMaxRecords }: { cli?: string; signalMaxRecords?: number } = {},
): Promise<DrainResult> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-bench-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, stringify(config(stack, backlog, signalMaxRecords)));
  try {
    return await drain(stack, backlog, {
      args: [cli, 'run', '--config', file],
      startedOutput: '"Partitions assigned"',
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function config(stack: Stack, backlog: Backlog, signalMaxRecords?: number): ConfigInput {
  return {
    kafka: { brokers: [...stack.kafka.brokers] },
    temporal: { address: stack.temporal.address, taskQueue: backlog.name },
    clickhouse: { url: stack.clickhouse.url },
    http: { listen: '127.0.0.1:0' },
    log: { format: 'json' },
    pipelines: {
      [backlog.name]: {
        topics: [backlog.topic],
        table: backlog.table,
        batchers: 8,
        reply: { topic: backlog.replyTopic },
        deadLetter: { topic: backlog.deadLetterTopic },
        ...(signalMaxRecords === undefined ? {} : { signal: { maxRecords: signalMaxRecords } }),
      },
    },
  };
}
