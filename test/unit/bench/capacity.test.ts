import { expect, it } from 'vitest';
import type { Latency } from '../../../bench/latency.js';
import type { Run } from '../../../bench/run.js';
import { benchmarkCharts, benchmarksReference } from '../../../scripts/benchmarks.js';
import { capacityReference } from '../../../scripts/capacity.js';

const counts = {
  signals: 400,
  flushes: 100,
  inserts: 100,
  rows: 1_000_000,
  eventLoopP99Ms: 20,
  actions: { grpc_SignalWithStart: 400, activity: 100 },
};
const cost = {
  recordsPerSecond: 40_000,
  cpuSecondsPerMillion: { tested: 20, kafka: 2, temporal: 6, clickhouse: 4 },
  mainThreadSecondsPerMillion: 10,
  memoryPeakBytes: 300 * 1024 * 1024,
  counts,
};
/** 100 records a second for ten seconds. */
const steady = ({ flushes, ...more }: Pick<Latency, 'cpu' | 'maxDelay'> & { flushes: number }): Latency => ({
  variant: 'bridge',
  recordsPerSecond: 100,
  batchers: 'default',
  milliseconds: { '0.5': 10, '0.99': 20, '0.999': 30 },
  seconds: 10,
  counts: { ...counts, flushes },
  ...more,
});
const RUN: Run = {
  command: 'npm run bench -- --json x.json',
  commit: 'abc',
  date: '2026-01-31',
  machine: { processor: 'one', cores: 2, memoryBytes: 2 ** 34, node: 'v20' },
  data: 'disk',
  drains: [
    { variant: 'bridge', round: 1, records: 1_000_000, ...cost },
    {
      variant: 'one record a signal',
      round: 1,
      records: 2_000,
      ...cost,
      cpuSecondsPerMillion: { tested: 3_000, kafka: 0, temporal: 2_000, clickhouse: 0 },
    },
    { variant: 'floor', round: 1, records: 1_000_000, ...cost, recordsPerSecond: 80_000 },
  ],
  sweep: [
    ...['partitions', 'batchers'].map((factor) => ({ factor, point: '1', records: 200_000, ...cost })),
    { factor: 'size', point: '200', records: 1_000_000, ...cost },
    ...['1,000', '10,000'].map((point) => ({
      factor: 'size',
      point,
      records: 1_000_000,
      ...cost,
      recordsPerSecond: 20_000,
      mainThreadSecondsPerMillion: 30,
      counts: { ...counts, signals: 2_000, flushes: 500, inserts: 500 },
    })),
  ],
  latencies: [
    steady({ cpu: { tested: 0.2, temporal: 0.1, clickhouse: 0.05 }, flushes: 50 }),
    steady({ maxDelay: '100ms', cpu: { tested: 0.4, temporal: 0.2, clickhouse: 0.1 }, flushes: 150 }),
  ],
  restarts: [{ part: 'Kafka, killed', seconds: 1.5 }],
};

/** The cells of a line of a Markdown table: the first table that has it. */
const lineOf = (page: string, name: string): string[] =>
  page
    .split('\n')
    .find((line) => line.startsWith(`| ${name} |`))!
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

it('capacity is what a million records cost, divided by the share of each limit that is planned with', () => {
  const page = capacityReference([RUN]);
  // By their rate 5 and 50 were enough, but each would write more than 20 times a second.
  expect(lineOf(page, 'batchers').slice(2)).toEqual(['2', '2', '10', '125']);
  // The main thread takes 10 s a million.
  expect(lineOf(page, 'pods').slice(2)).toEqual(['2', '2', '2', '20']);
  expect(lineOf(page, 'partitions').slice(2)).toEqual(['4', '4', '5', '50']);
  expect(lineOf(page, 'cores of Kafka').slice(2)).toEqual(['1', '1', '1', '4']);
});

it('each pod inserts so many batches at a time that all batchers can', () => {
  const light = { ...RUN, drains: RUN.drains.map((drain) => ({ ...drain, mainThreadSecondsPerMillion: 1 })) };
  expect(lineOf(capacityReference([light]), 'pods').slice(2)).toEqual(['2', '2', '2', '2']);
  expect(lineOf(capacityReference([light]), '`worker.maxConcurrentFlushes`').slice(2)).toEqual(['3', '3', '5', '48']);
});

it('a signal and a batch cost by themselves, whatever is in them', () => {
  const page = capacityReference([RUN]);
  const value = (name: string): string | undefined => lineOf(page, name)[2];
  expect(value('CPU milliseconds of the bridge, a batch of a few records')).toBe('20');
  expect(value('CPU milliseconds of Temporal, a batch')).toBe('10');
  expect(value('CPU milliseconds of Temporal, a signal')).toBe('2');
  expect(value('cores of a process with next to nothing to do')).toBe('0.10');
  // The third: 2 cores for the records on two pods, and 0.1 of each process, planned twice. Its signals and batches are
  // those of a full drain.
  expect(lineOf(page, 'cores a pod').slice(2)).toEqual(['0.3', '0.4', '2.2', '2.2']);
});

it('signals are those of full chunks, which are smaller with 20 pods, or of one from each pod to each batcher in each linger if that is more', () => {
  const page = capacityReference([RUN]);
  expect(lineOf(page, 'signals a second').slice(2)).toEqual(['8.0', '8.0', '40', '593']);
  expect(lineOf(page, 'batches a second').slice(2)).toEqual(['2.0', '2.0', '10', '100']);
  // Two actions a batch beside its signals, and a timer.
  expect(lineOf(page, 'actions a second').slice(2)).toEqual(['14', '14', '70', '893']);
});

it('a longer delay costs less, and histories are paid for as long as they are kept', () => {
  const page = capacityReference([RUN]);
  // Two batches, 8 signals, 3 actions a batch in a second cost 14 actions; in ten seconds as many.
  expect(lineOf(page, 'dollars a month for them')[2]).toBe('1,814');
  expect(lineOf(page, 'the same, if `maxDelay` and `linger` are 10 s')[2]).toBe('181');
  const [gigabytes, dollars] = ['GB of histories, each day of retention', 'dollars a month for histories'].map((name) =>
    Number(lineOf(page, name)[5]!.replaceAll(',', '')),
  );
  expect(dollars! / gigabytes!).toBeCloseTo(7 * 30 * 24 * 0.00105, 2);
});

it('records wait longer, and in more memory, where their batcher would get too many signals', () => {
  const page = capacityReference([RUN]);
  // 20 pods signal each of 125 batchers 40 times a second with the default. With ten seconds a signal is full before. Of 20
  // members it is smaller: 1,685 records of 543 bytes, of which each pod holds the halves of 125.
  expect(lineOf(page, '`maxDelay` and `linger`, s').slice(2)).toEqual(['1', '1', '1', '10']);
  expect(lineOf(page, '`maxBuffered`, MiB').slice(2)).toEqual(['48', '48', '48', '384']);
  // Half as much again as 510, 336 for what waits and 4 × 60 for slots.
  expect(lineOf(page, 'limit of memory a pod, MiB').slice(2)).toEqual(['1,024', '1,024', '1,024', '1,629']);
  expect(lineOf(page, 'writes a second to a batcher').slice(2)).toEqual(['19', '19', '19', '20']);
});

it('other sizes have the counts of their own drain, and processor time and rates in proportion to it', () => {
  const page = capacityReference([RUN]).split('values of 1,000 bytes')[1]!;
  // 30 s of the main thread instead of 10, half of the records through a batcher, five times as many signals.
  expect(lineOf(page, 'pods').slice(2)).toEqual(['2', '2', '2', '6']);
  expect(lineOf(page, 'partitions').slice(2)).toEqual(['4', '4', '4', '12']);
  expect(lineOf(page, 'inserts a second').slice(2)).toEqual(['2.0', '5.0', '15', '50']);
});

it('a factor that a later run has varied alone is a table beside those of the run before, with the ratios to its baseline', () => {
  const rates = { JSON: 40_000, Avro: 30_000 };
  const formats = Object.entries(rates).map(([point, recordsPerSecond]) => {
    return { factor: 'formats', point, records: 200_000, ...cost, recordsPerSecond };
  });
  const later: Run = { ...RUN, commit: 'def', drains: [], sweep: formats, latencies: [], restarts: [] };
  const before = benchmarksReference([RUN]);
  const page = benchmarksReference([RUN, later]);
  expect(before).not.toContain('Formats');
  const [, added = ''] = page.split(/Commit def.*\n/);
  expect(lineOf(added, 'Formats').at(-1)).toBe('ratio to JSON');
  expect(['JSON', 'Avro'].map((format) => lineOf(added, format).at(-1))).toEqual(['1.00', '0.75']);
  for (const line of before.split('\n')) expect(page).toContain(line);
  expect(benchmarkCharts([RUN, later])['benchmark-sweep.svg']).toMatch(/partitions: 1<[^]*formats: Avro</);
  expect(capacityReference([RUN, later])).toBe(capacityReference([RUN]));
});

it('a page names, for each part, the last run that has measured it', () => {
  const later: Run = { ...RUN, commit: 'def', data: 'memory', sweep: [], latencies: [], restarts: [] };
  const [drains = '', rest = ''] = benchmarksReference([RUN, later]).split('## One factor');
  expect(drains).toContain('Commit def, 2026-01-31, 2 cores (one), 16 GiB, Node v20, data in memory.');
  expect(rest).toContain('Commit abc, 2026-01-31, 2 cores (one), 16 GiB, Node v20, data on disk.');
  expect(lineOf(drains, 'bridge / floor')).toEqual(['bridge / floor', '0.50', '0.50', '0.50']);
  expect(Object.values(benchmarkCharts([RUN])).every((chart) => chart.startsWith('<svg'))).toBe(true);
});
