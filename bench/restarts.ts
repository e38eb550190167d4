import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '../stack/index.js';
import { Backlog } from './backlog.js';
import { withBridge } from './bridge.js';
import { Destination } from './destination.js';
import { RunningDrainer, type Drainer } from './drain.js';
import { BASELINE } from './scenario.js';

/** How long a part's restart in the midst of a drain keeps acknowledgements away. */
export interface Restart {
  readonly part: string;
  /** From the moment the part answers again, or the process of the bridge is spawned, to the next acknowledgement. */
  readonly seconds: number;
}

interface Context {
  readonly stack: Stack;
  readonly drainer: Drainer;
  readonly running: RunningDrainer;
}

/** Each takes a part away, brings it back, and gives the drainer that runs then. */
const RESTARTS: Readonly<Record<string, (context: Context) => Promise<RunningDrainer>>> = {
  'Kafka, killed': async ({ stack, running }) => {
    for (const broker of stack.parts.kafka) {
      await broker.kill();
      await broker.start();
    }
    return running;
  },
  'Temporal, killed': async ({ stack, running }) => {
    await stack.parts.temporal.kill();
    await stack.parts.temporal.start();
    return running;
  },
  'ClickHouse, killed': async ({ stack, running }) => {
    await stack.parts.clickhouse.kill();
    await stack.parts.clickhouse.start();
    return running;
  },
  'the bridge, stopped': async ({ drainer, running }) => {
    await running.end();
    return new RunningDrainer(drainer);
  },
  'the bridge, killed': async ({ drainer, running }) => {
    await running.end('SIGKILL');
    return new RunningDrainer(drainer);
  },
};

/** The part is restarted when so many records are acknowledged. */
const RESTARTED_AT = 0.2;
/** What was on its way when a part went away may still arrive. */
const STRAGGLERS_MS = 300;

/** Measures each restart on a drain of its own. */
export async function measureRestarts(
  stack: Stack,
  records: number,
  onMeasured: (restart: Restart) => void,
): Promise<Restart[]> {
  const backlog = await Backlog.produce(stack, { ...BASELINE, records });
  const restarts: Restart[] = [];
  for (const part of Object.keys(RESTARTS)) {
    restarts.push({ part, seconds: await measureRestart(stack, backlog, RESTARTS[part]!) });
    onMeasured(restarts.at(-1)!);
  }
  await backlog.remove();
  return restarts;
}

async function measureRestart(
  stack: Stack,
  backlog: Backlog,
  restart: (context: Context) => Promise<RunningDrainer>,
): Promise<number> {
  const destination = await Destination.create(stack, backlog);
  const seconds = await withBridge(stack, destination, {}, async (drainer) => {
    let running = new RunningDrainer(drainer);
    try {
      await destination.untilAcknowledged(backlog.scenario.records * RESTARTED_AT);
      running = await restart({ stack, drainer, running });
      const backAt = performance.now();
      await sleep(STRAGGLERS_MS);
      const acks = await destination.untilAcknowledged(0);
      if (acks >= backlog.scenario.records)
        throw new Error('all was acknowledged before the part was back: take more records');
      await destination.untilAcknowledged(acks + 1);
      const seconds = (performance.now() - backAt) / 1000;
      await destination.untilInserted();
      return seconds;
    } finally {
      await running.end();
    }
  });
  await destination.remove();
  return seconds;
}
