import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import { Command } from 'commander';
import { messageOf } from '../src/lib/messageOf.js';
import { startStack, type Stack } from '../stack/index.js';
import { Backlog } from './backlog.js';
import { drainByBridge, type BridgeResult } from './bridge.js';
import { dataDirectory, dataPlaceOf } from './data.js';
import { Destination } from './destination.js';
import type { DrainResult } from './drain.js';
import { drainByFloor } from './floor.js';
import { measureLatency, SHORT_DELAY, type Latency, type LatencyCase } from './latency.js';
import { buildPeer, drainByPeer, PEER_CONFIGURATIONS } from './peer.js';
import { measureRestarts } from './restarts.js';
import { runFacts, type Drain, type Run } from './run.js';
import { BASELINE } from './scenario.js';
import { FACTORS, sweep, USUAL_FACTORS } from './sweep.js';
import {
  drainTable,
  latencyTable,
  MAIN,
  ratioTable,
  requestTable,
  restartTable,
  sweepTable,
  type FigureTable,
} from './tables.js';

/**
 * `npm run bench`: how fast a backlog is drained, end to end with acknowledgements, by the bridge; beside it, in the same
 * run and in turns, by the bridge with one record a signal, by a stream processor written in Go (the peer), and by the
 * floor: the same consumer, decoding, inserting and acknowledging in one process without Temporal in between.
 * `--sweep`, `--latency` and `--restarts` measure more. Figures of one run are comparable with each other, not with
 * another machine's.
 */
interface Options {
  readonly rounds: number;
  readonly records: number;
  readonly single: number;
  readonly baseline?: string;
  readonly sweep?: readonly string[] | true;
  readonly sweepRecords: number;
  readonly latency?: readonly number[] | true;
  readonly restarts?: true;
  readonly peer: boolean;
  readonly data?: string;
  readonly json?: string;
  readonly profile?: string;
}

const LATENCY_RATES = [100, 1_000, 2_000, 5_000, 10_000];
/** At which the default configuration is measured, too. */
const LOW_RATE = 100;

const options = new Command('bench')
  .option('--rounds <count>', 'rounds of all drains; 0: leave them out', Number, 5)
  .option('--records <count>', 'records of the backlog', Number, BASELINE.records)
  .option('--single <count>', 'records of the backlog for one record a signal; 0: leave it out', Number, 2_000)
  .option('--baseline <file>', 'dist/cli.js of another build, to be measured beside this one')
  .option(
    '--sweep [factors]',
    `vary these, one at a time: ${Object.keys(FACTORS).join(',')} (default: ${USUAL_FACTORS.join(',')})`,
    factorsOf,
  )
  .option('--sweep-records <count>', 'records of a backlog of the sweep', Number, 200_000)
  .option(
    '--latency [rates]',
    `how long acknowledgements take at these records/s (default: ${LATENCY_RATES.join(',')})`,
    (text: string) => text.split(',').map(Number),
  )
  .option('--restarts', 'how long a restart of each part keeps acknowledgements away')
  .option('--no-peer', 'leave out the peer, which is built with Go')
  .option(
    '--data <directory>',
    'where Kafka, Temporal and ClickHouse keep their data; disk: as temporary files (default: in memory if there is room)',
  )
  .option('--json <file>', 'write all figures, for `npm run docs`')
  .option('--profile <directory>', "write CPU profiles of the bridge's threads in the drains")
  .parse()
  .opts<Options>();

const facts = runFacts();
const dataIn = await dataDirectory(options.data);
const stack = await startStack({
  ...(dataIn === undefined ? {} : { dataIn }),
  onProgress: ({ part, step, state }) => {
    if (state === 'started') console.error(`[${part}] ${step}`);
  },
});
try {
  let run: Run = { ...facts, data: await dataPlaceOf(stack), drains: [], sweep: [], latencies: [], restarts: [] };
  const measures: ((run: Run) => Promise<Partial<Run>>)[] = [
    async () => (options.rounds === 0 ? {} : { drains: await measureDrains(stack) }),
    async ({ drains }) =>
      options.sweep === undefined ? {} : { sweep: await measureSweep(stack, options.sweep, drains) },
    async () => (options.latency === undefined ? {} : { latencies: await measureLatencies(stack, options.latency) }),
    async () => (options.restarts ? { restarts: await measureRestarts(stack, options.sweepRecords * 2, note) } : {}),
  ];
  for (const measure of measures) {
    run = { ...run, ...(await measure(run)) };
    // After each, so that a failure of the next one loses nothing.
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(run, null, 2)}\n`);
  }
  for (const table of tablesOf(run)) print(table);
} finally {
  await stack.stop();
}

interface Variant {
  readonly name: string;
  readonly records: number;
  /** Whether its rows say which record they are. */
  readonly identities: boolean;
  readonly drain: (destination: Destination) => Promise<DrainResult>;
}

/** All that is compared, in the order in which it is measured. */
async function variantsFor(stack: Stack): Promise<Variant[]> {
  const { records, single, baseline, profile } = options;
  const bridge = profile === undefined ? {} : { profile };
  const variants: Variant[] = [
    { name: MAIN, records, identities: true, drain: (destination) => drainByBridge(stack, destination, bridge) },
  ];
  if (baseline !== undefined)
    variants.push({
      name: 'baseline',
      records,
      identities: true,
      drain: (destination) => drainByBridge(stack, destination, { cli: baseline }),
    });
  if (single > 0)
    variants.push({
      name: 'one record a signal',
      records: single,
      identities: true,
      drain: (destination) => drainByBridge(stack, destination, { pipeline: { signal: { maxRecords: 1 } } }),
    });
  variants.push({ name: 'floor', records, identities: true, drain: (destination) => drainByFloor(stack, destination) });
  const program = options.peer ? await builtPeer() : undefined;
  if (program !== undefined)
    for (const [name, { file, identities }] of Object.entries(PEER_CONFIGURATIONS))
      variants.push({
        name: `peer, ${name}`,
        records,
        identities,
        drain: (destination) => drainByPeer(stack, destination, { program, file }),
      });
  return variants;
}

/** Undefined if it cannot be built, for example because its modules cannot be downloaded. The rest is measured. */
async function builtPeer(): Promise<string | undefined> {
  try {
    const program = await buildPeer();
    if (program === undefined) console.error('The peer is left out: there is no Go to build it with.');
    return program;
  } catch (error) {
    console.error(`The peer is left out: it cannot be built: ${messageOf(error)}`);
    return undefined;
  }
}

async function measureDrains(stack: Stack): Promise<Drain[]> {
  const variants = await variantsFor(stack);
  const backlogs = new Map<number, Backlog>();
  for (const { records } of variants)
    if (!backlogs.has(records)) backlogs.set(records, await Backlog.produce(stack, { ...BASELINE, records }));
  const drains: Drain[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    for (const { name, records, identities, drain } of variants) {
      const destination = await Destination.create(stack, backlogs.get(records)!, identities);
      const result = await drain(destination);
      await destination.remove();
      drains.push({ variant: name, records, round, ...result });
      console.error(`round ${round}, ${name}: ${Math.round(result.recordsPerSecond).toLocaleString('en')} records/s`);
    }
  }
  for (const backlog of backlogs.values()) await backlog.remove();
  return drains;
}

function measureSweep(
  stack: Stack,
  factors: readonly string[] | true,
  drains: readonly Drain[],
): Promise<Run['sweep']> {
  const known = new Map<number, BridgeResult>();
  for (const { counts, ...drain } of drains)
    if (drain.variant === MAIN && counts !== undefined) known.set(drain.records, { ...drain, counts });
  return sweep(stack, factors === true ? USUAL_FACTORS : factors, {
    records: options.sweepRecords,
    known,
    onMeasured: note,
  });
}

async function measureLatencies(stack: Stack, rates: readonly number[] | true): Promise<Latency[]> {
  const { baseline } = options;
  const builds = [{ variant: 'bridge' }, ...(baseline === undefined ? [] : [{ variant: 'baseline', cli: baseline }])];
  const cases: LatencyCase[] = [
    ...(rates === true ? [{ variant: 'bridge', recordsPerSecond: LOW_RATE, batchers: 'default' } as const] : []),
    ...([BASELINE.batchers, 'default'] as const).flatMap((batchers) =>
      (rates === true ? LATENCY_RATES : rates).flatMap((recordsPerSecond) =>
        builds.map((build) => ({ ...build, recordsPerSecond, batchers, maxDelay: SHORT_DELAY })),
      ),
    ),
  ];
  const latencies: Latency[] = [];
  for (const each of cases) {
    latencies.push(await measureLatency(stack, each));
    note(each);
  }
  return latencies;
}

function tablesOf({ drains, sweep, latencies, restarts }: Run): FigureTable[] {
  return [
    ...(drains.length > 0 ? [drainTable(drains), ratioTable(drains), requestTable(drains)] : []),
    ...[...new Set(sweep.map(({ factor }) => factor))].map((factor) => sweepTable(factor, sweep)),
    ...(latencies.length > 0 ? [latencyTable(latencies)] : []),
    ...(restarts.length > 0 ? [restartTable(restarts)] : []),
  ];
}

function print({ head, rows }: FigureTable): void {
  const table = new Table({ head: [...head], style: { head: [], border: [] } });
  for (const row of rows) table.push([...row]);
  console.log(table.toString());
}

function note(measured: object): void {
  const text = Object.values(measured).filter((value) => typeof value === 'string' || typeof value === 'number');
  console.error(`measured: ${text.join(', ')}`);
}

function factorsOf(text: string): string[] {
  const factors = text.split(',');
  const unknown = factors.filter((factor) => FACTORS[factor] === undefined);
  if (unknown.length > 0) throw new Error(`--sweep has no factor ${unknown.join(', ')}`);
  return factors;
}
