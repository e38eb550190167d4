import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { barChart } from '../bench/chart.js';
import type { Run } from '../bench/run.js';
import { FACTORS, type SweepPoint } from '../bench/sweep.js';
import {
  drainTable,
  latencyTable,
  MAIN,
  ratesByVariant,
  ratioTable,
  requestTable,
  restartTable,
  spread,
  sweepTable,
  type FigureTable,
} from '../bench/tables.js';

const RESULTS = join(import.meta.dirname, '../bench/results');

/** What `npm run bench -- --json bench/results/NAME.json` has written, by name. */
export function benchmarkRuns(): Run[] {
  return readdirSync(RESULTS)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => JSON.parse(readFileSync(join(RESULTS, name), 'utf8')) as Run);
}

/** The last run that has measured something. */
export function lastRunWith(runs: readonly Run[], what: 'drains' | 'latencies' | 'restarts'): Run {
  const run = runs.findLast((each) => each[what].length > 0);
  if (run === undefined) throw new Error(`no file in bench/results has ${what}`);
  return run;
}

/** The points of all factors. Those of a factor are of the last run that has varied it. */
export function sweepPoints(runs: readonly Run[]): SweepPoint[] {
  return [...runsByFactor(runs)].flatMap(([name, run]) => run.sweep.filter(({ factor }) => factor === name));
}

/** By name of a factor, the last run that has varied it. */
function runsByFactor(runs: readonly Run[]): Map<string, Run> {
  const byFactor = new Map<string, Run>();
  for (const run of runs) for (const { factor } of run.sweep) byFactor.set(factor, run);
  if (byFactor.size === 0) throw new Error('no file in bench/results has a sweep');
  return byFactor;
}

/** The figures of docs/benchmarks.md. */
export function benchmarksReference(runs: readonly Run[]): string {
  const drains = lastRunWith(runs, 'drains');
  const latency = lastRunWith(runs, 'latencies');
  const restart = lastRunWith(runs, 'restarts');
  return [
    '## Draining a backlog',
    madeBy(drains),
    '![Records a second](benchmark.svg)',
    markdown(drainTable(drains.drains)),
    markdown(ratioTable(drains.drains)),
    '## What it asks of Temporal and ClickHouse',
    madeBy(drains),
    markdown(requestTable(drains.drains)),
    '## One factor at a time',
    ...sweepSection(runs),
    '## At a steady rate',
    madeBy(latency),
    '![Milliseconds until the acknowledgement](benchmark-latency.svg)',
    markdown(latencyTable(latency.latencies)),
    '## After a restart',
    madeBy(restart),
    markdown(restartTable(restart.restarts)),
    '',
  ].join('\n\n');
}

/** A table for each factor. The run that made it is named if it is another than that of the table before. */
function sweepSection(runs: readonly Run[]): string[] {
  const factors = [...runsByFactor(runs)];
  return factors.flatMap(([factor, run], index) => [
    ...(run === factors[index - 1]?.[1] ? [] : [madeBy(run)]),
    ...(index === 0 ? ['![Records a second by factor](benchmark-sweep.svg)'] : []),
    markdown(sweepTable(factor, run.sweep)),
  ]);
}

/** The charts beside it, by name of the file. */
export function benchmarkCharts(runs: readonly Run[]): Record<string, string> {
  const bars = [...ratesByVariant(lastRunWith(runs, 'drains').drains)].map(([label, of]) => {
    return { label, spread: of, main: label === MAIN };
  });
  const sweepBars = sweepPoints(runs).map(({ factor, point, recordsPerSecond }) => {
    const isBaseline = Object.keys(FACTORS[factor]?.points[point] ?? { other: true }).length === 0;
    return { label: `${factor}: ${point}`, spread: spread([recordsPerSecond]), main: isBaseline };
  });
  const latencyBars = lastRunWith(runs, 'latencies').latencies.map(
    ({ variant, recordsPerSecond, batchers, maxDelay = 'default', milliseconds }) => ({
      label: `${variant}, ${recordsPerSecond}/s, batchers ${batchers}, maxDelay ${maxDelay}`,
      spread: {
        min: milliseconds['0.5'] ?? NaN,
        median: milliseconds['0.5'] ?? NaN,
        max: milliseconds['0.99'] ?? NaN,
      },
      main: true,
    }),
  );
  return {
    'benchmark.svg': barChart('records/s, end to end with acknowledgements (median; line: min to max)', bars),
    'benchmark-sweep.svg': barChart('records/s (dark: the baseline)', sweepBars),
    'benchmark-latency.svg': barChart('ms until the acknowledgement is read (median; line: to p99)', latencyBars),
  };
}

/** Which command has made figures, of what, where and when. */
export function madeBy({ command, commit, date, machine, data }: Run): string {
  const { cores, processor, memoryBytes, node } = machine;
  const facts = [
    `Commit ${commit}`,
    date,
    `${cores} cores (${processor})`,
    `${Math.round(memoryBytes / 1024 ** 3)} GiB`,
    `Node ${node}`,
    `data ${data === 'disk' ? 'on' : 'in'} ${data}`,
  ];
  return `\`${command}\`\n\n${facts.join(', ')}.`;
}

/** A table in Markdown. */
export function markdown({ head, rows }: FigureTable): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const isNumeric = (column: number): boolean => rows.every((row) => /^[\d.,]*( MiB)?$/.test(row[column] ?? ''));
  const alignment = head.map((_, column) => (isNumeric(column) ? '--:' : '---'));
  return [line(head), line(alignment), ...rows.map(line)].join('\n');
}
