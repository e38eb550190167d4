import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import type { ConfigInput } from '../src/config/schema.js';
import type { Stack } from '../stack/index.js';
import type { Backlog } from './backlog.js';
import { drain, type Drainer, type DrainResult } from './drain.js';

/** `dist/cli.js` of this build. */
const CLI = fileURLToPath(new URL('../dist/cli.js', import.meta.url));

export interface BridgeOptions {
  /** `dist/cli.js` of another build. */
  readonly cli?: string;
  /** What differs from the defaults in the configuration of the pipeline. */
  readonly pipeline?: Partial<ConfigInput['pipelines'][string]>;
  /** Where it serves metrics. */
  readonly listen?: string;
}

/** Drains a backlog by a daemon of its own. */
export function drainByBridge(stack: Stack, backlog: Backlog, options: BridgeOptions = {}): Promise<DrainResult> {
  return withBridge(stack, backlog, options, (drainer) => drain(stack, backlog, drainer));
}

/** Writes the configuration of a daemon, and removes it after `use`. */
export async function withBridge<T>(
  stack: Stack,
  backlog: Backlog,
  options: BridgeOptions,
  use: (drainer: Drainer) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-bench-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, stringify(config(stack, backlog, options)));
  try {
    return await use({ args: [options.cli ?? CLI, 'run', '--config', file], startedOutput: '"Partitions assigned"' });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function config(stack: Stack, backlog: Backlog, { pipeline = {}, listen = '127.0.0.1:0' }: BridgeOptions): ConfigInput {
  return {
    kafka: { brokers: [...stack.kafka.brokers] },
    temporal: { address: stack.temporal.address, taskQueue: backlog.name },
    clickhouse: { url: stack.clickhouse.url },
    http: { listen },
    log: { format: 'json' },
    pipelines: {
      [backlog.name]: {
        topics: [backlog.topic],
        table: backlog.table,
        batchers: 8,
        reply: { topic: backlog.replyTopic },
        deadLetter: { topic: backlog.deadLetterTopic },
        ...pipeline,
      },
    },
  };
}
