import { setTimeout as sleep } from 'node:timers/promises';
import { styleText } from 'node:util';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import type { Verdict } from './ledger.js';

type Style = 'bold' | 'dim' | 'green' | 'red';

const REDRAW_EVERY_MS = 125;
/** Where standard output is no terminal, a line is written this often. */
const LINE_EVERY_MS = 3_000;
const STALLED_AFTER_MS = 60_000;

/** A text in colours where standard output shows them: on a terminal, and not with NO_COLOR. */
export function paint(text: string, ...styles: readonly Style[]): string {
  if (!process.stdout.isTTY || !process.stdout.hasColors()) return text;
  return styles.reduce((painted, style) => styleText(style, painted), text);
}

/** `200,000`. */
export function grouped(number: number): string {
  return Math.round(number).toLocaleString('en');
}

/** `1 row`, `200,000 rows`. */
export function count(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** Prints what comes next, with an empty line before it. */
export function heading(text: string): void {
  console.log(`\n${paint(text, 'bold')}`);
}

/** Prints texts below a heading. */
export function printIndented(texts: readonly string[]): void {
  for (const line of texts.join('\n').split('\n')) console.log(`   ${line}`.trimEnd());
}

/**
 * Shows how many records were acknowledged, and waits for all: as a bar on a terminal, elsewhere as a line every 3 seconds.
 *
 * @returns false where none has come for `stalledAfterMs`, by default a minute
 * @throws once the signal is aborted
 */
export async function followProgress(
  total: number,
  read: () => { produced: number; acknowledged: number },
  signal: AbortSignal,
  stalledAfterMs = STALLED_AFTER_MS,
): Promise<boolean> {
  signal.throwIfAborted();
  const bar = new SingleBar({
    stream: process.stdout,
    format: '   {bar} {value} of {total} acknowledged, {produced} produced, {duration} s',
    formatValue: (value) => grouped(value),
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 30,
    hideCursor: true,
    noTTYOutput: true,
    notTTYSchedule: LINE_EVERY_MS,
  });
  bar.start(total, 0, { produced: grouped(0) });
  // An interrupt prints a line at once: the bar has to be at rest by then.
  signal.addEventListener('abort', () => bar.stop());
  let grownAtMs = performance.now();
  for (let last = 0; ;) {
    const { produced, acknowledged } = read();
    bar.update(acknowledged, { produced: grouped(produced) });
    const now = performance.now();
    if (acknowledged > last) grownAtMs = now;
    last = acknowledged;
    const stalled = now - grownAtMs > stalledAfterMs;
    if (stalled || acknowledged >= total) {
      bar.stop();
      if (stalled) printIndented(['No further acknowledgement has come for a long time: not waiting any longer.']);
      return !stalled;
    }
    await sleep(REDRAW_EVERY_MS, undefined, { signal });
  }
}

/** What was counted, as a table. What is lost or doubled stands out. */
export function countTable(verdicts: readonly Verdict[]): string {
  const head = ['', 'produced', 'acknowledged', 'rows', 'lost', 'duplicated'];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [] },
  });
  const alarming = (number: number): string => (number === 0 ? '0' : paint(grouped(number), 'red', 'bold'));
  for (const { name, good, bad } of verdicts) {
    const { produced, acknowledged, rows, lost, duplicated } = good;
    table.push([name, ...[produced, acknowledged, rows].map(grouped), alarming(lost), alarming(duplicated)]);
    if (bad.produced > 0) {
      const rejected = `${grouped(bad.rejected)} rejected`;
      const missing = alarming(bad.produced - bad.rejected);
      table.push([`bad ${name}`, grouped(bad.produced), rejected, grouped(bad.rows), missing, '']);
    }
  }
  return table.toString();
}

/** What the counts mean. */
export function verdictLines(verdicts: readonly Verdict[]): string[] {
  const problems = verdicts.flatMap((verdict) => verdict.problems);
  const repeated = verdicts.reduce((sum, { acksRepeated }) => sum + acksRepeated, 0);
  return [
    ...(problems.length === 0
      ? [paint('Passed: nothing lost, nothing twice, every record acknowledged.', 'green', 'bold')]
      : [paint('FAILED', 'red', 'bold'), ...problems.map((problem) => paint(`- ${problem}`, 'red'))]),
    ...(repeated > 0 ? [`${count(repeated, 'acknowledgement')} came again, which is allowed: a row may not.`] : []),
  ];
}
