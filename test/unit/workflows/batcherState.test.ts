import { expect, it } from 'vitest';
import type { BatcherInput } from '../../../src/protocol/batcher.js';
import { decodeRequest } from '../../../src/codecs/requestCodec.js';
import { BATCH_FORMATS, STORED_ONCE_BYTES_MIN } from '../../../src/protocol/flush.js';
import { PAYLOAD_BYTES_MAX } from '../../../src/protocol/payloadLimit.js';
import {
  CONFIRMATION_FORMAT,
  REQUEST_FORMAT,
  REQUEST_LIMITS,
  requestSource,
  type RowRequest,
} from '../../../src/protocol/request.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import type { RunIdentity } from '../../../src/workflows/runIdentity.js';
import { IDLE_CONTINUATIONS_MAX, type HistoryView } from '../../../src/workflows/continuation.js';
import { chunk, input, settings } from '../../support/chunks.js';

const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r1' };
const CONTINUED = { continuedFromExecutionRunId: 'before' };
const QUIET: HistoryView = { continueAsNewSuggested: false, length: 10, bytes: 1_000 };
const SUGGESTED: HistoryView = { ...QUIET, continueAsNewSuggested: true, bytes: 2_000_000 };
const BODY = new Uint8Array(100);
const NO_BODIES = new Uint8Array(0);
const BY = { actor: 'test', reason: 'because' };

const fresh = (limits = {}) => new BatcherState(RUN, input(limits), NO_BODIES);
const done = (records: number) => ({ inserted: records, rejected: 0, skipped: 0 });

/** The next run, through JSON as continue-as-new sends it. */
function continued(state: BatcherState, runId = RUN.runId): BatcherState {
  const { input: next, bodies } = state.carryOver(0);
  return new BatcherState({ ...RUN, runId, ...CONTINUED }, JSON.parse(JSON.stringify(next)) as BatcherInput, bodies);
}

it('waits without a timer while it is empty, and until the oldest record is old enough otherwise', () => {
  const state = fresh();
  expect(state.decide(0, QUIET)).toEqual({ type: 'wait' });
  state.accept(chunk({ from: -1, to: 4 }), BODY, 100);
  state.accept(chunk({ from: 4, to: 5 }), BODY, 600);
  expect(state.decide(700, QUIET)).toEqual({ type: 'wait', delayMs: 400 });
  expect(state.decide(1_100, QUIET)).toEqual({ type: 'flush', reason: 'delay' });
});

it('counts what a record has waited in its lane, in whichever chunk it came, and in the next run, too', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 4 }), BODY, 5_000);
  state.accept({ ...chunk({ from: 4, to: 5 }), waitedMs: 700 }, BODY, 5_100);
  expect(state.decide(5_100, QUIET)).toEqual({ type: 'wait', delayMs: 300 });
  expect(continued(state).decide(5_400, QUIET)).toEqual({ type: 'flush', reason: 'delay' });
  state.takeBatch('delay', 5_400);
  state.finishFlush(done(5), 'id', 5_500);
  state.accept({ ...chunk({ from: 5, to: 6 }), waitedMs: 1_000 }, BODY, 6_000);
  expect(state.decide(6_000, QUIET)).toEqual({ type: 'flush', reason: 'delay' });
});

it('a run of an earlier version, and a chunk with anything but a time, count from when the oldest chunk was accepted', () => {
  const state = fresh();
  state.accept({ ...chunk({ from: -1, to: 4 }), waitedMs: 1_000 }, BODY, 5_000);
  expect(state.decide(5_000, QUIET, (behaviour) => behaviour !== 'waitedInLane')).toEqual({
    type: 'wait',
    delayMs: 1_000,
  });
  for (const waitedMs of ['1000', -1_000, NaN, null]) {
    const other = fresh();
    other.accept({ ...chunk({ from: -1, to: 4 }), waitedMs: waitedMs as number }, BODY, 5_000);
    expect(other.decide(5_000, QUIET)).toEqual({ type: 'wait', delayMs: 1_000 });
  }
});

it('flushes when the records, the bytes or the encoded bytes reach their limit', () => {
  const state = fresh({ maxRecords: 5 });
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  expect(state.decide(0, QUIET)).toEqual({ type: 'flush', reason: 'records' });
  const byBytes = fresh({ maxBytes: 50 });
  byBytes.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  expect(byBytes.decide(0, QUIET)).toEqual({ type: 'flush', reason: 'bytes' });
  const byBody = fresh();
  byBody.accept(chunk({ from: -1, to: 4 }), new Uint8Array(LIMITS.batchEncodedBytes), 0);
  expect(byBody.decide(0, QUIET)).toEqual({ type: 'flush', reason: 'bytes' });
});

it('cuts a batch at its limits, but never below one chunk', () => {
  const state = fresh({ maxRecords: 10 });
  for (let from = -1; from < 23; from += 4) state.accept(chunk({ from, to: from + 4 }), BODY, 0);
  expect(state.takeBatch('records', 0).spec.chunks.map(({ records }) => records)).toEqual([4, 4]);
  const wide = fresh({ maxRecords: 3 });
  wide.accept(chunk({ from: -1, to: 9 }), BODY, 0);
  expect(wide.takeBatch('records', 0).spec.chunks).toHaveLength(1);
});

it('has one flush at a time; what arrives meanwhile joins the next batch', () => {
  const state = fresh({ maxRecords: 5 });
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  const { spec, bodies } = state.takeBatch('records', 10);
  expect(bodies.length).toBe(BODY.length);
  state.accept(chunk({ from: 4, to: 9 }), BODY, 20);
  expect(state.decide(5_000, SUGGESTED)).toEqual({ type: 'wait' });
  expect(() => state.takeBatch('records', 30)).toThrow();
  state.finishFlush(done(5), spec.id, 40);
  const next = state.takeBatch('records', 50);
  expect(next.spec.number).toBe(spec.number + 1);
  expect(next.spec.id).not.toBe(spec.id);
});

it('drops a chunk it has accepted before, and cuts one that straddles', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 9 }), BODY, 0);
  state.accept(chunk({ from: -1, to: 9 }), BODY, 0);
  state.accept(chunk({ from: 4, to: 14 }, { partition: 1, from: -1, to: 3 }), BODY, 0);
  expect(state.status(QUIET).counters).toMatchObject({ signals: 3, duplicateChunks: 1 });
  expect(state.takeBatch('delay', 0).spec.chunks.map(({ keep }) => keep)).toEqual([[null], [[[9, 14]], null]]);
});

it('counts each record once when all is flushed, those of a chunk that straddles, too', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 9 }), BODY, 0);
  state.accept(chunk({ from: 4, to: 14 }, { partition: 1, from: -1, to: 3 }), BODY, 0);
  const { spec } = state.takeBatch('delay', 0);
  state.finishFlush({ inserted: 16, rejected: 2, skipped: 1 }, spec.id, 1);
  expect(state.status(QUIET).counters).toMatchObject({ records: 19, inserted: 16, rejected: 2, skipped: 1 });
});

it('accepts the same offsets again under another epoch: a deliberate rewind is ingested again', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 9 }), BODY, 0);
  state.accept(chunk({ epoch: 'e2', from: -1, to: 9 }), BODY, 0);
  expect(state.takeBatch('delay', 0).spec.chunks).toHaveLength(2);
});

it('stores a large batch once, but not one that is a small part of the history, nor one with a row of a workflow', () => {
  const formatOf = (rows: readonly RowRequest[], historyBytes = 0) => {
    const state = fresh({ storesOnce: true });
    state.accept(chunk({ from: -1, to: 9 }), new Uint8Array(STORED_ONCE_BYTES_MIN), 0);
    for (const row of rows) state.submit(row, 0);
    return state.takeBatch('delay', 0, historyBytes).spec.format;
  };
  expect(formatOf([])).toBe(BATCH_FORMATS.storedOnce);
  expect(formatOf([REQUEST])).toBe(BATCH_FORMATS.withBodies);
  expect(formatOf([], 4 * STORED_ONCE_BYTES_MIN)).toBe(BATCH_FORMATS.storedOnce);
  expect(formatOf([], 4 * STORED_ONCE_BYTES_MIN + 100)).toBe(BATCH_FORMATS.withBodies);
});

it('gives the same batch the same id, and another range another', () => {
  const idOf = (to: number) => {
    const state = fresh();
    state.accept(chunk({ from: -1, to }), BODY, 0);
    return state.takeBatch('delay', 0).spec.id;
  };
  expect(idOf(5)).toBe(idOf(5));
  expect(idOf(5)).not.toBe(idOf(6));
});

it('pauses: accepts, does not flush, and goes on at resume', () => {
  const state = fresh({ maxRecords: 1 });
  state.control('pause', BY, 0);
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  expect(state.decide(9_999, QUIET)).toEqual({ type: 'wait' });
  expect(continued(state).decide(9_999, QUIET)).toEqual({ type: 'wait' });
  state.control('resume', BY, 1);
  expect(state.decide(9_999, QUIET)).toEqual({ type: 'flush', reason: 'records' });
  expect(state.status(QUIET).controls.map(({ action, actor, reason }) => [action, actor, reason])).toEqual([
    ['pause', 'test', 'because'],
    ['resume', 'test', 'because'],
  ]);
});

it('flushes on a signal what was buffered when it came, also over a continue-as-new, and nothing that comes later', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  state.control('flush', BY, 0);
  const next = continued(state);
  next.accept(chunk({ from: 4, to: 5 }), BODY, 0);
  expect(next.decide(1, QUIET)).toEqual({ type: 'flush', reason: 'signal' });
  next.takeBatch('signal', 1);
  next.accept(chunk({ from: 5, to: 6 }), BODY, 2);
  next.finishFlush(done(6), 'id', 3);
  expect(next.decide(3, QUIET).type).toBe('wait');
});

it('reports what it holds and since when, the batch on its way included, and what it dropped in this run', () => {
  const state = fresh({ maxRecords: 5 });
  expect(state.report()).toEqual({
    records: 0,
    oldestAcceptedAtMs: null,
    paused: false,
    inheritedBatches: 0,
    coverageRanges: 0,
    duplicateChunks: 0,
    refusedSignals: 0,
  });
  state.accept(chunk({ from: -1, to: 4 }), BODY, 100);
  state.accept(chunk({ from: -1, to: 4 }), BODY, 150);
  const { spec } = state.takeBatch('records', 200);
  state.accept(chunk({ from: 4, to: 6 }), BODY, 300);
  expect(state.report()).toMatchObject({ records: 7, oldestAcceptedAtMs: 100, coverageRanges: 1, duplicateChunks: 1 });
  expect(state.status(QUIET)).toMatchObject({
    bufferedRecords: 2,
    oldestAcceptedAtMs: 300,
    flushing: { records: 5, startedAtMs: 200, oldestAcceptedAtMs: 100 },
  });
  state.finishFlush(done(5), spec.id, 400);
  state.control('pause', { actor: 'ada', reason: '' }, 500);
  expect(state.report()).toMatchObject({ records: 2, oldestAcceptedAtMs: 300, paused: true });
  const { input, bodies } = state.carryOver(0);
  const next = new BatcherState({ workflowId: 'b', runId: 'next', ...CONTINUED }, input, bodies);
  expect(next.report()).toMatchObject({ records: 2, oldestAcceptedAtMs: 300, paused: true, duplicateChunks: 0 });
});

it('drains: flushes everything without waiting, then completes', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  state.control('drain', BY, 0);
  expect(state.decide(0, QUIET)).toEqual({ type: 'flush', reason: 'drain' });
  state.takeBatch('drain', 0);
  state.finishFlush(done(5), 'id', 1);
  expect(state.decide(1, QUIET)).toEqual({ type: 'complete' });
});

it('continues as new when the server suggests it, or its own marks say so', () => {
  const state = fresh();
  expect(state.decide(0, SUGGESTED)).toEqual({ type: 'continueAsNew' });
  expect(state.decide(0, { ...QUIET, length: 4_096 })).toEqual({ type: 'continueAsNew' });
  expect(state.decide(0, { ...QUIET, bytes: 4 * 1024 * 1024 })).toEqual({ type: 'continueAsNew' });
});

it('flushes a buffer that is too large to be carried before it continues as new', () => {
  const state = fresh();
  state.accept(chunk({ from: -1, to: 4 }), new Uint8Array(LIMITS.carriedBytes), 0);
  expect(state.decide(0, SUGGESTED)).toEqual({ type: 'flush', reason: 'continueAsNew' });
  const small = fresh();
  small.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  expect(small.decide(0, SUGGESTED)).toEqual({ type: 'continueAsNew' });
});

it('carries everything over: buffer with its bytes, coverage, counters, settings, controls, the age of the oldest', () => {
  const state = fresh();
  const body = Uint8Array.from([1, 2, 3]);
  state.accept({ ...chunk({ from: -1, to: 4 }), settings: settings({ maxDelayMs: 5_000 }) }, body, 100);
  state.accept(chunk({ from: 4, to: 6 }), Uint8Array.from([4, 5]), 200);
  const next = continued(state);
  expect(next.status(QUIET)).toEqual({ ...state.status(QUIET) });
  expect(next.settings).toEqual(state.settings);
  expect(next.decide(200, QUIET)).toEqual({ type: 'wait', delayMs: 4_900 });
  next.accept(chunk({ from: -1, to: 6 }), BODY, 300);
  expect(next.status(QUIET).counters.duplicateChunks).toBe(1);
  expect([...next.takeBatch('delay', 0).bodies]).toEqual([1, 2, 3, 4, 5]);
});

it('carries over what one run can be given, however many partitions it has seen, and says how many it forgets', () => {
  const state = fresh();
  const segments = Array.from({ length: 20_000 }, (_, partition) => {
    const mark = { offset: 4, timestampMs: 1_760_000_000_000, crc32: -1_234_567_890 };
    return { topic: 'orders.of.some.tenant', partition, from: -1, to: 4, mark };
  });
  segments.forEach((segment, at) => {
    state.accept(chunk(segment), BODY, at);
    state.finishFlush(done(5), state.takeBatch('delay', at).spec.id, at);
  });
  const { input: next, forgotten } = state.carryOver(20_000);
  expect(JSON.stringify(next).length + LIMITS.carriedBytes).toBeLessThan(2 * 1024 * 1024);
  expect(forgotten).toBe(20_000 - (next.carried?.coverage.length ?? 0));
  const following = continued(state);
  following.accept(chunk(segments[19_999] as (typeof segments)[0]), BODY, 20_001);
  expect(following.status(QUIET).counters.duplicateChunks).toBe(1);
}, 60_000);

it('a batch names the runs that its chunks have been in, and no earlier ones, though no run ends with an empty buffer', () => {
  let state = fresh();
  let to = 0;
  const accept = () => state.accept(chunk({ from: to - 1, to: to++ }), BODY, 0);
  const runsOfBatch = () => {
    const { spec } = state.takeBatch('delay', 0);
    state.finishFlush(done(spec.chunks.length), spec.id, 0);
    return spec.runs;
  };
  for (let run = 0; run <= 2 * LIMITS.bufferRuns; run++) {
    accept();
    state = continued(state, `run ${run}`);
    accept();
    expect(runsOfBatch()).toEqual([run === 0 ? RUN.runId : `run ${run - 1}`, `run ${run}`]);
    accept();
    expect(runsOfBatch()).toEqual([`run ${run}`]);
  }
});

it('stops continuing after ten runs in which nothing was handled', () => {
  let state = fresh();
  for (let run = 0; run < IDLE_CONTINUATIONS_MAX; run++) {
    expect(state.decide(0, SUGGESTED)).toEqual({ type: 'continueAsNew' });
    state = continued(state);
  }
  expect(state.holding).toBe(true);
  expect(state.decide(0, SUGGESTED)).toEqual({ type: 'wait' });
});

const REPEATED: RowRequest = { format: REQUEST_FORMAT, id: 'again', requester: 'w', value: '{}' };
/** What may arrive that is no new record. */
const NOTHING_NEW: Readonly<Record<string, (state: BatcherState) => void>> = {
  'a chunk that comes again': (state) => state.accept(chunk({ from: -1, to: 4 }), BODY, 0),
  'a chunk that only brings settings': (state) => state.accept({ ...chunk(), settings: settings() }, NO_BODIES, 0),
  'a request that comes again': (state) => state.submit(REPEATED, 0),
  'a control signal': (state) => state.control('resume', BY, 0),
  'the close of an epoch': (state) => state.close({ topic: 'orders', partition: 0, epoch: 'e0', offset: 4 }),
  'a stranger’s signal': (state) => state.countForeignSignal(),
  'a stranger’s signal that is published': (state) => state.foreignSignalsPublished(0),
};

it.each(Object.entries(NOTHING_NEW))('run after run may be filled by %s: none is held, each continues', (_, arrive) => {
  let state = fresh();
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  state.submit(REPEATED, 0);
  for (let run = 0; run < 3 * IDLE_CONTINUATIONS_MAX; run++) {
    arrive(state);
    expect(state.decide(0, SUGGESTED)).toEqual({ type: 'continueAsNew' });
    state = continued(state);
    expect(state.holding).toBe(false);
  }
});

it.each(Object.entries(NOTHING_NEW))('a hold ends with %s', (_, arrive) => {
  const { input: held, bodies } = fresh().carryOver(0);
  const idle = { ...held, carried: { ...held.carried!, idleContinuations: IDLE_CONTINUATIONS_MAX } };
  const state = new BatcherState({ ...RUN, ...CONTINUED }, idle, bodies);
  expect([state.holding, state.decide(0, SUGGESTED)]).toEqual([true, { type: 'wait' }]);
  arrive(state);
  expect(state.decide(0, SUGGESTED).type).not.toBe('wait');
});

it('keeps the last twenty control signals', () => {
  const state = fresh();
  for (let at = 0; at < 30; at++) state.control('pause', BY, at);
  expect(state.status(QUIET).controls.map(({ atMs }) => atMs)).toEqual(
    Array.from({ length: 20 }, (_, index) => index + 10),
  );
});

it('an heir that is told to resume before it has read does so, however many other signals come', () => {
  const heir = new BatcherState(RUN, { ...input(), heirOf: 'r0' }, NO_BODIES);
  heir.control('resume', BY, 0);
  for (let time = 0; time < LIMITS.controls; time++) heir.control('flush', BY, 1);
  const { coverage, counters, controls, lastFlush, estates } = fresh().handOn(null);
  heir.inherit({ coverage, counters, controls, lastFlush, estates, paused: true });
  expect(heir.status(QUIET).paused).toBe(false);
});

it('gives up the batch that is on its way, and no other one, however often and late it is asked to', () => {
  const state = fresh();
  const park = (batch: number) => {
    state.control('park', { ...BY, batch }, 0);
  };
  state.accept(chunk({ from: -1, to: 4 }), BODY, 0);
  park(1);
  const { spec } = state.takeBatch('delay', 0);
  expect([spec.number, state.parking]).toEqual([1, null]);
  park(2);
  expect(state.parking).toBeNull();
  park(1);
  park(1);
  expect(state.parking).toEqual({ reason: 'because' });
  expect(state.status(QUIET).flushing).toMatchObject({ number: 1, parked: true });
  state.finishFlush({ inserted: 1, rejected: 4, skipped: 0 }, spec.id, 1);
  state.accept(chunk({ from: 4, to: 9 }), BODY, 2);
  state.takeBatch('delay', 3);
  park(1);
  expect(state.status(QUIET).flushing).toMatchObject({ number: 2, parked: false });
});

it('keeps strangers’ signals until they are published, over a continue-as-new too, and is not drained before', () => {
  const state = fresh();
  state.keepForeignSignal('hello', [{ a: 1 }, Uint8Array.of(255)], 7);
  const next = continued(state);
  next.control('drain', BY, 8);
  expect(next.decide(8, QUIET)).toEqual({ type: 'wait' });
  expect(next.foreignSignals).toEqual([{ name: 'hello', value: '[{"a":1},{"hex":"ff"}]', size: 22, atMs: 7 }]);
  next.keepForeignSignal('again', [], 9);
  next.foreignSignalsPublished(1);
  expect(next.foreignSignals).toMatchObject([{ name: 'again' }]);
  next.foreignSignalsPublished(1);
  expect(next.decide(9, QUIET)).toEqual({ type: 'complete' });
});

const REQUEST: RowRequest = { format: REQUEST_FORMAT, id: 'a', requester: 'w', value: '{}' };
const epochOf = (run: Partial<RunIdentity>) => {
  const state = new BatcherState({ ...RUN, ...run }, input(), NO_BODIES);
  state.submit(REQUEST, 0);
  return state.takeBatch('delay', 0).spec.chunks[0]?.segments[0]?.epoch;
};

it('a request is a chunk of one record, whose source is the batcher; it fills a batch as records do', () => {
  const state = fresh({ maxRecords: 2 });
  state.submit(REQUEST, 100);
  state.submit(REQUEST, 150);
  expect(state.decide(200, QUIET)).toEqual({ type: 'wait', delayMs: 900 });
  state.submit({ ...REQUEST, id: 'b' }, 200);
  expect(state.decide(200, QUIET)).toEqual({ type: 'flush', reason: 'records' });
  const { chunks } = state.takeBatch('records', 200).spec;
  expect(chunks.map(({ segments, records }) => [segments[0]?.topic, segments[0]?.to, records])).toEqual([
    [RUN.workflowId, 0, 1],
    [RUN.workflowId, 1, 1],
  ]);
  expect(state.status(QUIET)).toMatchObject({ counters: { signals: 3, duplicateChunks: 1 }, rememberedRequests: 2 });
});

it('a request that comes again is answered again once it is answered, as it was, in this run and the next', () => {
  const state = fresh({ maxRecords: 2 });
  state.submit(REQUEST, 0);
  state.submit({ ...REQUEST, id: 'b' }, 0);
  const { spec } = state.takeBatch('records', 0);
  const verdicts = [
    [0, 'inserted'],
    [1, 'not_json'],
  ] as const;
  state.finishFlush({ inserted: 1, rejected: 1, skipped: 0, requests: verdicts }, spec.id, 10);
  const next = continued(state);
  for (const id of ['a', 'b']) next.submit({ ...REQUEST, id }, 20);
  expect(next.decide(20, QUIET)).toEqual({ type: 'confirm' });
  expect(next.takeConfirmations(20).map(({ confirmation }) => confirmation)).toMatchObject([
    { id: 'a', status: 'inserted', offset: 0, batch: null },
    { id: 'b', status: 'rejected', offset: 1, code: 'not_json' },
  ]);
  expect(next.decide(20, QUIET)).toEqual({ type: 'wait' });
});

it('a confirmation that is not delivered delays nothing but the end of a drained batcher', () => {
  const state = fresh();
  state.submit(REQUEST, 0);
  const { spec } = state.takeBatch('delay', 0);
  const confirmation = { ...requestSource(RUN.workflowId, 'r1'), offset: 0, batch: spec.id, id: 'a' };
  const unconfirmed = [
    { requester: 'w', confirmation: { ...confirmation, format: CONFIRMATION_FORMAT, status: 'inserted' }, attempts: 1 },
  ] as const;
  state.finishFlush({ ...done(1), unconfirmed }, spec.id, 0);
  expect(state.decide(0, QUIET)).toEqual({ type: 'wait', delayMs: 1_000 });
  state.accept(chunk({ from: -1, to: 0 }), BODY, 200);
  expect(state.decide(999, { ...QUIET, length: 9_000 })).toEqual({ type: 'continueAsNew' });
  const next = continued(state);
  next.control('drain', BY, 300);
  expect(next.decide(300, QUIET)).toEqual({ type: 'flush', reason: 'drain' });
  next.finishFlush(done(1), next.takeBatch('drain', 300).spec.id, 300);
  expect(next.decide(300, QUIET)).toEqual({ type: 'wait', delayMs: 700 });
  expect(next.decide(1_000, QUIET)).toEqual({ type: 'confirm' });
  expect(next.takeConfirmations(1_000)).toEqual(unconfirmed);
  expect(next.decide(1_000, QUIET)).toEqual({ type: 'complete' });
});

it('requests keep their identities over a reset, and never share them with a count that was forgotten', () => {
  // A reset gives the run another id, and leaves what its first event says.
  const first = { firstExecutionRunId: 'r0' };
  expect(epochOf({ ...first, runId: 'r0' })).toBe(epochOf({ ...first, runId: 'reset' }));
  // The run before has handed no count on: this run begins to count once more.
  expect(epochOf({ ...first, runId: 'r1', continuedFromExecutionRunId: 'r0' })).not.toBe(
    epochOf({ ...first, runId: 'r0' }),
  );
});

it('a chunk without records brings only settings', () => {
  const state = fresh();
  state.accept({ ...chunk(), settings: settings({ maxRecords: 7 }) }, NO_BODIES, 0);
  expect(state.settings.batch.maxRecords).toBe(7);
  expect(state.status(QUIET)).toMatchObject({ bufferedRecords: 0, counters: { signals: 1, duplicateChunks: 0 } });
});

it('settings that it does not know come with the next batch and the next run: a newer worker may need them', () => {
  const state = fresh();
  const { destination, ...known } = settings();
  const newer = {
    ...known,
    later: 1,
    batch: { ...known.batch, later: 2 },
    destination: { ...destination, later: 3, mapping: { ...destination.mapping, later: 4 } },
  };
  state.accept({ ...chunk({ from: -1, to: 4 }), settings: newer }, BODY, 0);
  const next = continued(state);
  expect(next.settings).toEqual(newer);
  expect(next.takeBatch('delay', 0).spec.destination).toEqual(newer.destination);
});

const LARGEST_REQUEST = { ...REQUEST, value: 'x'.repeat(REQUEST_LIMITS.bytes - 600) };

it.each([
  [256 * 1024, false],
  [undefined, true],
])(
  'a request that would not fit into a batch is answered as too large, where Temporal takes payloads of %s bytes',
  (payloadBytesMax, isWhole) => {
    const limits = payloadBytesMax === undefined ? {} : { payloadBytesMax };
    const state = new BatcherState(RUN, input(limits), new Uint8Array(0));
    state.submit(LARGEST_REQUEST, 0);
    const { spec, bodies } = state.takeBatch('delay', 0);
    const { tooLargeBytes, value } = decodeRequest(bodies, 0);
    if (isWhole) expect([value?.length, tooLargeBytes]).toEqual([LARGEST_REQUEST.value.length, undefined]);
    else expect(tooLargeBytes).toBeGreaterThan(LARGEST_REQUEST.value.length);
    const bytes = Buffer.byteLength(JSON.stringify(spec)) + bodies.length;
    expect(bytes).toBeLessThan((payloadBytesMax ?? PAYLOAD_BYTES_MAX) * 0.75);
  },
);

it('a run of a version that took such a request takes it again', () => {
  const state = new BatcherState(RUN, input({ payloadBytesMax: 256 * 1024 }), new Uint8Array(0));
  const asked: string[] = [];
  state.submit(LARGEST_REQUEST, 0, (behaviour) => {
    asked.push(behaviour);
    return false;
  });
  state.submit({ ...REQUEST, id: 'small' }, 0, () => expect.unreachable('it makes no difference'));
  const [large] = state.buffered;
  expect(decodeRequest(large!.body, 0).value).toHaveLength(LARGEST_REQUEST.value.length);
  expect(asked).toEqual(['requestLimit']);
});
