import type { Stack } from '../stack/index.js';
import type { LocalRegistry } from '../stack/native/registry.js';
import { Backlog } from './backlog.js';
import { drainByBridge, type BridgeResult } from './bridge.js';
import { Destination } from './destination.js';
import type { DrainResult } from './drain.js';
import { BASELINE, type Scenario } from './scenario.js';

/** One point of a sweep: the baseline with one factor changed. */
export interface SweepPoint extends BridgeResult {
  readonly factor: string;
  readonly point: string;
  /** Of the backlog. */
  readonly records: number;
  /** Of the peer with identity columns, where it is compared. */
  readonly peerRecordsPerSecond?: number;
}

interface Factor {
  readonly title: string;
  /** Whether the peer is measured, too. */
  readonly peer?: true;
  /** The point that the others are compared with. */
  readonly ratioTo?: string;
  /** By name of the point. Without `records` a point has as many as the whole sweep, within {@link BACKLOG_BYTES_MAX}. */
  readonly points: Readonly<Record<string, Partial<Scenario>>>;
}

/** How a sweep is done. */
export interface SweepOptions {
  /** Of a backlog. */
  readonly records: number;
  /** Undefined: the peer is left out. */
  readonly peer: ((destination: Destination) => Promise<DrainResult>) | undefined;
  /** Starts a schema registry. A factor that needs one is left out if it resolves with undefined. */
  readonly startRegistry: () => Promise<LocalRegistry | undefined>;
  readonly onMeasured: (point: SweepPoint) => void;
}

const BACKLOG_BYTES_MAX = 300_000_000;

/** What is varied, one at a time. */
export const FACTORS: Readonly<Record<string, Factor>> = {
  size: {
    title: 'Bytes of a value',
    peer: true,
    points: {
      '100': { bytes: 100 },
      '200': {},
      '1,000': { bytes: 1_000 },
      '10,000': { bytes: 10_000 },
      '1,000, compressible': { bytes: 1_000, filler: 'repeated' },
      '10,000, compressible': { bytes: 10_000, filler: 'repeated' },
    },
  },
  partitions: {
    title: 'Partitions',
    points: { '1': { partitions: 1 }, '8': {}, '32': { partitions: 32 }, '256': { partitions: 256 } },
  },
  batchers: {
    title: 'Batchers',
    points: {
      '1': { batchers: 1 },
      '2': { batchers: 2 },
      '4': { batchers: 4 },
      '8': {},
      '16': { batchers: 16 },
      '64': { batchers: 64 },
    },
  },
  keys: {
    title: 'Keys',
    points: { '5,000, evenly': {}, '5,000, by Zipf': { keys: 'zipf' }, one: { keys: 'one' } },
  },
  columns: {
    title: 'Columns, in values of 1,000 bytes',
    points: {
      '6': { bytes: 1_000 },
      '25': { bytes: 1_000, columns: 25 },
      '100': { bytes: 1_000, columns: 100 },
    },
  },
  waiting: {
    title: 'Waiting records',
    points: {
      '100,000': { records: 100_000 },
      '1,000,000': { records: 1_000_000 },
      '30,000 of 10,000 bytes, compressed 100:1': {
        records: 30_000,
        bytes: 10_000,
        filler: 'repeated',
        compression: 'gzip',
      },
    },
  },
  processes: {
    title: 'Processes',
    points: {
      one: {},
      'a consumer, a worker': { processes: ['consumer', 'worker'] },
      'two consumers, two workers': { processes: ['consumer', 'consumer', 'worker', 'worker'] },
    },
  },
  formats: {
    title: 'Formats',
    ratioTo: 'JSON',
    points: {
      JSON: {},
      'JSON Schema': { format: 'json-schema' },
      Avro: { format: 'avro' },
      Protobuf: { format: 'protobuf' },
    },
  },
  /** Only where it is asked for by name: it takes minutes. */
  many: {
    title: 'Waiting records, very many',
    points: { '10,000,000': { records: 10_000_000 } },
  },
};

/** Factors that a sweep has if it names none. */
export const USUAL_FACTORS = Object.keys(FACTORS).filter((name) => name !== 'many');

/** Measures factors one after the other. A point that several of them have is drained once. */
export async function sweep(
  stack: Stack,
  factors: readonly string[],
  { records, peer, startRegistry, onMeasured }: SweepOptions,
): Promise<SweepPoint[]> {
  const measured: SweepPoint[] = [];
  const results = new Map<string, BridgeResult>();
  for (const factor of factors) {
    const registry = needsRegistry(factor) ? await startRegistry() : undefined;
    if (needsRegistry(factor) && registry === undefined) continue;
    try {
      for (const [point, change] of Object.entries(FACTORS[factor]!.points)) {
        const scenario = { ...BASELINE, records: recordsOf(records, change), ...change };
        const drainBy = <T>(drain: (destination: Destination) => Promise<T>): Promise<T> =>
          drainScenario(stack, scenario, drain, registry?.url);
        const key = JSON.stringify(scenario);
        const result = results.get(key) ?? (await drainBy((destination) => drainByBridge(stack, destination)));
        results.set(key, result);
        const comparison =
          peer === undefined || FACTORS[factor]?.peer === undefined
            ? {}
            : { peerRecordsPerSecond: (await drainBy(peer)).recordsPerSecond };
        measured.push({ factor, point, records: scenario.records, ...result, ...comparison });
        onMeasured(measured.at(-1)!);
      }
    } finally {
      await registry?.stop();
    }
  }
  return measured;
}

function needsRegistry(factor: string): boolean {
  return Object.values(FACTORS[factor]!.points).some(({ format = BASELINE.format }) => format !== 'json');
}

function recordsOf(records: number, { bytes = BASELINE.bytes }: Partial<Scenario>): number {
  return Math.min(records, Math.floor(BACKLOG_BYTES_MAX / bytes));
}

async function drainScenario<T>(
  stack: Stack,
  scenario: Scenario,
  drain: (destination: Destination) => Promise<T>,
  registryUrl: string | undefined,
): Promise<T> {
  const backlog = await Backlog.produce(stack, scenario, registryUrl);
  const destination = await Destination.create(stack, backlog);
  const result = await drain(destination);
  await destination.remove();
  await backlog.remove();
  return result;
}
