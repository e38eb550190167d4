import { expect, it } from 'vitest';
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
const RUN: Run = {
  command: 'npm run bench -- --json x.json',
  commit: 'abc',
  date: '2026-01-31',
  machine: { processor: 'one', cores: 2, memoryBytes: 2 ** 34, node: 'v20' },
  drains: [
    { variant: 'bridge', round: 1, records: 1_000_000, ...cost },
    { variant: 'floor', round: 1, records: 1_000_000, ...cost, recordsPerSecond: 80_000 },
  ],
  sweep: ['partitions', 'batchers'].map((factor) => ({ factor, point: '1', records: 200_000, ...cost })),
  latencies: [
    {
      variant: 'bridge',
      recordsPerSecond: 100,
      batchers: 'default',
      milliseconds: { '0.5': 10, '0.99': 20, '0.999': 30 },
      seconds: 10,
      counts: { ...counts, flushes: 50 },
      cpu: { tested: 0.1 },
    },
  ],
  restarts: [{ part: 'Kafka, killed', seconds: 1.5 }],
};

/** The cells of a line of a Markdown table. */
const lineOf = (page: string, name: string): string[] =>
  page
    .split('\n')
    .find((line) => line.startsWith(`| ${name} |`))!
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());

it('capacity is what a million records cost, divided by the share of each limit that is planned with', () => {
  const page = capacityReference([RUN]);
  expect(lineOf(page, 'pods').slice(2)).toEqual(['1', '2', '20']);
  expect(lineOf(page, 'batchers').slice(2)).toEqual(['2', '5', '50']);
  expect(lineOf(page, 'partitions').slice(2)).toEqual(['2', '5', '50']);
  expect(lineOf(page, 'cores of Temporal').slice(2)).toEqual(['1', '2', '12']);
});

it('signals are those of full chunks, or of one from each pod to each batcher in each linger if that is more', () => {
  const page = capacityReference([RUN]);
  expect(lineOf(page, 'signals a second').slice(2)).toEqual(['4', '40', '2,000']);
  expect(lineOf(page, 'batches a second').slice(2)).toEqual(['2', '10', '100']);
  // Two actions a batch, beside its signals.
  expect(lineOf(page, 'actions a second').slice(2)).toEqual(['8', '60', '2,200']);
  expect(lineOf(page, 'dollars a month for them').slice(2)).toEqual(['1,037', '7,776', '285,120']);
});

it('a page names, for each part, the last run that has measured it', () => {
  const later: Run = { ...RUN, commit: 'def', data: 'memory', sweep: [], latencies: [], restarts: [] };
  const [drains = '', rest = ''] = benchmarksReference([RUN, later]).split('## One factor');
  expect(drains).toContain('Commit def, 2026-01-31, 2 cores (one), 16 GiB, Node v20, data in memory.');
  expect(rest).toContain('Commit abc, 2026-01-31, 2 cores (one), 16 GiB, Node v20, data on disk.');
  expect(lineOf(drains, 'bridge / floor')).toEqual(['bridge / floor', '0.50', '0.50', '0.50']);
  expect(Object.values(benchmarkCharts([RUN])).every((chart) => chart.startsWith('<svg'))).toBe(true);
});
