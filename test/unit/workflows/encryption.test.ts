import { beforeEach, describe, expect, it } from 'vitest';
import { REFUSED_ENCODING } from '../../../src/protocol/encryption.js';
import { REQUEST_FORMAT } from '../../../src/protocol/request.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { ClosedRun, type RunEvent } from '../../../src/workflows/closedRun.js';
import { applySignal } from '../../../src/workflows/signals.js';
import { chunkOf, input, settings } from '../../support/chunks.js';
import { asEncrypted } from '../../support/encryption.js';
import { record } from '../../support/records.js';

const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r1' };
const NO_BODIES = new Uint8Array(0);
const required = { ...settings(), encryption: 'required' } as const;
const refused = { encoding: REFUSED_ENCODING, data: NO_BODIES };
const request = { format: REQUEST_FORMAT, id: 'a', requester: 'w', value: '{}' };

let offset = 0;
beforeEach(() => void (offset = 0));

/** The next chunk of one record. */
function next(more: object = {}): [object, Uint8Array] {
  const segment = {
    topic: 'orders',
    partition: 0,
    epoch: 'e1',
    from: offset - 1,
    to: offset,
    records: [record(offset)],
  };
  offset++;
  const { meta, body } = chunkOf(segment);
  return [{ ...meta, ...more }, body];
}

function newBatcher(): BatcherState {
  return new BatcherState(RUN, input(), NO_BODIES);
}

/** A batcher that takes only what is encrypted. */
function strict(): BatcherState {
  const state = newBatcher();
  expect(applySignal(state, 'records', asEncrypted(...next({ settings: required })), 0)).toBe(true);
  return state;
}

const records = (state: BatcherState) => state.report().records;

describe('a batcher whose settings require it', () => {
  it.each(['records', 'submit', 'pause', 'drain', 'flush', 'close'])('refuses %s that is not encrypted', (name) => {
    const state = strict();
    const args = { records: next(), submit: [request], close: [{ topic: 't', partition: 0, epoch: 'e', offset: 1 }] }[
      name
    ];
    expect(applySignal(state, name, args ?? [{ actor: 'a', reason: 'r' }], 0)).toBe(false);
    expect(records(state)).toBe(1);
    expect(state.report()).toMatchObject({ paused: false, refusedSignals: 1 });
  });

  it('refuses a chunk of which only one part is encrypted: it was put together by somebody', () => {
    const state = strict();
    const [meta, body] = next();
    const [sealedMeta, sealedBody] = asEncrypted(meta, body);
    expect(applySignal(state, 'records', [sealedMeta, body], 0)).toBe(false);
    expect(applySignal(state, 'records', [meta, sealedBody], 0)).toBe(false);
    expect(applySignal(state, 'records', [sealedMeta, sealedBody], 0)).toBe(true);
    expect(records(state)).toBe(2);
  });

  it('goes on requiring it in the next run, until settings that came encrypted say otherwise', () => {
    const { input: carried, bodies } = strict().carryOver(0);
    const state = new BatcherState(RUN, ...asEncrypted(carried, bodies));
    expect(applySignal(state, 'records', next({ settings: settings() }), 0)).toBe(false);
    expect(state.refusesUnencrypted).toBe(true);
    expect(applySignal(state, 'records', asEncrypted(...next({ settings: settings() })), 0)).toBe(true);
    expect(applySignal(state, 'records', next(), 0)).toBe(true);
    expect(records(state)).toBe(3);
  });
});

it('what was encrypted for somebody else, or by somebody else, is refused in any case, and counted', () => {
  const state = newBatcher();
  for (const args of [[refused, refused], [next()[0], refused], [refused]])
    expect(applySignal(state, 'records', args, 0)).toBe(false);
  expect(applySignal(state, 'pause', [refused], 0)).toBe(false);
  expect(state.report()).toMatchObject({ records: 0, paused: false, refusedSignals: 4 });
});

it('nobody without the key makes a batcher require it: then it would refuse what is not encrypted', () => {
  const state = newBatcher();
  expect(applySignal(state, 'records', next({ settings: required }), 0)).toBe(true);
  expect(applySignal(state, 'records', next(), 0)).toBe(true);
  expect(records(state)).toBe(2);
  const started = new BatcherState(RUN, { ...input(), settings: required }, NO_BODIES);
  expect(started.refusesUnencrypted).toBe(false);
});

it('a batch says which of its chunks came encrypted, and nothing more than before if none did', () => {
  const state = newBatcher();
  applySignal(state, 'records', next(), 0);
  applySignal(state, 'records', asEncrypted(...next()), 0);
  applySignal(state, 'submit', asEncrypted(request), 0);
  applySignal(state, 'submit', [{ ...request, id: 'b' }], 0);
  const { spec } = state.takeBatch('delay', 1);
  expect(spec.chunks.map(({ encrypted }) => encrypted)).toEqual([undefined, true, true, undefined]);
  expect(Object.keys(spec.chunks[0] ?? {})).toEqual(['segments', 'keep', 'records', 'bytes', 'bodyBytes']);
});

it('nobody without the key starts a run with chunks that count as encrypted', () => {
  const state = newBatcher();
  applySignal(state, 'records', asEncrypted(...next()), 0);
  const { input: carried, bodies } = state.carryOver(0);
  const flags = (run: BatcherState) => run.takeBatch('delay', 1).spec.chunks.map(({ encrypted }) => encrypted);
  expect(flags(new BatcherState(RUN, ...asEncrypted(carried, bodies)))).toEqual([true]);
  expect(flags(new BatcherState(RUN, carried, bodies))).toEqual([undefined]);
});

it('an heir reads from the history what the run took, and not what it refused', () => {
  const state = newBatcher();
  const closed = new ClosedRun(RUN);
  closed.apply({ type: 'started', input: input(), bodies: NO_BODIES });
  const signals: [string, readonly unknown[]][] = [
    ['records', next()],
    ['records', asEncrypted(...next({ settings: required }))],
    ['records', next()],
    ['records', [refused, refused]],
    ['pause', [refused]],
    ['pause', [{ actor: 'a', reason: 'r' }]],
    ['records', asEncrypted(...next())],
  ];
  for (const [name, args] of signals) {
    applySignal(state, name, args, 0);
    closed.apply({ type: 'signaled', name, args, atMs: 0 } satisfies RunEvent);
  }
  expect(closed.unflushed.map(({ chunk }) => chunk)).toEqual(state.buffered.map(({ chunk }) => chunk));
  expect(closed.inheritance().paused).toBe(false);
  expect(closed.unflushed.map(({ chunk: { encrypted } }) => encrypted)).toEqual([undefined, true, true]);
});
