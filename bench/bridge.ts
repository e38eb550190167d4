import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { ConfigInput } from '../src/config/schema.js';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import { memoryPeakBytes, Usage } from './usage.js';
import type { DrainResult } from './report.js';

const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

/** Drains a backlog by a daemon of its own, from the moment it is ready to the last acknowledgement. */
export async function drainByBridge(stack: Stack, backlog: Backlog, signalMaxRecords?: number): Promise<DrainResult> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-bench-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, stringify(config(stack, backlog, signalMaxRecords)));
  const child = spawn(process.execPath, [CLI, 'run', '--config', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const usage = new Usage(stack, child.pid ?? 0);
  try {
    await untilRunning(child.stdout);
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
    await once(child, 'close');
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

async function untilRunning(output: NodeJS.ReadableStream): Promise<void> {
  let log = '';
  output.on('data', (text: Buffer) => {
    log += text.toString();
  });
  for (const deadline = Date.now() + 60_000; !log.includes('"Partitions assigned"');) {
    await sleep(10);
    if (Date.now() > deadline) throw new Error(`the daemon did not start:\n${log}`);
  }
}
