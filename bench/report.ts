import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import type { CpuSeconds } from './usage.js';

export interface DrainResult {
  readonly recordsPerSecond: number;
  readonly cpuSecondsPerMillion: CpuSeconds;
  readonly memoryPeakBytes: number;
}

export interface Drain extends DrainResult {
  readonly variant: Variant;
  readonly round: number;
}

type Variant = 'bridge' | 'one record a signal' | 'floor';

const VARIANTS: readonly Variant[] = ['bridge', 'one record a signal', 'floor'];

interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Prints the figures, and draws them where a file is named. */
export function report(
  drains: readonly Drain[],
  { rounds, records, single, svg }: { rounds: number; records: number; single: number; svg: string | undefined },
): void {
  const of = (variant: Variant): Drain[] => drains.filter((drain) => drain.variant === variant);
  const rates = new Map(
    VARIANTS.map((variant) => [variant, spread(of(variant).map(({ recordsPerSecond }) => recordsPerSecond))]),
  );
  const table = new Table({
    head: ['', 'min', 'median', 'max', 'CPU s per million records', 'memory'],
    style: { head: [], border: [] },
  });
  for (const variant of VARIANTS) {
    const cpu = of(variant).map(({ cpuSecondsPerMillion }) => cpuSecondsPerMillion);
    const names = Object.keys(cpu[0] ?? {});
    const parts = names.map((name) => `${name} ${spread(cpu.map((seconds) => seconds[name] ?? 0)).median.toFixed(1)}`);
    const memory = Math.max(...of(variant).map(({ memoryPeakBytes }) => memoryPeakBytes));
    table.push([variant, ...cells(rates.get(variant)), parts.join(', '), `${Math.round(memory / 1024 / 1024)} MiB`]);
  }
  console.log(
    `\nDraining a backlog of ${number(records)} records (${number(single)} where each has a signal), ${rounds} rounds, records/s:`,
  );
  console.log(table.toString());

  const ratios = new Table({
    head: ['ratio, round by round', 'min', 'median', 'max'],
    style: { head: [], border: [] },
  });
  for (const variant of ['one record a signal', 'floor'] as const) {
    const each = of('bridge').map(({ round, recordsPerSecond }) => {
      return recordsPerSecond / (of(variant).find((drain) => drain.round === round)?.recordsPerSecond ?? NaN);
    });
    const { min, median, max } = spread(each);
    ratios.push([`bridge / ${variant}`, min.toFixed(2), median.toFixed(2), max.toFixed(2)]);
  }
  console.log(ratios.toString());
  if (svg !== undefined) writeFileSync(svg, chart(rates));
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { min: sorted[0] ?? NaN, median: sorted[Math.floor(sorted.length / 2)] ?? NaN, max: sorted.at(-1) ?? NaN };
}

function cells(of: Spread | undefined): string[] {
  return of === undefined ? ['', '', ''] : [number(of.min), number(of.median), number(of.max)];
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en');
}

/** Horizontal bars of the medians, with the spread as a line. */
function chart(rates: ReadonlyMap<Variant, Spread>): string {
  const most = Math.max(...[...rates.values()].map(({ max }) => max));
  const x = (value: number): number => 170 + (value / most) * 430;
  const bars = [...rates].map(([variant, { min, median, max }], index) => {
    const y = 46 + index * 44;
    return [
      `<text x="160" y="${y + 17}" text-anchor="end">${variant}</text>`,
      `<rect x="170" y="${y}" width="${(x(median) - 170).toFixed(1)}" height="24" fill="${variant === 'bridge' ? '#2f6fdb' : '#9db7e0'}"/>`,
      `<line x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${y + 12}" y2="${y + 12}" stroke="#222" stroke-width="2"/>`,
      `<text x="${(x(max) + 8).toFixed(1)}" y="${y + 17}">${number(median)}</text>`,
    ].join('\n  ');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="190" font-family="sans-serif" font-size="14">
  <rect width="720" height="190" fill="#fff"/>
  <text x="170" y="26" font-weight="bold">records/s, end to end with acknowledgements (median; line: min to max)</text>
  ${bars.join('\n  ')}
</svg>
`;
}
