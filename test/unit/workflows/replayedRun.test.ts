import crc32 from 'crc-32';
import { expect, it } from 'vitest';
import type { BatcherInput } from '../../../src/protocol/batcher.js';
import { decodeRequest } from '../../../src/codecs/requestCodec.js';
import { REQUEST_FORMAT, REQUEST_LIMITS } from '../../../src/protocol/request.js';
import type { BatchLimits } from '../../../src/protocol/settings.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { ReplayedRun } from '../../../src/workflows/replayedRun.js';
import { chunk, chunkOf, input, settings } from '../../support/chunks.js';
import { asSignal } from '../../support/encryption.js';
import { record } from '../../support/records.js';

const workflowId = 'ktb:orders:8-key:0';
const NO_BODIES = new Uint8Array(0);
const parking = { reason: 'because' };
const by = { actor: 'test', reason: 'because', batch: 1 };

/** A run that was closed with its first batch on its way. */
function closedRun(): ReplayedRun {
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const { meta, body } = chunkOf({ ...source, from: -1, to: 0, records: [record(0)] });
  const living = new BatcherState({ workflowId, runId: 'r1' }, input(), NO_BODIES);
  living.accept(meta, body, 0);
  const { spec } = living.takeBatch('delay', 1);
  const closed = new ReplayedRun({ workflowId, runId: 'r1' });
  closed.apply({ type: 'started', input: input(), bodies: NO_BODIES });
  closed.apply({ type: 'signaled', name: 'records', args: [meta, body], atMs: 0 });
  closed.apply({ type: 'insertScheduled', spec, atMs: 1 });
  return closed;
}

function heirOf(closed: ReplayedRun): BatcherState {
  const heir = new BatcherState({ workflowId, runId: 'r2' }, { ...input(), heirOf: 'r1' }, NO_BODIES);
  heir.inherit(closed.inheritance());
  return heir;
}

it('an heir goes on giving up the batch that its closed run was giving up, and so does what follows it', () => {
  const closed = closedRun();
  closed.apply({ type: 'signaled', name: 'park', args: [by], atMs: 2 });
  const heir = heirOf(closed);
  const { input: carried, bodies } = heir.carryOver(0);
  const chain = { continuedFromExecutionRunId: 'r2' };
  const next = new BatcherState({ workflowId, runId: 'r3', ...chain }, carried, bodies);
  const batch = next.takeInherited(3);
  expect([batch.parking, next.parking]).toEqual([parking, parking]);

  const closedToo = new ReplayedRun({ workflowId, runId: 'r3' });
  const json = JSON.parse(JSON.stringify(carried)) as BatcherInput;
  closedToo.apply({ type: 'started', input: json, bodies, chain });
  closedToo.apply({ type: 'inheritedInsertScheduled', batch, atMs: 3 });
  expect(closedToo.inheritance().estates[0]?.begun?.parking).toEqual(parking);
});

it('an inherited batch is given up like any other, and the next heir knows', () => {
  const closed = closedRun();
  const heir = heirOf(closed);
  const batch = heir.takeInherited(3);
  expect([batch.parking, heir.parking]).toEqual([undefined, null]);
  heir.control('park', { ...by, batch: batch.number }, 4);
  expect(heir.parking).toEqual(parking);
  expect(heir.handOn(null).estates[0]?.begun).toMatchObject({ parking });
});

it('a run that was held by a request too large for its batch leaves it to an heir, which answers it as too large', () => {
  const told = input({ payloadBytesMax: 256 * 1024 });
  const request = {
    format: REQUEST_FORMAT,
    id: 'a',
    requester: 'w',
    value: 'x'.repeat(REQUEST_LIMITS.bytes - 600),
  } as const;
  const living = new BatcherState({ workflowId, runId: 'r1' }, told, NO_BODIES);
  // As version 0.1.0 did.
  living.submit(request, 0, () => false);
  const { spec } = living.takeBatch('delay', 1);
  const closed = new ReplayedRun({ workflowId, runId: 'r1' });
  closed.apply({ type: 'started', input: told, bodies: NO_BODIES });
  closed.apply({ type: 'signaled', name: 'submit', args: [request], atMs: 0 });
  closed.apply({ type: 'insertScheduled', spec, atMs: 1 });
  expect(closed.inheritance().estates[0]?.batches).toEqual([1]);
  const [chunk] = closed.unflushed;
  expect(decodeRequest(chunk!.body, 0).tooLargeBytes).toBeGreaterThan(request.value.length);
});

/** A run that was closed with its first batch on its way, and takes nothing unencrypted from some point on. */
function requiringRun(requiresFrom: 'beforeTheInsert' | 'afterTheInsert'): ReplayedRun {
  const required = { ...settings(), encryption: 'required' } as const;
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const { meta, body } = chunkOf({ ...source, from: -1, to: 0, records: [record(0)] });
  const living = new BatcherState({ workflowId, runId: 'r1' }, input(), NO_BODIES);
  living.accept(meta, body, 0);
  const closed = new ReplayedRun({ workflowId, runId: 'r1' });
  const requires = () => {
    const told = chunkOf({ ...source, from: 0, to: 0, records: [] });
    const args = asSignal('records', { ...told.meta, segments: [], settings: required }, told.body);
    closed.apply({ type: 'signaled', name: 'records', args, atMs: 0 });
  };
  closed.apply({ type: 'started', input: input(), bodies: NO_BODIES });
  closed.apply({ type: 'signaled', name: 'records', args: [meta, body], atMs: 0 });
  if (requiresFrom === 'beforeTheInsert') requires();
  closed.apply({ type: 'activityScheduled', eventId: 5 });
  closed.apply({ type: 'insertScheduled', spec: living.takeBatch('delay', 1).spec, atMs: 1 });
  if (requiresFrom === 'afterTheInsert') requires();
  return closed;
}

it('a batch is not done by a result that its run refused: one that is not for its call, if the run required encryption when it called', () => {
  const outcome = { inserted: 1, rejected: 0, skipped: 0 };
  const completed = { type: 'insertCompleted', eventId: 7, scheduledEventId: 5, outcome, atMs: 2 } as const;
  const left = (run: ReplayedRun, isBound: boolean) => {
    run.apply({ ...completed, isBound });
    return run.unflushed.length;
  };
  expect(left(requiringRun('beforeTheInsert'), false)).toBe(1);
  expect(left(requiringRun('beforeTheInsert'), true)).toBe(0);
  expect(left(requiringRun('afterTheInsert'), false)).toBe(0);
  const repeated = requiringRun('beforeTheInsert');
  expect([left(repeated, false), left(repeated, true)]).toEqual([1, 0]);
});

/**
 * The batches that a run leaves which has got chunks of so many records, ten bytes each, and was inserting a batch of the
 * first `begun` chunks.
 */
function planOf(batch: Partial<BatchLimits>, chunks: readonly number[], begun = 0, bodyBytes = 10): readonly number[] {
  const started = input(batch);
  const living = new BatcherState({ workflowId, runId: 'r1' }, started, NO_BODIES);
  const closed = new ReplayedRun({ workflowId, runId: 'r1' });
  closed.apply({ type: 'started', input: started, bodies: NO_BODIES });
  let from = 0;
  for (const [index, records] of chunks.entries()) {
    const body = new Uint8Array(bodyBytes);
    const meta = { ...chunk({ from, to: (from += records) }), crc32: crc32.buf(body) };
    closed.apply({ type: 'signaled', name: 'records', args: [meta, body], atMs: 0 });
    if (index < begun) living.accept(meta, body, 0);
  }
  if (begun > 0) closed.apply({ type: 'insertScheduled', spec: living.takeBatch('records', 1).spec, atMs: 1 });
  return closed.inheritance().estates[0]?.batches ?? [];
}

it('what a run with tiny batches leaves is divided into batches of the usual size, after the one that had begun', () => {
  const fifties = Array<number>(3_000).fill(50);
  expect(planOf({ maxRecords: 50 }, fifties)).toEqual([1_000, 1_000, 1_000]);
  expect(planOf({ maxRecords: 50, maxBytes: 1_024 }, fifties, 1)).toEqual([1, 1_000, 1_000, 999]);
});

it('larger limits of its own hold for what a run leaves, and so do those of payloads', () => {
  const chunks = [40_000, 40_000, 40_000];
  expect(planOf({ maxRecords: 100_000, maxBytes: 900_000 }, chunks)).toEqual([2, 1]);
  expect(planOf({ maxRecords: 100_000, maxBytes: 8_000_000 }, chunks)).toEqual([2, 1]);
  expect(planOf({ maxRecords: 200_000, maxBytes: 8_000_000 }, chunks)).toEqual([3]);
  expect(planOf({ maxRecords: 1, maxBytes: 1 }, [60_000, 60_000])).toEqual([1, 1]);
  const large = 600_000;
  expect(planOf({ maxRecords: 1 }, [1, 1, 1, 1, 1], 0, large)).toEqual([2, 2, 1]);
  expect(planOf({ maxRecords: 1, payloadBytesMax: 1024 * 1024 }, [1, 1, 1], 0, large)).toEqual([1, 1, 1]);
});
