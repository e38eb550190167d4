import { beforeEach, describe, expect, it } from 'vitest';
import { PayloadCipher } from '../../../src/codecs/payloadCipher.js';
import { carriedPurpose, PURPOSES, REFUSED_ENCODING, signalPurpose } from '../../../src/protocol/encryption.js';
import type { BatcherInput, PostponedConfirmation } from '../../../src/protocol/batcher.js';
import { RUN_BEFORE, type Inheritance } from '../../../src/protocol/inheritance.js';
import { PAYLOAD_BYTES_MAX, withinPayload } from '../../../src/protocol/payloadLimit.js';
import { REQUEST_FORMAT } from '../../../src/protocol/request.js';
import { NO_COUNTERS } from '../../../src/workflows/counters.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import { ReplayedRun, type RunEvent } from '../../../src/workflows/replayedRun.js';
import { Coverage } from '../../../src/workflows/coverage.js';
import { LIMITS } from '../../../src/workflows/limits.js';
import { payloadConverter } from '../../../src/workflows/payloadConverter.js';
import { applySignal } from '../../../src/workflows/signals.js';
import { joinInheritances } from '../../../src/workflows/trust.js';
import { chunk, chunkOf, input, settings } from '../../support/chunks.js';
import { asCarried, asEncrypted, asRequest, asSignal } from '../../support/encryption.js';
import { record } from '../../support/records.js';

const RUN = { workflowId: 'ktb:orders:8-key:0', runId: 'r1' };
/** The one that continues it. */
const NEXT_RUN = { ...RUN, runId: 'r2', continuedFromExecutionRunId: 'r1' };
const NO_BODIES = new Uint8Array(0);
const required = { ...settings(), encryption: 'required' } as const;
const refused = { encoding: REFUSED_ENCODING, data: NO_BODIES };
const QUIET = { continueAsNewSuggested: false, length: 10, bytes: 1_000 };
/** What a run finds that had none before it. */
const nothing: Inheritance = {
  coverage: [],
  counters: NO_COUNTERS,
  paused: false,
  controls: [],
  lastFlush: null,
  estates: [],
};
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
  expect(applySignal(state, 'records', asSignal('records', ...next({ settings: required })), 0)).toBe(true);
  state.inherit(nothing);
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
    const [sealedMeta, sealedBody] = asSignal('records', meta, body);
    expect(applySignal(state, 'records', [sealedMeta, body], 0)).toBe(false);
    expect(applySignal(state, 'records', [meta, sealedBody], 0)).toBe(false);
    expect(applySignal(state, 'records', [sealedMeta, sealedBody], 0)).toBe(true);
    expect(records(state)).toBe(2);
  });

  it('goes on requiring it in the next run, until settings that came encrypted say otherwise', () => {
    const { input: carried, bodies } = strict().carryOver(0);
    const state = new BatcherState(NEXT_RUN, ...asCarried('r1', carried, bodies));
    expect(applySignal(state, 'records', next({ settings: settings() }), 0)).toBe(false);
    expect(state.refusesUnencrypted).toBe(true);
    expect(applySignal(state, 'records', asSignal('records', ...next({ settings: settings() })), 0)).toBe(true);
    expect(applySignal(state, 'records', next(), 0)).toBe(true);
    expect(records(state)).toBe(3);
  });
});

describe('what was encrypted for something else', () => {
  const control = { actor: 'a', reason: 'r', run: RUN.runId };

  it('is no signal, whatever it says: an answer to a query, another signal, a requester’s row', () => {
    const state = strict();
    const [meta, body] = next();
    for (const [name, ...args] of [
      ['submit', asEncrypted(PURPOSES.own, request)],
      ['submit', ...asSignal('submit', request)],
      ['pause', asEncrypted(PURPOSES.own, control)],
      ['pause', asRequest(control)],
      ['drain', ...asSignal('pause', control)],
      ['records', asRequest(meta), asRequest(body)],
      ['records', ...asSignal('records', meta)],
      ['records', ...asSignal('records', meta, body).reverse()],
    ] as [string, ...object[]][])
      expect(applySignal(state, name, args, 0), name).toBe(false);
    expect(state.report()).toMatchObject({ records: 1, paused: false, refusedSignals: 7 });
    expect(applySignal(state, 'submit', [asRequest(request)], 0)).toBe(true);
    expect(applySignal(state, 'pause', asSignal('pause', control), 0)).toBe(true);
  });

  it('is refused if it is the metadata of one chunk and the body of another, instead of failing the task for ever', () => {
    for (const state of [strict(), newBatcher()]) {
      const [meta] = asSignal('records', ...next());
      const [, body] = asSignal('records', ...next());
      expect(applySignal(state, 'records', [meta, body], 0)).toBe(false);
      expect(state.report().refusedSignals).toBe(1);
    }
  });
});

it('a person’s signal that somebody sends again is refused, by the same run and by a later one', () => {
  const state = strict();
  const run = RUN.runId;
  const pause = asSignal('pause', { actor: 'a', reason: 'r', run });
  const resume = asSignal('resume', { actor: 'a', reason: 'r', run });
  expect(applySignal(state, 'pause', pause, 0)).toBe(true);
  expect(applySignal(state, 'resume', resume, 0)).toBe(true);
  expect(applySignal(state, 'pause', pause, 0)).toBe(false);
  const { input: carried, bodies } = state.carryOver(0);
  const later = new BatcherState(NEXT_RUN, ...asCarried('r1', carried, bodies));
  expect(applySignal(later, 'pause', pause, 0)).toBe(false);
  expect([state.report().paused, later.report().paused]).toEqual([false, false]);
  expect(applySignal(later, 'pause', asSignal('pause', { actor: 'a', reason: 'r', run: 'r1+1' }), 0)).toBe(true);
});

it('an old signal that somebody sends again brings no old settings back, nor switches encryption off or on', () => {
  const state = newBatcher();
  const nowMs = 1_000_000_000_000;
  const hour = 3_600_000;
  const at = (sealedAtMs: number, more: object = {}) => ({ settings: { ...settings(), ...more, sealedAtMs } });
  const off = asSignal('records', ...next(at(nowMs - 2 * hour)));
  const on = asSignal('records', ...next(at(nowMs, { encryption: 'required' })));
  for (const args of [off, on]) expect(applySignal(state, 'records', args, nowMs)).toBe(true);
  expect(state.refusesUnencrypted).toBe(true);
  applySignal(state, 'records', off, nowMs);
  expect(state.refusesUnencrypted).toBe(true);
  const { input: carried, bodies } = state.carryOver(nowMs);
  const later = new BatcherState(NEXT_RUN, ...asCarried('r1', carried, bodies));
  applySignal(later, 'records', off, nowMs + hour);
  expect(later.refusesUnencrypted).toBe(true);
  // Another member's clock may be slow.
  applySignal(later, 'records', asSignal('records', ...next(at(nowMs - 60_000))), nowMs + hour);
  expect(later.refusesUnencrypted).toBe(false);
  applySignal(
    later,
    'records',
    next({ settings: { ...settings(), sealedAtMs: Number.MAX_SAFE_INTEGER } }),
    nowMs + hour,
  );
  expect(later.settings.sealedAtMs).toBe(nowMs);
  // A fast clock keeps nobody out once its time has come.
  applySignal(later, 'records', asSignal('records', ...next(at(nowMs + 1_000 * hour))), nowMs + hour);
  expect(later.settings.sealedAtMs).toBe(nowMs + hour);
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
  applySignal(state, 'records', asSignal('records', ...next()), 0);
  applySignal(state, 'submit', [asRequest(request)], 0);
  applySignal(state, 'submit', [{ ...request, id: 'b' }], 0);
  const { spec } = state.takeBatch('delay', 1);
  expect(spec.chunks.map(({ encrypted }) => encrypted)).toEqual([undefined, true, true, undefined]);
  expect(Object.keys(spec.chunks[0] ?? {})).toEqual(['segments', 'keep', 'records', 'bytes', 'bodyBytes']);
});

it('nobody without the key starts a run with chunks that count as encrypted', () => {
  const state = newBatcher();
  applySignal(state, 'records', asSignal('records', ...next()), 0);
  const { input: carried, bodies } = state.carryOver(0);
  const flags = (run: BatcherState) => run.buffered.map(({ chunk: { encrypted } }) => encrypted);
  expect(flags(new BatcherState(NEXT_RUN, ...asCarried('r1', carried, bodies)))).toEqual([true]);
  expect(flags(new BatcherState(NEXT_RUN, carried, bodies))).toEqual([undefined]);
  // What another run has handed on, what came in parts, and what only looks like it, such as an answer to a query.
  const [sealed, sealedBodies] = asCarried('r1', carried, bodies);
  expect(flags(new BatcherState({ ...NEXT_RUN, continuedFromExecutionRunId: 'r0' }, sealed, sealedBodies))).toEqual([
    undefined,
  ]);
  expect(flags(new BatcherState(NEXT_RUN, sealed, asEncrypted(PURPOSES.own, bodies)))).toEqual([undefined]);
  const own = [asEncrypted(PURPOSES.own, carried), asEncrypted(PURPOSES.own, bodies)] as const;
  expect(flags(new BatcherState(NEXT_RUN, ...own))).toEqual([undefined]);
  // No process of ktb starts a run with the state of another one.
  for (const args of [own, [sealed, sealedBodies], [carried, bodies]] as const)
    expect(flags(new BatcherState(RUN, ...args))).toEqual([]);
});

describe('what somebody without the key has copied from the batcher’s history comes out nowhere in plain text', () => {
  const cipher = new PayloadCipher({ keys: new Map([['k1', new Uint8Array(32)]]), active: 'k1' });
  /** As the batcher reads a payload that was encrypted for it. */
  const read = (payload: Parameters<typeof payloadConverter.fromPayload>[0], purpose: string) =>
    payloadConverter.fromPayload(cipher.decrypt(cipher.encrypt(payload, RUN.workflowId, purpose), RUN.workflowId));
  const SECRET = 'a secret';
  const secrets: [string, unknown][] = [
    ['an object', { value: SECRET }],
    ['bytes', Buffer.from(SECRET)],
    ['a text', SECRET],
  ];

  it.each(secrets)('as a signal: %s', (_, value) => {
    const copied = read(payloadConverter.toPayload(value), carriedPurpose(1, 'r0'));
    const state = strict();
    for (const [name, ...args] of [
      ['foo', copied],
      ['foo', 'plain', copied],
      ['records', next()[0], copied],
      ['submit', copied],
      ['pause', copied],
    ] as [string, ...unknown[]][]) {
      expect(applySignal(state, name, args, 0)).toBe(false);
      state.keepForeignSignal(name, args, 0);
    }
    expect(state.foreignSignals.map((signal) => signal.value)).toEqual([null, null, null, null, null]);
    expect(state.foreignSignals[0]!.size).toBeGreaterThan(SECRET.length);
  });

  it('as a signal: a payload in an encoding of a requester’s own', () => {
    const own = { metadata: { encoding: Buffer.from('binary/own') }, data: Buffer.from(SECRET) };
    const state = strict();
    state.keepForeignSignal('foo', [read(own, PURPOSES.request)], 0);
    state.keepForeignSignal('foo', [payloadConverter.fromPayload(own)], 0);
    const hex = Buffer.from(SECRET).toString('hex');
    expect(state.foreignSignals.map(({ value }) => value)).toEqual([null, expect.stringContaining(hex)]);
  });

  it('as the buffer of a run that they start: a person may give its batch up', () => {
    const state = newBatcher();
    const [meta, body] = next();
    applySignal(state, 'records', [meta, body], 0);
    const { input: carried } = state.carryOver(0);
    const bodiesOf = (bodies: Uint8Array) => new BatcherState(NEXT_RUN, carried, bodies).takeBatch('delay', 0).bodies;
    expect(bodiesOf(body)).toEqual(body);
    for (const purpose of [signalPurpose('records', 1, 'id'), carriedPurpose(1, 'r1'), carriedPurpose(1, 'r0')])
      expect(bodiesOf(asEncrypted(purpose, body))).toEqual(new Uint8Array(body.length));
  });
});

it('an heir reads from the history what the run took, and not what it refused', () => {
  const state = newBatcher();
  const closed = new ReplayedRun(RUN);
  closed.apply({ type: 'started', input: input(), bodies: NO_BODIES });
  const signals: [string, readonly unknown[]][] = [
    ['records', next()],
    ['records', asSignal('records', ...next({ settings: required }))],
    ['records', next()],
    ['records', [refused, refused]],
    ['pause', [refused]],
    ['pause', [{ actor: 'a', reason: 'r' }]],
    ['records', asSignal('records', ...next())],
  ];
  for (const [name, args] of signals) {
    applySignal(state, name, args, 0);
    closed.apply({ type: 'signaled', name, args, atMs: 0 } satisfies RunEvent);
  }
  expect(closed.unreadRun).toBe(RUN_BEFORE);
  state.inherit(nothing);
  closed.apply({ type: 'inheritanceRead', inheritance: nothing });
  expect(closed.unflushed.map(({ chunk }) => chunk)).toEqual(state.buffered.map(({ chunk }) => chunk));
  expect(closed.inheritance().paused).toBe(false);
  expect(closed.unflushed.map(({ chunk: { encrypted } }) => encrypted)).toEqual([undefined, true, true]);
});

describe('a batcher that somebody without the key has started', () => {
  /** What would have every chunk of a consumer dropped, every row confirmed, and everything stand still. */
  function planted(): BatcherInput {
    const state = newBatcher();
    applySignal(state, 'submit', [request], 0);
    applySignal(state, 'pause', [{ actor: 'x', reason: 'y' }], 0);
    const { carried } = state.carryOver(0).input;
    const all = [{ topic: 'orders', partition: 0, epochs: [{ epoch: 'e1', ranges: [[-1, 1e15] as const] }] }];
    return { ...input(), carried: { ...carried!, chunks: [], coverage: all } };
  }
  const signal = (more: object = { requiredAtMs: 1 }) => asSignal('records', ...next(more));
  const readsRunBefore = { type: 'readInheritance', runId: RUN_BEFORE };

  it.each([
    ['a start', RUN],
    ['a workflow of somebody that continues as this one', NEXT_RUN],
  ])('believes nothing that came with %s once a consumer’s chunk says that encryption is required', (_, run) => {
    const state = new BatcherState(run, planted(), NO_BODIES);
    const isTaken = run !== RUN;
    expect(state.status(QUIET)).toMatchObject({ paused: isTaken, rememberedRequests: isTaken ? 1 : 0 });
    expect(applySignal(state, 'records', signal(), 0)).toBe(true);
    expect(state.decide(0, QUIET)).toEqual(readsRunBefore);
    state.inherit(nothing);
    expect(state.status(QUIET)).toMatchObject({ paused: false, bufferedRecords: 1, rememberedRequests: 0 });
    expect(applySignal(state, 'submit', [asRequest(request)], 0)).toBe(true);
    expect(state.status(QUIET)).toMatchObject({ bufferedRecords: 2, unconfirmed: 0 });
    expect(applySignal(state, 'records', next(), 0)).toBe(false);
  });

  it('keeps nothing out of the table that a consumer sends, because somebody has sent something for it before', () => {
    const state = newBatcher();
    const [meta, body] = next();
    const [segment] = (meta as { segments: object[] }).segments;
    const all = { ...meta, segments: [{ ...segment, from: -1, to: 1e15 }] };
    expect(applySignal(state, 'records', [all, body], 0)).toBe(true);
    offset = 0;
    expect(applySignal(state, 'records', signal(), 0)).toBe(true);
    state.inherit(nothing);
    expect(state.buffered.map(({ chunk: { encrypted } }) => encrypted)).toEqual([undefined, true]);
    // Consumers may send again what it has forgotten, and it may be in the table.
    expect(state.takeBatch('delay', 1).spec.runs).toEqual(['']);
  });

  it('takes over what the run before has left, and accepted, whenever it has continued as new', () => {
    const closed = new ReplayedRun({ ...RUN, runId: 'r0' });
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required });
    const sent = signal();
    closed.apply({ type: 'started', input: start, bodies: asEncrypted(PURPOSES.input, NO_BODIES) });
    closed.apply({ type: 'inheritanceRead', inheritance: nothing });
    closed.apply({ type: 'signaled', name: 'records', args: sent, atMs: 0 });
    const { input: carried, bodies } = newBatcher().carryOver(0);
    for (const state of [newBatcher(), new BatcherState(NEXT_RUN, ...asCarried('r1', carried, bodies))]) {
      expect(applySignal(state, 'records', sent, 0)).toBe(true);
      expect(state.decide(0, QUIET)).toEqual(readsRunBefore);
      state.inherit(closed.inheritance());
      expect(state.status(QUIET)).toMatchObject({ inheritedBatches: 1, bufferedRecords: 0 });
      expect(state.report().duplicateChunks).toBe(1);
    }
  });

  it('looks for the run before even if the start is a copy of what ktb had encrypted, and only once', () => {
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required });
    const bodies = asEncrypted(PURPOSES.input, NO_BODIES);
    const state = new BatcherState(RUN, start, bodies);
    expect(state.decide(0, QUIET)).toEqual(readsRunBefore);
    state.inherit(nothing);
    const { input: carried, bodies: next } = state.carryOver(0);
    expect(new BatcherState(NEXT_RUN, ...asCarried('r1', carried, next)).unreadRun).toBeNull();
    expect(new BatcherState(RUN, asEncrypted(PURPOSES.input, { ...start, heirOf: 'r0' }), bodies).unreadRun).toBe('r0');
  });

  /** Settings of somebody who wants the records, and a run that has left some to the right ones. */
  const evil = { ...settings(), destination: { ...settings().destination, table: 'evil', deadLetterTopic: 'evil' } };
  const leftBehind = () => {
    const closed = new ReplayedRun({ ...RUN, runId: 'r0' });
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required, heirOf: 'gone' });
    closed.apply({ type: 'started', input: start, bodies: asEncrypted(PURPOSES.input, NO_BODIES) });
    closed.apply({ type: 'inheritanceRead', inheritance: nothing });
    closed.apply({ type: 'signaled', name: 'records', args: signal(), atMs: 0 });
    return closed.inheritance();
  };

  it('sends what it takes over where the closed run would have sent it, and takes nothing unencrypted from then on', () => {
    const heir = new BatcherState(RUN, { ...input(), settings: evil, heirOf: 'r0' }, NO_BODIES);
    heir.inherit(leftBehind());
    expect(heir.decide(0, QUIET)).toEqual({ type: 'flushInherited' });
    expect(heir.takeInherited(0)).toMatchObject({ destination: settings().destination, sealed: true });
    expect(applySignal(heir, 'records', next({ settings: evil }), 0)).toBe(false);
  });

  it('takes settings over only with records: a batcher that was drained may begin anew without encryption', () => {
    const heir = new BatcherState(RUN, { ...input(), heirOf: 'r0' }, NO_BODIES);
    heir.inherit({ ...leftBehind(), estates: [] });
    expect(applySignal(heir, 'records', next(), 0)).toBe(true);
  });

  it('sends nothing to where somebody else has said, also no foreign signals, until settings come encrypted', () => {
    const state = new BatcherState(
      RUN,
      { ...input(), settings: { ...evil, batch: settings({ maxRecords: 1 }).batch } },
      NO_BODIES,
    );
    state.keepForeignSignal('x', [], 0);
    applySignal(state, 'records', signal(), 0);
    state.inherit(nothing);
    const { input: carried, bodies } = state.carryOver(0);
    const later = new BatcherState(NEXT_RUN, ...asCarried('r1', carried, bodies));
    for (const run of [state, later]) {
      expect([run.decide(1e9, QUIET), run.foreignSignals, run.sealed]).toEqual([{ type: 'wait' }, [], {}]);
      applySignal(run, 'records', signal({ settings: { ...required, batch: settings({ maxRecords: 1 }).batch } }), 0);
      expect([run.decide(0, QUIET), run.foreignSignals.length]).toEqual([{ type: 'flush', reason: 'records' }, 1]);
      expect(run.takeBatch('records', 0).spec).toMatchObject({ destination: settings().destination, sealed: true });
    }
  });

  it('a batch that it had begun goes to the right table in the next run that has the right settings', () => {
    const closed = new ReplayedRun(RUN);
    const state = new BatcherState(RUN, { ...input(), settings: evil }, NO_BODIES);
    closed.apply({ type: 'started', input: { ...input(), settings: evil }, bodies: NO_BODIES });
    const args = signal({});
    applySignal(state, 'records', args, 0);
    closed.apply({ type: 'signaled', name: 'records', args, atMs: 0 });
    const { spec } = state.takeBatch('delay', 1);
    expect(spec.sealed).toBeUndefined();
    closed.apply({ type: 'insertScheduled', spec, atMs: 1 });
    // From now on all that it has accepted counts as encrypted, and only the batch has what somebody else has said.
    closed.apply({ type: 'signaled', name: 'records', args: signal(), atMs: 2 });
    closed.apply({ type: 'inheritanceRead', inheritance: nothing });
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required, heirOf: 'r1' });
    const heir = new BatcherState({ ...RUN, runId: 'r2' }, start, asEncrypted(PURPOSES.input, NO_BODIES));
    heir.inherit(closed.inheritance());
    expect(heir.takeInherited(0)).toMatchObject({ destination: settings().destination, sealed: true });
  });

  it('does not believe what an heir of it takes over', () => {
    const closed = new ReplayedRun(RUN);
    const chain = { continuedFromExecutionRunId: 'r0' };
    closed.apply({ type: 'started', input: planted(), bodies: NO_BODIES, chain });
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required, heirOf: 'r1' });
    const heir = new BatcherState({ ...RUN, runId: 'r2' }, start, asEncrypted(PURPOSES.input, NO_BODIES));
    heir.inherit(closed.inheritance());
    applySignal(heir, 'records', signal(), 0);
    expect(heir.status(QUIET)).toMatchObject({ paused: false, bufferedRecords: 1, rememberedRequests: 0 });
  });
});

it('a batcher whose consumers encrypt keeps what it knows when encryption becomes required', () => {
  const state = newBatcher();
  const pause = asSignal('pause', { actor: 'a', reason: 'r', run: RUN.runId });
  const chunk = next();
  applySignal(state, 'records', next(), 0);
  applySignal(state, 'records', asSignal('records', ...chunk), 0);
  applySignal(state, 'pause', pause, 0);
  applySignal(state, 'records', asSignal('records', ...next({ settings: required })), 0);
  state.inherit(nothing);
  applySignal(state, 'records', asSignal('records', ...chunk), 0);
  expect(state.status(QUIET)).toMatchObject({ paused: true, bufferedRecords: 3 });
  expect(state.report().duplicateChunks).toBe(1);
});

describe('what a batcher had got unencrypted, and no longer believes when encryption becomes required', () => {
  const flushed = (state: BatcherState): void => {
    const { spec } = state.takeBatch('delay', 1);
    state.finishFlush({ inserted: 1, rejected: 0, skipped: 0 }, spec.id, 2);
  };
  /** Has got a chunk unencrypted, and then the requirement. Both are inserted. */
  function migrated(): { readonly state: BatcherState; readonly again: ReturnType<typeof next> } {
    const state = newBatcher();
    const again = next();
    applySignal(state, 'records', again, 0);
    flushed(state);
    applySignal(state, 'records', asSignal('records', ...next({ settings: required })), 0);
    state.inherit(nothing);
    flushed(state);
    return { state, again };
  }
  const runsOf = (state: BatcherState, chunk: ReturnType<typeof next>) => {
    expect(applySignal(state, 'records', asSignal('records', ...chunk), 3)).toBe(true);
    return state.takeBatch('delay', 4).spec.runs;
  };
  /** The next run. */
  const afterwards = (state: BatcherState, runId = 'r2', before = 'r1'): BatcherState => {
    const { input: carried, bodies } = state.carryOver(3);
    const run = { ...RUN, runId, continuedFromExecutionRunId: before };
    const later = new BatcherState(run, ...asCarried(before, carried, bodies));
    if (later.unreadRun !== null) later.inherit(nothing);
    return later;
  };

  it('is looked for in the table if it comes again, also in a later run, and nothing else is', () => {
    const { state, again } = migrated();
    expect(runsOf(afterwards(state), next())).toEqual(['r2']);
    expect(runsOf(afterwards(state), again)).toEqual(['']);
    expect(runsOf(afterwards(afterwards(state), 'r3', 'r2'), again)).toEqual(['']);
  });

  it('is looked for by an heir, too, and by the runs after it', () => {
    const { state, again } = migrated();
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required, heirOf: 'r1' });
    const heir = new BatcherState({ ...RUN, runId: 'h1' }, start, asEncrypted(PURPOSES.input, NO_BODIES));
    heir.inherit(state.handOn(null));
    expect(runsOf(afterwards(heir, 'h2', 'h1'), next())).toEqual(['h2']);
    expect(runsOf(afterwards(heir, 'h2', 'h1'), again)).toEqual(['']);
  });

  it('is looked for if a closed run had it, of which nobody knows who had sent it', () => {
    const before = newBatcher();
    const again = next();
    applySignal(before, 'records', again, 0);
    flushed(before);
    const start = asEncrypted(PURPOSES.input, { ...input(), settings: required, heirOf: 'r0' });
    const heir = new BatcherState(RUN, start, asEncrypted(PURPOSES.input, NO_BODIES));
    heir.inherit(before.handOn(null));
    expect(runsOf(afterwards(heir), again)).toEqual(['']);
    // The same where two closed runs have left something, and only the earlier one is believed.
    const trusted: Inheritance = { ...nothing, trusted: true };
    const joined = joinInheritances(trusted, before.handOn(null), PAYLOAD_BYTES_MAX);
    expect(joined).toMatchObject({ coverage: [], doubtful: [{ topic: 'orders', partition: 0 }] });
    expect(joinInheritances(joined, trusted, PAYLOAD_BYTES_MAX).doubtful).toEqual(joined.doubtful);
  });

  it('is forgotten if a run cannot hand it on: the partitions longest without a record, and the number is said', () => {
    const state = newBatcher();
    const accept = (partition: number, to: number, nowMs: number): void => {
      const mark = { offset: to, timestampMs: 1_760_000_000_000, crc32: -1_234_567_890 };
      state.accept(chunk({ topic: LONG_TOPIC, partition, from: to - 1, to, mark }), NO_BODIES, nowMs);
      flushed(state);
    };
    for (let partition = 0; partition < 6_000; partition++) accept(partition, 0, partition);
    for (const partition of [0, 1]) accept(partition, 1, 6_000);
    applySignal(state, 'records', asSignal('records', ...next({ settings: required })), 7_000);
    state.inherit(nothing);
    flushed(state);
    const { input: carried, forgotten } = state.carryOver(7_000);
    const { doubtful = [], coverage } = carried.carried!;
    const kept = doubtful.map(({ partition }) => partition);
    expect(kept.length).toBeGreaterThan(2_000);
    const oldest = 6_000 - (kept.length - 2);
    expect(kept).toEqual([0, 1, ...Array.from({ length: kept.length - 2 }, (_, index) => oldest + index)]);
    expect([forgotten, coverage.length]).toEqual([6_000 - kept.length, 1]);
    expect(state.handOn(null)).toMatchObject({ forgotten, doubtful });
  });
});

const LONG_TOPIC = 'a.topic.of.some.forty.characters'.padEnd(40, 'x');

describe('what two closed runs have left', () => {
  const partitions = 2_500;
  const coverageOf = (topic: string, atMs: number) => {
    const coverage = new Coverage();
    for (let partition = 0; partition < partitions; partition++)
      for (const epoch of ['0123456789ab.0123ab', 'ba9876543210.0123ab']) {
        const mark = { offset: 10, timestampMs: 1_760_000_000_000, crc32: -1_234_567_890 };
        const segment = { topic, partition, epoch, from: -1, to: 10, records: 1, bytes: 1, mark };
        coverage.accept([segment], atMs + partition);
      }
    return coverage.toState();
  };
  const left = (runId: string, atMs: number): Inheritance => ({
    ...nothing,
    coverage: coverageOf(LONG_TOPIC + runId, atMs),
    estates: [{ runId, chunksDone: 0, batches: Array<number>(500).fill(3), begun: null }],
    confirmations: [{ ...confirmation, requester: runId }],
  });
  const confirmation = {
    confirmation: { format: 'ktb-confirmation/1', id: 'a', status: 'inserted', topic: 't', batch: null },
    attempts: 1,
    dueAtMs: 0,
  } as unknown as PostponedConfirmation;
  const earlier = left('r1', 1_760_000_000_000);
  const later = left('r2', 1_770_000_000_000);

  it.each([
    ['of which both are believed', earlier, later],
    ['of which the earlier one alone is believed', { ...earlier, trusted: true as const }, later],
    ['of which the earlier one has something doubtful', { ...earlier, doubtful: coverageOf('doubtful', 1) }, later],
  ])('fits into a payload, and nothing that waits is forgotten: %s', (_, one, other) => {
    for (const payloadBytesMax of [PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX / 4]) {
      const joined = joinInheritances(one, other, payloadBytesMax);
      expect(JSON.stringify(joined).length).toBeLessThan(withinPayload(LIMITS.inputBytes, payloadBytesMax));
      expect(joined.estates).toEqual([...earlier.estates, ...later.estates]);
      expect(joined.confirmations?.map(({ requester }) => requester)).toEqual(['r1', 'r2']);
      const known = [one, other].flatMap(({ coverage, doubtful = [] }) => [...coverage, ...doubtful]).length;
      expect(joined.forgotten ?? 0).toBe(known - joined.coverage.length - (joined.doubtful ?? []).length);
      // What is believed comes first, and of this the newest.
      const [last] = (one.trusted === true ? one : other).coverage.slice(-1);
      expect(joined.coverage.at(-1)).toEqual(last);
    }
  });

  it('is handed on whole if there is room, with what each was still to say', () => {
    const small = ({ coverage, ...rest }: Inheritance) => ({ ...rest, coverage: coverage.slice(-2) });
    const joined = joinInheritances({ ...small(earlier), lost: 1, forgotten: 2 }, small(later), PAYLOAD_BYTES_MAX);
    expect(joined).toMatchObject({ lost: 1, forgotten: 2 });
    expect(joined.coverage).toEqual([...small(earlier).coverage, ...small(later).coverage]);
  });

  it('a run takes confirmations over beside those that it has itself', () => {
    const heir = new BatcherState(RUN, { ...input(), heirOf: 'r1' }, NO_BODIES);
    heir.postponeConfirmations([{ ...confirmation, requester: 'own' }], 0);
    heir.inherit(earlier);
    expect(heir.takeConfirmations(1e12).map(({ requester }) => requester)).toEqual(['r1', 'own']);
  });
});
