import { number, type Spread } from './tables.js';

/** One bar of a chart. */
export interface Bar {
  readonly label: string;
  readonly spread: Spread;
  /** Drawn in the darker colour. */
  readonly main: boolean;
}

const LEFT = 340;
const WIDTH = 860;

/** Horizontal bars of medians as SVG, with the spread as a line. */
export function barChart(title: string, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ spread }) => spread.max));
  const x = (value: number): number => LEFT + (value / most) * (WIDTH - LEFT - 110);
  const drawn = bars.map(({ label, spread: { min, median, max }, main }, index) => {
    const y = 46 + index * 32;
    return [
      `<text x="${LEFT - 10}" y="${y + 16}" text-anchor="end">${label}</text>`,
      `<rect x="${LEFT}" y="${y}" width="${(x(median) - LEFT).toFixed(1)}" height="22" fill="${main ? '#2f6fdb' : '#9db7e0'}"/>`,
      `<line x1="${x(min).toFixed(1)}" x2="${x(max).toFixed(1)}" y1="${y + 11}" y2="${y + 11}" stroke="#222" stroke-width="2"/>`,
      `<text x="${(x(max) + 8).toFixed(1)}" y="${y + 16}">${number(median)}</text>`,
    ].join('\n  ');
  });
  const height = 58 + bars.length * 32;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="14">
  <rect width="${WIDTH}" height="${height}" fill="#fff"/>
  <text x="${LEFT}" y="26" font-weight="bold">${title}</text>
  ${drawn.join('\n  ')}
</svg>
`;
}
