import { expect, it } from 'vitest';
import { planControl, earlierTargets, targetsOf, type Failing } from '../../../../src/commands/control/controlPlan.js';
import { UsageError } from '../../../../src/lib/usageError.js';
import type { PipelineConfig } from '../../../../src/config/config.js';
import { parseConfig } from '../../../../src/config/load.js';
import type { BatcherStatus } from '../../../../src/protocol/batcher.js';

const { pipelines } = parseConfig(
  'pipelines: { orders: { topics: [orders], table: orders, batchers: 2 }, bills: { topics: [bills], table: bills } }',
  'ktb.yaml',
  {},
);
const ids = (options: { pipeline?: string; batchers?: string[] }) =>
  targetsOf(pipelines, { batchers: [], ...options }).map(({ workflowId }) => workflowId);

it('means all batchers, those of a pipeline, or those named, also of an earlier layout', () => {
  expect(ids({})).toHaveLength(2 + 2);
  expect(ids({ pipeline: 'orders' })).toEqual(['ktb:orders:2-key:0', 'ktb:orders:2-key:1']);
  expect(ids({ pipeline: 'orders', batchers: ['1'] })).toEqual(['ktb:orders:2-key:1']);
  expect(ids({ batchers: ['ktb:bills:4-key:3'] })).toEqual(['ktb:bills:4-key:3']);
});

it.each([
  [{ pipeline: 'order' }, 'no pipeline order; it has orders, bills'],
  [{ batchers: ['1'] }, 'could be of orders or bills'],
  [{ pipeline: 'orders', batchers: ['2'] }, 'no batcher 2; it has 0 to 1'],
  [{ pipeline: 'orders', batchers: ['-1'] }, 'no batcher -1'],
  [{ batchers: ['ktb:stock:4-key:3'] }, 'no batcher of orders, bills'],
])('refuses %j', (options, message) => {
  expect(() => ids(options)).toThrow(UsageError);
  expect(() => ids(options)).toThrow(message);
});

it('a resume of all reaches the batchers of earlier layouts, too', () => {
  const [orders] = pipelines as [PipelineConfig];
  const layouts = [
    orders.layout,
    { batchers: 1, keyFunction: 'key' },
    { batchers: 2, keyFunction: 'partition' },
  ] as const;
  expect(earlierTargets(orders, layouts).map(({ workflowId }) => workflowId)).toEqual([
    'ktb:orders:1-key:0',
    'ktb:orders:2-partition:0',
    'ktb:orders:2-partition:1',
  ]);
});

const running = (status: Partial<BatcherStatus>, failing: Failing | null = null) =>
  ({
    state: 'running',
    failing,
    status: {
      paused: false,
      draining: false,
      bufferedRecords: 7,
      flushing: null,
      inheritedBatches: 0,
      ...status,
    } as BatcherStatus,
  }) as const;

it('tells a batcher only what it is not yet', () => {
  expect(planControl('pause', running({ paused: false })).outcome).toBe('told');
  expect(planControl('pause', running({ paused: true })).outcome).toBe('already');
  expect(planControl('resume', running({ paused: true })).outcome).toBe('told');
  expect(planControl('resume', running({ paused: false })).outcome).toBe('already');
  expect(planControl('flush', running({})).outcome).toBe('told');
  expect(planControl('flush', running({ bufferedRecords: 0 })).outcome).toBe('already');
  expect(planControl('drain', running({ bufferedRecords: 0 })).outcome).toBe('told');
  expect(planControl('drain', running({ draining: true })).outcome).toBe('already');
});

it('says that a paused batcher flushes only once it is resumed', () => {
  for (const action of ['flush', 'drain'] as const)
    expect(planControl(action, running({ paused: true })).message).toContain('once it is resumed');
});

it('tells a batcher also while no worker answers', () => {
  for (const action of ['pause', 'resume', 'flush', 'drain'] as const)
    expect(planControl(action, { state: 'running', status: null, failing: null }).outcome).toBe('told');
});

it('takes nothing for flushed that a closed run may hold, and nothing for paused that would start unpaused', () => {
  for (const action of ['pause', 'resume', 'flush', 'drain'] as const) {
    expect(planControl(action, { state: 'closed', how: 'TERMINATED' }).outcome).toBe('failed');
    const expected = action === 'pause' ? 'failed' : 'already';
    expect(planControl(action, { state: 'closed', how: 'COMPLETED' }).outcome).toBe(expected);
    expect(planControl(action, { state: 'not started' }).outcome).toBe(expected);
  }
});

it('takes no batcher that Temporal does not know for one without work, if its name is none of the configuration’s layout', () => {
  const find = (batcher: string) => targetsOf(pipelines, { batchers: [batcher] })[0]!;
  const known = find(ids({ pipeline: 'orders' })[0]!);
  const mistyped = find('ktb:orders:16-key:99');
  for (const action of ['resume', 'flush', 'drain', 'park'] as const) {
    expect(planControl(action, { state: 'not started' }, known).outcome).toBe('already');
    expect(planControl(action, { state: 'not started' }, mistyped).outcome).toBe('failed');
  }
});

const onItsWay = { number: 7, reason: 'delay', records: 12, bytes: 1, startedAtMs: 0, parked: false } as const;
const insertFails = { step: 'insert', message: 'ClickHouse error 60' } as const;

it('counts the batch that is being flushed, and what closed runs have left, as held, and says what is wrong with it', () => {
  const stuck = (action: 'pause' | 'resume' | 'flush' | 'drain', status: Partial<BatcherStatus> = {}) =>
    planControl(action, running({ bufferedRecords: 0, flushing: onItsWay, ...status }, insertFails));
  const failed = 'batch 7 with 12 records has failed and is tried again: ClickHouse error 60';
  expect(stuck('flush')).toEqual({ outcome: 'already', message: `flushes 12 records anyway; ${failed}` });
  expect(stuck('flush', { bufferedRecords: 7 })).toEqual({ outcome: 'told', message: `flushes 19 records; ${failed}` });
  expect(stuck('drain').message).toMatch(/^flushes 12 records and ends; .*; batch 7 .* has failed/);
  expect(stuck('drain', { draining: true }).message).toBe(`is draining, with 12 records left; ${failed}`);
  expect(stuck('pause').message).toBe(`pauses, and holds 12 records; ${failed}`);
  expect(planControl('pause', running({ flushing: onItsWay })).message).toBe(
    'pauses, and holds 19 records; batch 7 with 12 records is on its way',
  );
  const heir = (inheritedBatches: number | null, paused = false) =>
    planControl('flush', running({ bufferedRecords: 0, inheritedBatches, paused }));
  expect(heir(3)).toEqual({ outcome: 'already', message: 'flushes 3 batches of closed runs anyway' });
  expect(heir(3, true).message).toBe('flushes 3 batches of closed runs anyway once it is resumed');
  expect(heir(null).message).toContain('what a closed run has left');
  expect(heir(0)).toEqual({ outcome: 'already', message: 'holds nothing' });
});

it('gives up a batch only by its number, and only one whose insert has failed', () => {
  const park = (status: Partial<BatcherStatus>, failing: Failing | null = insertFails) =>
    planControl('park', running({ flushing: onItsWay, ...status }, failing));
  expect(park({})).toMatchObject({
    outcome: 'told',
    batch: 7,
    message: 'gives batch 7 with 12 records up, which failed with: ClickHouse error 60',
  });
  expect(park({}, null)).toMatchObject({ outcome: 'failed' });
  expect(park({}, { step: 'publish', message: 'topic replies takes no messages' })).toMatchObject({
    outcome: 'failed',
  });
  expect(park({ flushing: null })).toMatchObject({ outcome: 'already' });
  expect(park({ flushing: { ...onItsWay, parked: true } })).toMatchObject({ outcome: 'already' });
  expect(planControl('park', { state: 'running', status: null, failing: null })).toMatchObject({ outcome: 'failed' });
});
