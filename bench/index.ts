import { Command } from 'commander';
import { startStack } from '../stack/index.js';
import { Backlog } from './backlog.js';
import { drainByBridge } from './bridge.js';
import type { DrainResult } from './drain.js';
import { drainByFloor } from './floor.js';
import { measureLatency, reportLatency, type Latency } from './latency.js';
import { report, type Drain } from './report.js';

/**
 * `npm run bench`: how fast a backlog is drained, end to end with acknowledgements, by the bridge; beside it, in the same
 * run and in turns, by the bridge with one record a signal, and by the floor: the same consumer, decoding, inserting and
 * acknowledging in one process without Temporal in between. With `--latency` it measures instead how long
 * acknowledgements take at steady rates. Figures of one run are comparable with each other, not with
 * another machine's.
 */
const { rounds, records, single, baseline, latency, svg } = new Command('bench')
  .option('--rounds <count>', 'rounds of all', Number, 3)
  .option('--records <count>', 'records of the backlog', Number, 400_000)
  .option('--single <count>', 'records of the backlog for one record a signal; 0: leave it out', Number, 2_000)
  .option('--baseline <file>', 'dist/cli.js of another build, to be measured beside this one')
  .option(
    '--latency <rates>',
    'instead: how long acknowledgements take at these records/s, such as 100,1000',
    (text: string) => text.split(',').map(Number),
    [],
  )
  .option('--svg <file>', 'write a chart of the medians')
  .parse()
  .opts<{ rounds: number; records: number; single: number; baseline?: string; latency: number[]; svg?: string }>();

const stack = await startStack({
  onProgress: ({ part, step, state }) => {
    if (state === 'started') console.error(`[${part}] ${step}`);
  },
});

interface Variant {
  readonly name: string;
  readonly records: number;
  readonly drain: (backlog: Backlog) => Promise<DrainResult>;
}

const variants: readonly Variant[] = [
  { name: 'bridge', records, drain: (backlog) => drainByBridge(stack, backlog) },
  ...(baseline === undefined
    ? []
    : [{ name: 'baseline', records, drain: (backlog: Backlog) => drainByBridge(stack, backlog, { cli: baseline }) }]),
  ...(single === 0
    ? []
    : [
        {
          name: 'one record a signal',
          records: single,
          drain: (backlog: Backlog) => drainByBridge(stack, backlog, { pipeline: { signal: { maxRecords: 1 } } }),
        },
      ]),
  { name: 'floor', records, drain: (backlog) => drainByFloor(stack, backlog) },
];

try {
  if (latency.length > 0) await measureLatencies();
  else await measureDrains();
} finally {
  await stack.stop();
}

async function measureLatencies(): Promise<void> {
  const latencies: Latency[] = [];
  const builds = [{ variant: 'bridge' }, ...(baseline === undefined ? [] : [{ variant: 'baseline', cli: baseline }])];
  for (const rate of latency) {
    for (const build of builds) latencies.push(await measureLatency(stack, { ...build, rate }));
    console.error(`${rate} records/s measured`);
  }
  reportLatency(latencies);
}

async function measureDrains(): Promise<void> {
  const drains: Drain[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const { name, records: count, drain } of variants) {
      const backlog = await Backlog.produce(stack, count);
      const result = await drain(backlog);
      await backlog.remove();
      drains.push({ variant: name, records: count, round, ...result });
      console.error(`round ${round}, ${name}: ${Math.round(result.recordsPerSecond).toLocaleString('en')} records/s`);
    }
  }
  report(drains, svg);
}
