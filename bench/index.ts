import { existsSync, writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import { Command } from 'commander';
import { messageOf } from '../src/lib/messageOf.js';
import { startStack, type Stack, type StackEvent } from '../stack/index.js';
import { startRegistry, type LocalRegistry } from '../stack/native/registry.js';
import { buildOf, CLI, countFrom, factorsOf, ratesOf, writableFile } from './arguments.js';
import { Backlog } from './backlog.js';
import { drainByBridge } from './bridge.js';
import { dataDirectory, dataPlaceOf } from './data.js';
import { Destination } from './destination.js';
import type { DrainResult } from './drain.js';
import { drainByFloor } from './floor.js';
import { measureLatency, SHORT_DELAY, type Latency, type LatencyCase } from './latency.js';
import { buildPeer, drainByPeer, PEER_CONFIGURATIONS } from './peer.js';
import { measureRestarts, type Restart } from './restarts.js';
import { runFacts, type Drain, type Run } from './run.js';
import { BASELINE } from './scenario.js';
import { FACTORS, sweep, USUAL_FACTORS } from './sweep.js';
import {
  drainTable,
  latencyTable,
  MAIN,
  number,
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
  .option('--rounds <count>', 'rounds of all drains; 0: leave them out', countFrom(0), 5)
  .option('--records <count>', 'records of the backlog', countFrom(1), BASELINE.records)
  .option('--single <count>', 'records of the backlog for one record a signal; 0: leave it out', countFrom(0), 2_000)
  .option('--baseline <file>', 'dist/cli.js of another build, to be measured beside this one', buildOf)
  .option(
    '--sweep [factors]',
    `vary these, one at a time: ${Object.keys(FACTORS).join(',')} (default: ${USUAL_FACTORS.join(',')})`,
    factorsOf,
  )
  .option('--sweep-records <count>', 'records of a backlog of the sweep', countFrom(1), 200_000)
  .option(
    '--latency [rates]',
    `how long acknowledgements take at these records/s, with batch.maxDelay ${SHORT_DELAY}, with ${BASELINE.batchers} batchers and ` +
      `with the default (default: ${LATENCY_RATES.join(',')}, and ${LOW_RATE} with the default configuration)`,
    ratesOf,
  )
  .option('--restarts', 'how long a restart of each part keeps acknowledgements away')
  .option('--no-peer', 'leave out the peer, which is built with Go')
  .option(
    '--data <directory>',
    'where Kafka, Temporal and ClickHouse keep their data; disk: as temporary files (default: in memory if there is room)',
  )
  .option('--json <file>', 'write all figures, for `npm run docs`', writableFile)
  .option('--profile <directory>', "write CPU profiles of the bridge's threads in the drains")
  .parse()
  .opts<Options>();

if (!existsSync(CLI)) {
  console.error('There is no build to be measured. Run `npm run build` first.');
  process.exit(1);
}
if (options.rounds === 0 && options.sweep === undefined && options.latency === undefined && options.restarts !== true) {
  console.error('There is nothing to measure: with --rounds 0, take --sweep, --latency or --restarts.');
  process.exit(1);
}
const facts = runFacts();
const dataIn = await dataDirectory(options.data);
const stack = await startStack({
  ...(dataIn === undefined ? {} : { dataIn }),
  onProgress: noteStep,
});
try {
  let run: Run = { ...facts, data: await dataPlaceOf(stack), drains: [], sweep: [], latencies: [], restarts: [] };
  const measures: (() => Promise<Partial<Run>>)[] = [
    async () => (options.rounds === 0 ? {} : { drains: await measureDrains(stack) }),
    async () => (options.sweep === undefined ? {} : { sweep: await measureSweep(stack, options.sweep) }),
    async () => (options.latency === undefined ? {} : { latencies: await measureLatencies(stack, options.latency) }),
    async () =>
      options.restarts ? { restarts: await measureRestarts(stack, options.sweepRecords * 2, noteRestart) } : {},
  ];
  for (const measure of measures) {
    run = { ...run, ...(await measure()) };
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

/** Drains by the peer, for the factors with which it is compared. */
async function peerFor(
  factors: readonly string[],
): Promise<((destination: Destination) => Promise<DrainResult>) | undefined> {
  const program = options.peer && factors.some((name) => FACTORS[name]?.peer) ? await builtPeer() : undefined;
  if (program === undefined) return undefined;
  const { file } = PEER_CONFIGURATIONS.identities;
  return (destination) => drainByPeer(stack, destination, { program, file });
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

/** Undefined if it cannot be started, for example because it cannot be downloaded. The rest is measured. */
async function startedRegistry(): Promise<LocalRegistry | undefined> {
  try {
    return await startRegistry(noteStep);
  } catch (error) {
    console.error(`Formats with a schema are left out: the registry cannot be started: ${messageOf(error)}`);
    return undefined;
  }
}

async function measureDrains(stack: Stack): Promise<Drain[]> {
  const variants = await variantsFor(stack);
  const backlogs = new Map<number, Backlog>();
  for (const { records } of variants)
    if (!backlogs.has(records)) {
      console.error(`Producing ${number(records)} records.`);
      backlogs.set(records, await Backlog.produce(stack, { ...BASELINE, records }));
    }
  const drains: Drain[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    // Another one begins each round: what comes first finds Kafka's compiler busy.
    const first = (round - 1) % variants.length;
    for (const { name, records, identities, drain } of [...variants.slice(first), ...variants.slice(0, first)]) {
      const destination = await Destination.create(stack, backlogs.get(records)!, identities);
      const result = await drain(destination);
      await destination.remove();
      drains.push({ variant: name, records, round, ...result });
      console.error(`round ${round} of ${options.rounds}, ${name}: ${rate(result.recordsPerSecond)}`);
    }
  }
  for (const backlog of backlogs.values()) await backlog.remove();
  return drains;
}

async function measureSweep(stack: Stack, factors: readonly string[] | true): Promise<Run['sweep']> {
  return sweep(stack, factors === true ? USUAL_FACTORS : factors, {
    records: options.sweepRecords,
    peer: await peerFor(factors === true ? USUAL_FACTORS : factors),
    startRegistry: startedRegistry,
    onMeasured: ({ factor, point, recordsPerSecond, peerRecordsPerSecond }) => {
      const peer = peerRecordsPerSecond === undefined ? '' : `, peer: ${rate(peerRecordsPerSecond)}`;
      console.error(`${factor}, ${point}: ${rate(recordsPerSecond)}${peer}`);
    },
  });
}

function noteStep({ part, step, state }: StackEvent): void {
  if (state === 'started') console.error(`[${part}] ${step}`);
}

function noteRestart({ part, seconds }: Restart): void {
  console.error(`restart of ${part}: ${seconds.toFixed(1)} s`);
}

function rate(recordsPerSecond: number): string {
  return `${number(recordsPerSecond)} records/s`;
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
    const latency = await measureLatency(stack, each);
    latencies.push(latency);
    const { variant, recordsPerSecond, batchers, maxDelay = 'default', milliseconds } = latency;
    const [p50, p99] = [milliseconds['0.5'], milliseconds['0.99']].map((ms = NaN) => Math.round(ms));
    console.error(
      `latency ${latencies.length} of ${cases.length}, ${variant}: ${recordsPerSecond}/s, batchers: ${batchers}, ` +
        `maxDelay: ${maxDelay}: p50 ${p50} ms, p99 ${p99} ms`,
    );
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
