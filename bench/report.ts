import { writeFileSync } from 'node:fs';
import Table from 'cli-table3';
import type { DrainResult } from './drain.js';

export interface Drain extends DrainResult {
  readonly variant: string;
  /** Of the backlog. */
  readonly records: number;
  /** From 1. */
  readonly round: number;
}

/** What the others are compared with. */
const MAIN = 'bridge';

interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Prints the figures, and draws them where a file is named. */
export function report(drains: readonly Drain[], svg: string | undefined): void {
  const variants = [...new Set(drains.map(({ variant }) => variant))];
  const of = (variant: string): Drain[] => drains.filter((drain) => drain.variant === variant);
  const rates = new Map(
    variants.map((variant) => [variant, spread(of(variant).map(({ recordsPerSecond }) => recordsPerSecond))]),
  );
  const table = new Table({
    head: ['records/s', 'backlog', 'min', 'median', 'max', 'CPU s per million records', 'memory'],
    style: { head: [], border: [] },
  });
  for (const variant of variants) {
    const cpu = of(variant).map(({ cpuSecondsPerMillion }) => cpuSecondsPerMillion);
    const names = Object.keys(cpu[0] ?? {});
    const parts = names.map((name) => `${name} ${spread(cpu.map((seconds) => seconds[name] ?? 0)).median.toFixed(1)}`);
    const memory = Math.max(...of(variant).map(({ memoryPeakBytes }) => memoryPeakBytes));
    const backlog = number(of(variant)[0]?.records ?? 0);
    table.push([
      variant,
      backlog,
      ...cells(rates.get(variant)),
      parts.join(', '),
      `${Math.round(memory / 1024 / 1024)} MiB`,
    ]);
  }
  console.log(table.toString());

  const ratios = new Table({
    head: ['ratio, round by round', 'min', 'median', 'max'],
    style: { head: [], border: [] },
  });
  for (const variant of variants.filter((name) => name !== MAIN)) {
    const each = of(MAIN).map(({ round, recordsPerSecond }) => {
      return recordsPerSecond / (of(variant).find((drain) => drain.round === round)?.recordsPerSecond ?? NaN);
    });
    const { min, median, max } = spread(each);
    ratios.push([`${MAIN} / ${variant}`, min.toFixed(2), median.toFixed(2), max.toFixed(2)]);
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
function chart(rates: ReadonlyMap<string, Spread>): string {
  const most = Math.max(...[...rates.values()].map(({ max }) => max));
  const x = (value: number): number => 170 + (value / most) * 430;
  const bars = [...rates].map(([variant, { min, median, max }], index) => {
    const y = 46 + index * 44;
    return [
      `<text x="160" y="${y + 17}" text-anchor="end">${variant}</text>`,
      `<rect x="170" y="${y}" width="${(x(median) - 170).toFixed(1)}" height="24" fill="${variant === MAIN ? '#2f6fdb' : '#9db7e0'}"/>`,
      `<line x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${y + 12}" y2="${y + 12}" stroke="#222" stroke-width="2"/>`,
      `<text x="${(x(max) + 8).toFixed(1)}" y="${y + 17}">${number(median)}</text>`,
    ].join('\n  ');
  });
  const height = 58 + bars.length * 44;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="720" height="${height}" font-family="sans-serif" font-size="14">
  <rect width="720" height="${height}" fill="#fff"/>
  <text x="170" y="26" font-weight="bold">records/s, end to end with acknowledgements (median; line: min to max)</text>
  ${bars.join('\n  ')}
</svg>
`;
}
