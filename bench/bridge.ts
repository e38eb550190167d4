import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { ConfigInput } from '../src/config/schema.js';
import type { Stack } from '../stack/index.js';
import { pickPorts } from '../stack/ports.js';
import { CLI } from './arguments.js';
import { Counters, type Counts } from './counters.js';
import type { Destination } from './destination.js';
import { drain, watchdog, type Drainer, type DrainResult } from './drain.js';

/** How the bridge is run. */
export interface BridgeOptions {
  /** `dist/cli.js` of another build. */
  readonly cli?: string;
  /** What differs from the defaults in the configuration of the pipeline. */
  readonly pipeline?: Partial<ConfigInput['pipelines'][string]>;
  /** Where the CPU profiles of its threads are written. */
  readonly profile?: string;
}

/** A drain by the bridge. */
export interface BridgeResult extends DrainResult {
  readonly counts: Counts;
}

/** Drains a backlog by daemons of its own. */
export function drainByBridge(
  stack: Stack,
  destination: Destination,
  options: BridgeOptions = {},
): Promise<BridgeResult> {
  return withBridge(stack, destination, options, async (drainer, counters) => {
    let counts: Counts | undefined;
    const result = await drain(stack, destination, drainer, async () => {
      counts = await counters.counts();
    });
    return { ...result, counts: counts! };
  });
}

/** Writes the configurations of the daemons, and removes them after `use`. */
export async function withBridge<T>(
  stack: Stack,
  destination: Destination,
  options: BridgeOptions,
  use: (drainer: Drainer, counters: Counters) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'ktb-bench-'));
  watchdog.guardDirectory(directory);
  const { processes } = destination.backlog.scenario;
  try {
    const addresses = (await pickPorts(processes.length)).map((port) => `127.0.0.1:${port}`);
    const drainer = processes.map((role, index) => {
      const file = join(directory, `ktb-${index}.yaml`);
      writeFileSync(file, stringify(config(stack, destination, addresses[index]!, options)));
      return {
        command: process.execPath,
        args: [
          ...(options.profile === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', options.profile]),
          ...[options.cli ?? CLI, 'run', '--config', file],
          ...(role === 'both' ? [] : ['--role', role]),
        ],
        startedOutput: role === 'worker' ? '"Running"' : '"Partitions assigned"',
      };
    });
    return await use(drainer, await Counters.of(stack, addresses));
  } finally {
    rmSync(directory, { recursive: true });
    watchdog.releaseDirectory(directory);
  }
}

function config(
  stack: Stack,
  { name, table, replyTopic, deadLetterTopic, backlog }: Destination,
  listen: string,
  { pipeline = {} }: BridgeOptions,
): ConfigInput {
  const { registryUrl } = backlog;
  const { batchers, format } = backlog.scenario;
  return {
    kafka: { brokers: [...stack.kafka.brokers] },
    temporal: { address: stack.temporal.address, taskQueue: name },
    clickhouse: { url: stack.clickhouse.url },
    ...(registryUrl === undefined ? {} : { schemaRegistry: { url: registryUrl } }),
    http: { listen },
    log: { format: 'json' },
    pipelines: {
      [name]: {
        topics: [backlog.topic],
        table,
        ...(format === 'json' ? {} : { format }),
        ...(batchers === 'default' ? {} : { batchers }),
        reply: { topic: replyTopic },
        deadLetter: { topic: deadLetterTopic },
        ...pipeline,
      },
    },
  };
}
