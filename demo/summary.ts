import Table from 'cli-table3';
import type { RejectionReason } from './ackLedger.js';
import type { Latency } from './latency.js';
import { paint } from './output.js';
import { count, duration, grouped } from './text.js';
import type { Verdict } from './verdict.js';

/** What a run has shown. */
export interface Outcome {
  readonly verdicts: readonly Verdict[];
  /** The phase at full speed. */
  readonly bulk: {
    readonly records: number;
    /** From the first record produced to the last acknowledgement received; undefined where some are missing. */
    readonly elapsedMs: number | undefined;
    readonly latency: Latency | undefined;
  };
  /** The phase of single records. */
  readonly trickle: Latency | undefined;
  /** `batch.maxDelay`: how long a batch waits for company. */
  readonly maxDelayMs: number;
  /** The records that were meant to be rejected. */
  readonly bad: { readonly rejections: readonly RejectionReason[]; readonly topic: string };
}

const LABEL_WIDTH = 12;
const MESSAGE_LENGTH_MAX = 60;

/** The result for somebody who sees it for the first time; lines of at most 95 characters, but for what went wrong. */
export function summarize(outcome: Outcome): string[] {
  return [
    ...countTable(outcome.verdicts).split('\n'),
    '',
    ...verdictLines(outcome.verdicts),
    ...speedLines(outcome),
    ...latencyLines(outcome),
    ...badRecordLines(outcome),
  ];
}

function countTable(verdicts: readonly Verdict[]): string {
  const head = ['', 'produced', 'acknowledged', 'rows', 'lost', 'duplicated'];
  const table = new Table({
    head,
    colAligns: head.map((_, column) => (column === 0 ? 'left' : 'right')),
    style: { head: [], border: [] },
  });
  const alarming = (number: number): string => (number === 0 ? '0' : paint(grouped(number), 'red', 'bold'));
  for (const { name, good, bad } of verdicts) {
    table.push([
      name,
      grouped(good.produced),
      grouped(good.acknowledged),
      grouped(good.rows),
      alarming(good.lost),
      alarming(good.duplicated),
    ]);
    if (bad.produced > 0)
      table.push([
        `bad ${name}`,
        grouped(bad.produced),
        `${grouped(bad.rejected)} rejected`,
        grouped(bad.rows),
        alarming(bad.produced - bad.rejected),
        '',
      ]);
  }
  return table.toString();
}

function verdictLines(verdicts: readonly Verdict[]): string[] {
  const problems = verdicts.flatMap((verdict) => verdict.problems);
  const repeated = verdicts.reduce((sum, { acksRepeated }) => sum + acksRepeated, 0);
  return [
    ...(problems.length === 0
      ? [paint('Passed: nothing lost, nothing twice, every record acknowledged.', 'green', 'bold')]
      : [paint('FAILED', 'red', 'bold'), ...problems.map((problem) => paint(`- ${problem}`, 'red'))]),
    ...(repeated > 0 ? [`${count(repeated, 'acknowledgement')} came again, which is allowed: a row may not.`] : []),
  ];
}

function speedLines({ bulk: { records, elapsedMs } }: Outcome): string[] {
  if (elapsedMs === undefined) return [];
  const rate = paint(`${grouped((records / elapsedMs) * 1_000)} records/s`, 'bold');
  return labelled('Speed', [
    `${rate} end to end: ${count(records, 'record')} in ${duration(elapsedMs)}, from the first one`,
    'produced to the last acknowledgement received; cold start, and Kafka, Temporal,',
    'ClickHouse, the bridge and this producer share one machine',
  ]);
}

function latencyLines({ bulk, trickle, maxDelayMs }: Outcome): string[] {
  if (bulk.latency === undefined && trickle === undefined) return [];
  return labelled('Latency', [
    'from producing a record to receiving its acknowledgement',
    ...(trickle === undefined
      ? []
      : [`one by one     ${percentiles(trickle)}   of it up to ${duration(maxDelayMs)} is batch.maxDelay`]),
    ...(bulk.latency === undefined
      ? []
      : [`at full speed  ${percentiles(bulk.latency)}   a queue: produced faster than inserted`]),
  ]);
}

function percentiles({ p50Ms, p99Ms }: Latency): string {
  return paint(`p50 ${duration(p50Ms).padStart(6)}  p99 ${duration(p99Ms).padStart(6)}`, 'bold');
}

function badRecordLines({ bad: { rejections, topic } }: Outcome): string[] {
  if (rejections.length === 0) return [];
  const codeWidth = Math.max(0, ...rejections.map(({ code }) => code.length));
  return labelled('Bad records', [
    `${rejections.length} among the good ones: rejected alone, acknowledged with a reason, and kept on the`,
    `dead-letter topic ${topic}`,
    ...rejections.map(({ code, message }) => `${code.padEnd(codeWidth)}  ${shortened(message)}`),
  ]);
}

function labelled(label: string, lines: readonly string[]): string[] {
  return ['', ...lines.map((line, index) => `${(index === 0 ? label : '').padEnd(LABEL_WIDTH)} ${line}`)];
}

function shortened(message: string): string {
  return message.length <= MESSAGE_LENGTH_MAX ? message : `${message.slice(0, MESSAGE_LENGTH_MAX - 3)}...`;
}
