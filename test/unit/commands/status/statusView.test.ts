import { expect, it } from 'vitest';
import {
  earlierLayouts,
  isIncomplete,
  type ReportedBatcher,
  type PipelineReport,
} from '../../../../src/commands/status/statusReport.js';
import { formatCommitMetadata, READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { ratesBetween, statusText, type StatusSnapshot } from '../../../../src/commands/status/statusView.js';
import { parseConfig } from '../../../../src/config/load.js';
import type { BatcherStatus } from '../../../../src/protocol/batcher.js';

const config = parseConfig('pipelines: { orders: { topics: [orders], table: orders } }', 'ktb.yaml', {});
const AT_MS = 1_000_000;

function batcher(index: number, inserted: number, overrides: Partial<BatcherStatus> = {}): ReportedBatcher {
  const status: BatcherStatus = {
    pipeline: 'orders',
    bufferedRecords: 1_234,
    bufferedBytes: 0,
    oldestAcceptedAtMs: AT_MS - 1_500,
    flushing: null,
    lastFlush: { number: 1, id: 'a', reason: 'delay', records: 1, startedAtMs: 0, finishedAtMs: AT_MS - 4_000 },
    lastError: null,
    paused: false,
    draining: false,
    holding: false,
    counters: {
      signals: 0,
      records: 5_000,
      batches: 7,
      inserted,
      rejected: 3,
      skipped: 0,
      duplicateChunks: 0,
      foreignSignals: 0,
      continuations: 0,
    },
    inheritedBatches: 0,
    rememberedRequests: 0,
    unconfirmed: 0,
    coverageRanges: 1,
    controls: [],
    continueAsNewSuggested: false,
    historyLength: 10,
    historyBytes: 20_480,
    ...overrides,
  };
  return { index, workflowId: `ktb:orders:8-key:${index}`, state: 'running', status, pendingError: null };
}

function look(atMs: number, committed: number, overrides: Partial<PipelineReport> = {}): StatusSnapshot {
  const report: PipelineReport = {
    pipeline: 'orders',
    lag: [{ topic: 'orders', partition: 0, committed, end: 9_000, lag: 9_000 - committed, readableEnd: 9_000 }],
    unknown: [],
    members: [{ memberId: 'm', clientId: 'ktb', host: '10.0.0.7', partitions: ['orders/0'] }],
    batchers: [batcher(0, committed)],
    earlierLayouts: [],
    ...overrides,
  };
  return { atMs, reports: [report] };
}

it('rates are what happened between two looks, by their time', () => {
  const { committed, rows } = ratesBetween(look(0, 1_000), look(2_000, 4_000), 'orders');
  expect(committed).toBe(1_500);
  expect(rows.get(0)).toBe(1_500);
});

it('what cannot be compared has no rate: offsets set back, a batcher that counts anew or did not answer', () => {
  const back = ratesBetween(look(0, 4_000), look(2_000, 1_000), 'orders');
  expect(back.committed).toBeNull();
  expect([...back.rows]).toEqual([]);
  const silent = look(0, 1_000, {
    lag: { error: 'away' },
    batchers: [{ index: 0, workflowId: 'x', state: 'not started' }],
  });
  const after = ratesBetween(silent, look(2_000, 4_000), 'orders');
  expect(after.committed).toBeNull();
  expect([...after.rows]).toEqual([]);
  expect(ratesBetween(look(5, 1), look(5, 2), 'orders').committed).toBeNull();
});

it('says lag, members, and of each batcher what it holds, how old, and its last flush', () => {
  const text = statusText(look(AT_MS, 1_000), config);
  for (const part of ['lag 8,000 records over 1 partitions', '1 member: ktb@10.0.0.7 reads 1 partitions'])
    expect(text).toContain(part);
  expect(text).toMatch(/0 .*accepting .*1,234 .*1\.5 s .*5,000 .*7 .*3 .*delay, 4\.0 s ago .*20 KiB/);
  expect(text).not.toContain('rows/s');
});

it('shows the batch that is being flushed: since when, and as a part of what is held', () => {
  const at = { startedAtMs: AT_MS - 95_300, parked: false };
  const flushing = { number: 8, reason: 'delay', records: 500, bytes: 1, ...at } as const;
  const of = (overrides: Partial<BatcherStatus>) =>
    statusText(look(AT_MS, 0, { batchers: [batcher(0, 0, { flushing, ...overrides })] }), config);
  const stuck = { bufferedRecords: 0, oldestAcceptedAtMs: null };
  expect(of({ ...stuck, flushing: { ...flushing, oldestAcceptedAtMs: AT_MS - 97_000 } })).toMatch(
    /flushing for 95\.3 s .* 500 .* 97\.0 s /,
  );
  // A worker of an earlier version does not say how old its batch is.
  expect(of(stuck)).toMatch(/flushing for 95\.3 s .* 500 .* 95\.3 s /);
  expect(of({})).toMatch(/ 1,734 .* 95\.3 s /);
  expect(of({ draining: true })).toContain('draining, flushing for 95.3 s');
});

it('shows what batchers still have to take over from closed runs, if there is any', () => {
  const of = (inheritedBatches: number | null) =>
    statusText(look(AT_MS, 0, { batchers: [batcher(0, 0, { inheritedBatches }), batcher(1, 0)] }), config);
  expect(of(3)).toMatch(/of closed runs[^]* 3 batches /);
  expect(of(null)).toContain(' being read ');
  expect(of(0)).not.toContain('of closed runs');
});

it('shows rates beside the batchers once there are two looks', () => {
  const text = statusText(look(AT_MS, 4_000), config, look(AT_MS - 2_000, 1_000));
  expect(text).toContain('1,500 records/s');
  expect(text).toContain('rows/s');
  expect(text.match(/1,500/g)).toHaveLength(2);
});

it('names who paused a batcher and why, unless there is an error to see', () => {
  const controls = [{ action: 'pause', actor: 'ada@laptop', reason: 'migrating', atMs: 0 }] as const;
  const paused = (lastError: string | null) =>
    statusText(look(AT_MS, 0, { batchers: [batcher(0, 0, { paused: true, controls, lastError })] }), config);
  expect(paused(null)).toContain('paused by ada@laptop: migrating');
  expect(paused('no such table')).toContain('no such table');
});

it('names the part that does not answer', () => {
  const text = statusText(look(AT_MS, 0, { lag: { error: 'refused' }, batchers: { error: 'no answer' } }), config);
  expect(text).toContain('Kafka at localhost:9092: refused');
  expect(text).toContain('Temporal at localhost:7233: no answer');
});

it('members that cannot be asked for are said, and the report is incomplete', () => {
  const refused = { error: 'not authorized to access group ktb-orders' };
  const { reports, ...snapshot } = look(AT_MS, 1_000, { members: refused });
  expect(statusText({ ...snapshot, reports }, config)).toContain(`  members: not known: ${refused.error}\n`);
  expect(reports.map(isIncomplete)).toEqual([true]);
  expect(look(AT_MS, 1_000).reports.map(isIncomplete)).toEqual([false]);
  // What keeps Kafka from answering at all is said once.
  const away = look(AT_MS, 1_000, { lag: refused, members: refused });
  expect(statusText(away, config).split(refused.error)).toHaveLength(2);
});

it('a reason or an error with line breaks stays in one line of the table', () => {
  const control = { action: 'pause', actor: 'ada', reason: 'first\nsecond\r\nthird', atMs: 0 } as const;
  const texts = [
    batcher(0, 1, { paused: true, controls: [control] }),
    batcher(0, 1, { lastError: 'first\nsecond\r\nthird' }),
  ].map((one) => statusText(look(AT_MS, 1, { batchers: [one] }), config));
  for (const text of texts) expect(text).toMatch(/first second third/);
});

it('a layout that partitions have not left is shown, with the batchers that hold something, by their ids', () => {
  const commit = (batchers: number, state: Parameters<typeof formatCommitMetadata>[0]['state'] = READING) => ({
    committedMetadata: formatCommitMetadata({
      ...{ epoch: 'e', clusterId: 'c', state },
      layout: { batchers, keyFunction: 'key' },
    }),
  });
  const before = { batchers: 2, keyFunction: 'key' } as const;
  const commits = [commit(8), commit(2), commit(2, { type: 'closing' }), { committedMetadata: null }];
  expect(earlierLayouts(commits, { batchers: 8, keyFunction: 'key' })).toEqual([{ layout: before, partitions: 2 }]);

  const control = { action: 'pause', actor: 'ada', reason: 'table', atMs: 0 } as const;
  const paused = { ...batcher(1, 0, { paused: true, controls: [control] }), workflowId: 'ktb:orders:2-key:1' };
  const textOf = (batchers: readonly ReportedBatcher[]) =>
    statusText(look(AT_MS, 0, { earlierLayouts: [{ layout: '2-key', partitions: 2, batchers }] }), config);
  expect(textOf([paused])).toMatch(
    /2 partitions are still in the earlier layout 2-key, until these batchers have flushed:[^]*ktb:orders:2-key:1.*paused by ada: table/,
  );
  expect(textOf([])).toContain('2 partitions are still in the earlier layout 2-key, whose batchers hold nothing');
});

it('what waits behind an open transaction is told', () => {
  const lag = [{ topic: 'orders', partition: 0, committed: 10, end: 5_011, lag: 5_001, readableEnd: 10 }];
  expect(statusText(look(AT_MS, 0, { lag }), config)).toContain(
    'orders/0: nothing is read from offset 10 on: a transaction that began there is open, 5,001 offsets',
  );
  expect(statusText(look(AT_MS, 0), config)).not.toContain('transaction');
});
