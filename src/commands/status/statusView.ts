import Table from 'cli-table3';
import type { Config } from '../../config/config.js';
import type { BatcherStatus } from '../../protocol/batcher.js';
import { unflushedRecords } from '../shared/unflushedRecords.js';
import type { ReportedBatcher, EarlierLayout, PipelineReport } from './statusReport.js';
import { openTransactionText } from '../../kafka/openTransaction.js';
import type { GroupMemberInfo } from '../../kafka/groupMembers.js';

/** The state of all pipelines at one moment. */
export interface StatusSnapshot {
  readonly atMs: number;
  readonly reports: readonly PipelineReport[];
}

/** Records per second between two snapshots. Null if a snapshot lacks the number. */
export interface Rates {
  /** How fast the committed offsets moved. */
  readonly committed: number | null;
  /** Rows inserted, by index of the batcher. */
  readonly rows: ReadonlyMap<number, number>;
}

/**
 * The rates of a pipeline between two snapshots. What cannot be compared is left out: a batcher that did not answer or
 * has started to count again, and offsets that were moved back. Pure.
 */
export function ratesBetween(before: StatusSnapshot, now: StatusSnapshot, pipeline: string): Rates {
  const seconds = (now.atMs - before.atMs) / 1000;
  const [earlier, later] = [before, now].map(({ reports }) => reports.find((report) => report.pipeline === pipeline));
  if (earlier === undefined || later === undefined || seconds <= 0) return { committed: null, rows: new Map() };
  const positions = [committedSum(earlier), committedSum(later)] as const;
  const moved = positions[0] === null || positions[1] === null ? null : positions[1] - positions[0];
  const rows = new Map<number, number>();
  for (const { index, inserted } of insertedBy(later)) {
    const known = insertedBy(earlier).find((batcher) => batcher.index === index);
    if (known !== undefined && inserted >= known.inserted) rows.set(index, (inserted - known.inserted) / seconds);
  }
  return { committed: moved === null || moved < 0 ? null : moved / seconds, rows };
}

function committedSum({ lag }: PipelineReport): number | null {
  if ('error' in lag) return null;
  return lag.reduce((sum, { committed }) => sum + (committed ?? 0), 0);
}

function insertedBy({ batchers }: PipelineReport): { index: number; inserted: number }[] {
  if ('error' in batchers) return [];
  return batchers.flatMap((report) =>
    statusOf(report) === null ? [] : [{ index: report.index, inserted: statusOf(report)?.counters.inserted ?? 0 }],
  );
}

/**
 * A snapshot as text for a terminal. Pure.
 *
 * @param before an earlier snapshot, for the rates. Without it there are no rates
 */
export function statusText(
  now: StatusSnapshot,
  { kafka, temporal }: Pick<Config, 'kafka' | 'temporal'>,
  before?: StatusSnapshot,
): string {
  const lines: string[] = [];
  for (const report of now.reports) {
    const rates = before === undefined ? null : ratesBetween(before, now, report.pipeline);
    lines.push('', `pipeline ${report.pipeline}`);
    if ('error' in report.lag) lines.push(`  Kafka at ${kafka.brokers.join(', ')}: ${report.lag.error}`);
    else {
      const total = report.lag.reduce((sum, { lag }) => sum + lag, 0);
      lines.push(`  lag ${count(total)} records over ${report.lag.length} partitions${committedRate(rates)}`);
      for (const { topic, partition, end, readableEnd } of report.lag)
        if (readableEnd < end)
          lines.push(
            `  ${openTransactionText({ topic, partition }, readableEnd)}, ${count(end - readableEnd)} offsets`,
          );
    }
    for (const problem of report.unknown) lines.push(`  ${problem}`);
    if (!('error' in report.members)) lines.push(`  ${membersText(report.members)}`);
    // If Kafka does not answer at all, it has been said.
    else if (!('error' in report.lag) || report.lag.error !== report.members.error)
      lines.push(`  members: not known: ${report.members.error}`);
    if ('error' in report.batchers) lines.push(`  Temporal at ${temporal.address}: ${report.batchers.error}`);
    else lines.push(batcherTable(report.batchers, now.atMs, rates));
    for (const earlier of report.earlierLayouts) lines.push(...earlierText(earlier, now.atMs));
  }
  return lines.join('\n');
}

/** Partitions that have not left a layout, and the batchers that they may wait for. */
function earlierText({ layout, partitions, batchers }: EarlierLayout, nowMs: number): string[] {
  const are = partitions === 1 ? '1 partition is' : `${partitions} partitions are`;
  const what = `  ${are} still in the earlier layout ${layout}`;
  if ('error' in batchers) return [`${what}, whose batchers are not known: ${batchers.error}`];
  if (batchers.length === 0) return [`${what}, whose batchers hold nothing`];
  return [`${what}, until these batchers have flushed:`, batcherTable(batchers, nowMs, null, true)];
}

function committedRate(rates: Rates | null): string {
  return rates?.committed === null || rates === null ? '' : `, ${count(rates.committed)} records/s`;
}

/** `2 members: ktb@10.0.0.7 reads 4 partitions, ktb@10.0.0.8 reads 4 partitions` */
function membersText(members: readonly GroupMemberInfo[]): string {
  if (members.length === 0) return 'no members: nobody reads';
  const each = members.map(
    ({ clientId, host, partitions }) => `${clientId}@${host} reads ${partitions.length} partitions`,
  );
  return `${members.length} ${members.length === 1 ? 'member' : 'members'}: ${each.join(', ')}`;
}

/** @param isNamed whether batchers are named by their workflow ids, and not by their indexes */
function batcherTable(
  batchers: readonly ReportedBatcher[],
  nowMs: number,
  rates: Rates | null,
  isNamed = false,
): string {
  const inherits = batchers.some((report) => inheritedOf(report) !== '');
  const table = new Table({
    head: [
      'batcher',
      'state',
      'buffered',
      'oldest',
      ...(inherits ? ['of closed runs'] : []),
      'records',
      ...(rates === null ? [] : ['rows/s']),
      'batches',
      'rejected',
      'last flush',
      'history',
      'last error',
    ],
    style: { head: [], border: [] },
  });
  for (const report of batchers) {
    const [index = '', ...cells] = tableRow(report, nowMs, { rates, inherits });
    table.push([isNamed ? report.workflowId : index, ...cells]);
  }
  return table.toString();
}

function tableRow(
  report: ReportedBatcher,
  nowMs: number,
  { rates, inherits }: { readonly rates: Rates | null; readonly inherits: boolean },
): (string | number)[] {
  const of = statusOf(report);
  const rate = rates === null ? [] : [countOrNothing(rates.rows.get(report.index))];
  const inherited = inherits ? [inheritedOf(report)] : [];
  if (of === null) {
    const error = 'error' in report ? report.error : '';
    const history = 'historyBytes' in report ? kib(report.historyBytes) : '';
    return [report.index, report.state, '', '', ...inherited, '', ...rate.map(() => ''), '', '', '', history, error];
  }
  const { lastFlush } = of;
  const oldestMs = oldestAcceptedAtMs(of);
  return [
    report.index,
    stateOf(of, nowMs),
    count(unflushedRecords(of)),
    oldestMs === null ? '' : seconds(nowMs - oldestMs),
    ...inherited,
    count(of.counters.records),
    ...rate,
    count(of.counters.batches),
    count(of.counters.rejected),
    lastFlush === null ? '' : `${lastFlush.reason}, ${seconds(nowMs - lastFlush.finishedAtMs)} ago`,
    kib(of.historyBytes),
    // A reason or an error may have line breaks, which would tear the table.
    (('pendingError' in report ? report.pendingError : null) ?? of.lastError ?? pausedBy(of)).replace(/\s+/g, ' '),
  ];
}

/** What the batcher still has to take over from closed runs: `3 batches`, or that it reads that now. Normally nothing. */
function inheritedOf(report: ReportedBatcher): string {
  const of = statusOf(report);
  if (of?.inheritedBatches === null) return 'being read';
  const batches = of?.inheritedBatches ?? 0;
  return batches === 0 ? '' : `${count(batches)} batches`;
}

/** When the oldest record arrived that is not flushed. The batch that is being flushed is older than the buffer. */
function oldestAcceptedAtMs({ flushing, oldestAcceptedAtMs }: BatcherStatus): number | null {
  return flushing === null ? oldestAcceptedAtMs : (flushing.oldestAcceptedAtMs ?? flushing.startedAtMs);
}

function statusOf(report: ReportedBatcher): BatcherStatus | null {
  return 'status' in report && report.status !== undefined ? report.status : null;
}

/** `accepting`, `paused`, …, and since when a batch is being flushed: `flushing for 95.3 s`, `draining, flushing for 95.3 s`. */
function stateOf({ paused, draining, holding, flushing }: BatcherStatus, nowMs: number): string {
  const flushes = flushing === null ? [] : [`flushing for ${seconds(nowMs - flushing.startedAtMs)}`];
  const steered = paused ? ['paused'] : draining ? ['draining'] : holding ? ['holding'] : [];
  return [...steered, ...flushes].join(', ') || 'accepting';
}

/** Who has paused it, and why. */
function pausedBy({ paused, controls }: BatcherStatus): string {
  const control = controls.filter(({ action }) => action === 'pause').at(-1);
  return paused && control !== undefined ? `paused by ${control.actor}: ${control.reason}` : '';
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en');
}

function countOrNothing(number: number | undefined): string {
  return number === undefined ? '' : count(number);
}

function kib(bytes: number): string {
  return `${Math.round(bytes / 1024)} KiB`;
}

/** Clocks differ, so an age below zero counts as zero. */
function seconds(ms: number): string {
  return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
}
