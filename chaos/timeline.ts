import type { OffsetSample, ReplySample } from './checks.js';
import type { ProcessSample } from './flatness.js';
import type { DoneFault } from './journal.js';

/** What a timeline shows. */
export interface Timeline {
  readonly title: string;
  readonly faults: readonly DoneFault[];
  readonly offsets: readonly OffsetSample[];
  readonly replies: readonly ReplySample[];
  readonly samples: readonly ProcessSample[];
}

interface Point {
  readonly atMs: number;
  readonly value: number;
}

interface Series {
  readonly label: string;
  readonly points: readonly Point[];
}

const LEFT = 110;
const WIDTH = 1_200;
const RIGHT = 20;
const PANEL = 120;
const GAP = 34;
const TOP = 44;
const LANE = 13;
const COLOURS = ['#2f6fdb', '#d9822b', '#2c8a57', '#8e44ad', '#b03a2e'];
/** Without a sample for longer the line breaks. */
const BREAK_MS = 5_000;

/** Acknowledgements a second, lag, memory and faults on one axis of time, as SVG. */
export function timelineChart({ title, faults, offsets, replies, samples }: Timeline): string {
  const times = [...offsets, ...replies, ...samples].map(({ atMs }) => atMs);
  // A long run has too many for arguments of a function.
  const fromMs = times.reduce((least, time) => Math.min(least, time), Infinity);
  const toMs = times.reduce((most, time) => Math.max(most, time), fromMs + 1_000);
  const x = (atMs: number): number => LEFT + ((atMs - fromMs) / (toMs - fromMs)) * (WIDTH - LEFT - RIGHT);
  const panels = [
    { title: 'records acknowledged a second', series: [{ label: '', points: rates(replies) }] },
    { title: 'lag, records', series: [{ label: '', points: offsets.map(lagOf) }] },
    { title: 'memory, MiB', series: memorySeries(samples) },
  ];
  const drawn = panels.map((panel, index) => panelOf(panel, TOP + index * (PANEL + GAP), x));
  const lanesFrom = TOP + panels.length * (PANEL + GAP);
  const height = lanesFrom + faults.length * LANE + 40;
  const bars = faults.map(({ fromMs: begin, toMs: end, text }, index) => {
    const y = lanesFrom + index * LANE;
    const width = Math.max(2, x(end) - x(begin));
    // Text that would leave the picture stands before its bar.
    const isLate = x(end) > WIDTH - 330;
    return [
      `<rect x="${fixed(x(begin))}" y="${TOP}" width="${fixed(width)}" height="${lanesFrom - TOP}" fill="#c0392b" opacity="0.06"/>`,
      `<rect x="${fixed(x(begin))}" y="${y}" width="${fixed(width)}" height="${LANE - 3}" fill="#c0392b"/>`,
      `<text x="${fixed(isLate ? x(begin) - 4 : x(begin) + width + 4)}" y="${y + 9}" font-size="10" text-anchor="${isLate ? 'end' : 'start'}">${escaped(text)}</text>`,
    ].join('\n  ');
  });
  const seconds = Math.round((toMs - fromMs) / 1_000);
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">
  <rect width="${WIDTH}" height="${height}" fill="#fff"/>
  <text x="${LEFT}" y="20" font-weight="bold">${escaped(title)}</text>
  ${[...drawn, ...bars].join('\n  ')}
  <text x="${LEFT}" y="${height - 12}">0 s</text>
  <text x="${WIDTH - RIGHT}" y="${height - 12}" text-anchor="end">${seconds} s</text>
</svg>
`;
}

function panelOf(
  panel: { readonly title: string; readonly series: readonly Series[] },
  top: number,
  x: (atMs: number) => number,
): string {
  const most = panel.series.flatMap(({ points }) => points).reduce((highest, { value }) => Math.max(highest, value), 1);
  const y = (value: number): number => top + PANEL - (value / most) * PANEL;
  const lines = panel.series.flatMap(({ label, points }, index) => {
    const colour = COLOURS[index % COLOURS.length] ?? '#000';
    const legend = `<text x="${WIDTH - RIGHT - 110 * (panel.series.length - index - 1)}" y="${top - 6}" fill="${colour}" text-anchor="end">${escaped(label)}</text>`;
    return [
      `<path d="${pathOf(points, x, y)}" fill="none" stroke="${colour}" stroke-width="1.5"/>`,
      ...(label === '' ? [] : [legend]),
    ];
  });
  return [
    `<text x="${LEFT}" y="${top - 6}">${panel.title}</text>`,
    `<text x="${LEFT - 8}" y="${top + 10}" text-anchor="end">${Math.round(most).toLocaleString('en')}</text>`,
    `<text x="${LEFT - 8}" y="${top + PANEL}" text-anchor="end">0</text>`,
    `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${top + PANEL}" y2="${top + PANEL}" stroke="#999"/>`,
    ...lines,
  ].join('\n  ');
}

function pathOf(points: readonly Point[], x: (atMs: number) => number, y: (value: number) => number): string {
  return points
    .map(({ atMs, value }, index) => {
      const before = points[index - 1];
      const begins = before === undefined || atMs - before.atMs > BREAK_MS;
      return `${begins ? 'M' : 'L'}${fixed(x(atMs))} ${fixed(y(value))}`;
    })
    .join('');
}

function rates(replies: readonly ReplySample[]): Point[] {
  return replies.slice(1).map(({ atMs, acknowledged }, index) => {
    const before = replies[index] as ReplySample;
    const seconds = Math.max(1, atMs - before.atMs) / 1_000;
    return { atMs, value: (acknowledged - before.acknowledged) / seconds };
  });
}

function lagOf({ atMs, committed, ends }: OffsetSample): Point {
  return { atMs, value: sum(ends) - sum(committed) };
}

function memorySeries(samples: readonly ProcessSample[]): Series[] {
  const points = new Map<string, Point[]>();
  for (const { name, atMs, bytes } of samples) {
    if (bytes === undefined) continue;
    const own = points.get(name) ?? [];
    own.push({ atMs, value: bytes / 1024 ** 2 });
    points.set(name, own);
  }
  return Array.from(points, ([label, own]) => ({ label, points: own }));
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

function fixed(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
