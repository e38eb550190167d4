import { groupBy } from '../src/lib/groupBy.js';
import type { BridgeResult } from './bridge.js';
import { actionsOf, type Counts } from './counters.js';
import type { Latency } from './latency.js';
import type { Restart } from './restarts.js';
import type { Drain } from './run.js';
import { FACTORS, type SweepPoint } from './sweep.js';
import type { CpuSeconds } from './usage.js';

/** Figures for a person, on a terminal or in Markdown. */
export interface FigureTable {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Of several values of the same thing. */
export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** What the others are compared with. */
export const MAIN = 'bridge';

/** Records a second of each variant. */
export function ratesByVariant(drains: readonly Drain[]): Map<string, Spread> {
  return new Map(
    [...byVariant(drains)].map(([variant, each]) => [
      variant,
      spread(each.map(({ recordsPerSecond }) => recordsPerSecond)),
    ]),
  );
}

/** A line for each variant. */
export function drainTable(drains: readonly Drain[]): FigureTable {
  const rows = [...byVariant(drains)].map(([variant, each]) => [
    variant,
    number(each[0]?.records ?? 0),
    ...cells(spread(each.map(({ recordsPerSecond }) => recordsPerSecond))),
    ...cpuCells(medianCpu(each)),
    mebibytes(Math.max(...each.map(({ memoryPeakBytes }) => memoryPeakBytes))),
  ]);
  return { head: ['', 'records', 'records/s: min', 'median', 'max', ...CPU_HEAD, 'memory'], rows };
}

/** How many times as fast as each other variant the bridge is, round by round. */
export function ratioTable(drains: readonly Drain[]): FigureTable {
  const variants = byVariant(drains);
  const rows = [...variants].flatMap(([variant, others]) => {
    if (variant === MAIN) return [];
    const ratios = (variants.get(MAIN) ?? []).map(({ round, recordsPerSecond }) => {
      return recordsPerSecond / (others.find((drain) => drain.round === round)?.recordsPerSecond ?? NaN);
    });
    const { min, median, max } = spread(ratios);
    return [[`${MAIN} / ${variant}`, min.toFixed(2), median.toFixed(2), max.toFixed(2)]];
  });
  return { head: ['ratio, round by round', 'min', 'median', 'max'], rows };
}

/** What a million records ask of Temporal and ClickHouse. Figures of the bridge's last drain. */
export function requestTable(drains: readonly Drain[]): FigureTable {
  const last = drains.findLast(({ variant, counts }) => variant === MAIN && counts !== undefined);
  if (last?.counts === undefined) return { head: [], rows: [] };
  const { counts, records } = last;
  const perMillion = (count: number): string => number((count * 1_000_000) / records);
  const actions = Object.entries(counts.actions).sort(([, a], [, b]) => b - a);
  return {
    head: ['for a million records', ''],
    rows: [
      ['signals', perMillion(counts.signals)],
      ['batches', perMillion(counts.flushes)],
      ['inserts', perMillion(counts.inserts)],
      ['rows an insert', number(rowsAnInsert(counts))],
      ['event loop, p99 in ms', number(counts.eventLoopP99Ms)],
      ['actions of Temporal', perMillion(actionsOf(counts))],
      ...actions.map(([type, count]) => [`of which ${type.replace(/^(grpc|command)_/, '')}`, perMillion(count)]),
    ],
  };
}

/** A line for each point of a factor. */
export function sweepTable(factor: string, points: readonly SweepPoint[]): FigureTable {
  const ofFactor = points.filter((point) => point.factor === factor);
  const { title = factor, ratioTo } = FACTORS[factor] ?? {};
  const compared = ofFactor.find(({ point }) => point === ratioTo);
  const withPeer = ofFactor.some(({ peerRecordsPerSecond }) => peerRecordsPerSecond !== undefined);
  const rows = ofFactor.map((point) => [
    point.point,
    number(point.records),
    number(point.recordsPerSecond),
    ...cpuCells(point.cpuSecondsPerMillion),
    mebibytes(point.memoryPeakBytes),
    number(rowsAnInsert(point.counts)),
    number((actionsOf(point.counts) * 1_000_000) / point.records),
    ...(compared === undefined ? [] : [(point.recordsPerSecond / compared.recordsPerSecond).toFixed(2)]),
    ...(withPeer ? [number(point.peerRecordsPerSecond ?? NaN)] : []),
  ]);
  const head = ['records', 'records/s', ...CPU_HEAD, 'memory', 'rows an insert', 'actions a million'];
  if (compared !== undefined) head.push(`ratio to ${compared.point}`);
  if (withPeer) head.push('peer, identities: records/s');
  return { head: [title, ...head], rows };
}

/** A line for each rate and variant. */
export function latencyTable(latencies: readonly Latency[]): FigureTable {
  const rows = latencies.map(
    ({ variant, recordsPerSecond, batchers, maxDelay, milliseconds, seconds, counts, cpu }) => [
      variant,
      String(batchers),
      maxDelay ?? 'default',
      number(recordsPerSecond),
      ...['0.5', '0.99', '0.999'].map((quantile) =>
        // One in a thousand of fewer records is a matter of chance.
        quantile === '0.999' && recordsPerSecond * seconds < 10_000 ? '–' : number(milliseconds[quantile] ?? NaN),
      ),
      ...[counts.signals, counts.flushes, counts.inserts].map((count) => (count / seconds).toFixed(1)),
      // Temporal's server may not tell them.
      Object.keys(counts.actions).length === 0 ? '–' : (actionsOf(counts) / seconds).toFixed(1),
      number(rowsAnInsert(counts)),
      ...['tested', 'kafka', 'temporal', 'clickhouse', 'bench'].map((part) => (cpu[part] ?? 0).toFixed(2)),
    ],
  );
  return {
    head: [
      ...['', 'batchers', 'maxDelay', 'records/s', 'p50 ms', 'p99', 'p99.9'],
      ...['signals/s', 'batches/s', 'inserts/s', 'actions/s', 'rows an insert'],
      ...['cores: bridge', 'Kafka', 'Temporal', 'ClickHouse', 'benchmark'],
    ],
    rows,
  };
}

/** A line for each part. */
export function restartTable(restarts: readonly Restart[]): FigureTable {
  return {
    head: ['restarted in the midst of a drain', 'seconds to the next acknowledgement'],
    rows: restarts.map(({ part, seconds }) => [part, seconds.toFixed(1)]),
  };
}

/** The middle of the bridge's drains. */
export function medianCpu(drains: readonly Pick<BridgeResult, 'cpuSecondsPerMillion'>[]): CpuSeconds {
  const parts = Object.keys(drains[0]?.cpuSecondsPerMillion ?? {});
  return Object.fromEntries(
    parts.map((part) => [part, spread(drains.map((drain) => drain.cpuSecondsPerMillion[part] ?? 0)).median]),
  );
}

/** Mean; 0 without inserts. */
export function rowsAnInsert({ rows, inserts }: Counts): number {
  return inserts === 0 ? 0 : rows / inserts;
}

/** Smallest, middle and largest. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { min: sorted[0] ?? NaN, median: sorted[Math.floor(sorted.length / 2)] ?? NaN, max: sorted.at(-1) ?? NaN };
}

/** Without a fraction, in groups of three digits. */
export function number(value: number): string {
  return Number.isNaN(value) ? '–' : Math.round(value).toLocaleString('en');
}

const CPU_HEAD = ['CPU s per million: all', 'tested', 'Kafka', 'Temporal', 'ClickHouse'];

function cpuCells(cpu: CpuSeconds): string[] {
  const parts = ['tested', 'kafka', 'temporal', 'clickhouse'].map((part) => cpu[part] ?? 0);
  return [parts.reduce((sum, seconds) => sum + seconds, 0), ...parts].map((seconds) => seconds.toFixed(1));
}

function cells({ min, median, max }: Spread): string[] {
  return [number(min), number(median), number(max)];
}

function mebibytes(bytes: number): string {
  return `${number(bytes / 1024 / 1024)} MiB`;
}

function byVariant(drains: readonly Drain[]): Map<string, Drain[]> {
  return groupBy(drains, ({ variant }) => variant);
}
