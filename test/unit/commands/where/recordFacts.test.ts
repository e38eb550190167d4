import { expect, it } from 'vitest';
import { stateOf, type Acceptance, type RecordFacts } from '../../../../src/commands/where/recordFacts.js';
import { whereText } from '../../../../src/commands/where/whereText.js';

const place = { topic: 'orders', partition: 3, offset: 50 };
const acceptance: Acceptance = {
  workflowId: 'ktb:orders:8-key:2',
  runId: 'run',
  layout: '8-key',
  epochs: ['e1'],
  unflushed: false,
  earlierEpochs: [],
  locked: null,
  batches: [],
};
const batch = {
  runId: 'run',
  number: 4,
  id: 'b4',
  reason: 'delay',
  table: 'orders',
  scheduledAtMs: 0,
  outcome: { inserted: 9, rejected: 0, skipped: 0 },
  token: 'abc',
};
const facts = (more: Partial<RecordFacts> = {}): RecordFacts => ({
  log: { start: 10, end: 100, committed: 60, epoch: 'e1', layout: '8-key' },
  record: { timestampMs: 0, skipped: false, batcher: 'ktb:orders:8-key:2' },
  unreadable: null,
  acceptances: [acceptance],
  rows: [],
  acks: [],
  deadLetters: [],
  ...more,
});
const state = (more: Partial<RecordFacts>, offset = 50) => stateOf(facts(more), { offset });
const row = { offset: 50, epoch: 'e1', rows: 1, seconds: 0 };
const ack = { topic: 'replies', partition: 0, offset: 7, batch: 'b4' };
const letter = {
  ...{ topic: 'dead', partition: 1, offset: 2, code: 'not_json', message: 'the value is not JSON' },
  recordTimestampMs: 0,
};

it('a record that was accepted and has neither a row nor a dead letter is missing', () => {
  expect(state({})).toBe('missing');
  expect(state({ rows: [row] })).toBe('inserted');
  expect(state({ deadLetters: [letter] })).toBe('rejected');
  expect(state({ acks: [{ ...ack, status: 'rejected' }] })).toBe('rejected');
  expect(state({ acks: [{ ...ack, status: 'skipped' }] })).toBe('skipped');
  expect(state({ record: { timestampMs: 0, skipped: true, batcher: 'x' } })).toBe('skipped');
});

it('a record that holds many rows is inserted when all of them are there, of whatever epoch', () => {
  const many = { timestampMs: 0, skipped: false, batcher: 'x', rows: 3 };
  const part = { ...row, rows: 2, different: 2 };
  expect(state({ record: many, rows: [part] })).toBe('missing');
  expect(state({ record: many, rows: [part, { ...part, epoch: 'e0', rows: 1, different: 1 }] })).toBe('inserted');
  expect(state({ record: many, rows: [part], deadLetters: [letter] })).toBe('rejected');
  const text = whereText(place, 'p', facts({ record: many, rows: [{ ...part, rows: 4, different: 3 }] }));
  expect(text).toContain('3 of 3, and 1 more than once, under epoch e1');
  // The log does not have the record any more.
  expect(state({ record: null, rows: [part] })).toBe('inserted');
});

it('of a record that was acknowledged as inserted and has no row it is told what may have become of it', () => {
  const told = (status: 'inserted' | 'rejected') => whereText(place, 'p', facts({ acks: [{ ...ack, status }] }));
  expect(told('inserted')).toMatch(/MISSING[\s\S]*\n {2}hint +it was inserted, and its row has gone since: merged/);
  expect(told('rejected')).not.toContain('hint');
  expect(whereText(place, 'p', facts())).not.toContain('hint');
  expect(whereText(place, 'p', facts({ rows: [row], acks: [{ ...ack, status: 'inserted' }] }))).not.toContain('hint');
});

it('what nobody can read is neither missing nor none, and is told with the reason', () => {
  const passedOver = {
    record: null,
    unreadable: 'the record batch at offset 50 of orders/3 cannot be read: too large',
  };
  expect(state({ ...passedOver, acceptances: [] })).toBe('unreadable');
  expect(whereText(place, 'p', facts({ ...passedOver, acceptances: [] }))).toMatch(
    /cannot be read, by anybody[\s\S]*\n {2}record +the record batch at offset 50/,
  );
});

it('one that is committed, and of which no batcher knows, is missing, too', () => {
  expect(state({ acceptances: [] })).toBe('missing');
  expect(state({ acceptances: [], log: { start: 10, end: 100, committed: 50, epoch: 'e1', layout: '8-key' } })).toBe(
    'waiting',
  );
  expect(state({ acceptances: [], log: { start: 10, end: 100, committed: null, epoch: null, layout: null } })).toBe(
    'waiting',
  );
});

it('one that no batcher knows may not have been to be read, which is told, unless something shows that it was', () => {
  const told = (more: Partial<RecordFacts>) => whereText(place, 'p', facts(more)).split('\n', 1)[0];
  const mayBe = expect.stringMatching(/MISSING, or not to be read:.*no batcher knows it.*startFrom/) as string;
  expect(told({ acceptances: [] })).toEqual(mayBe);
  expect(told({ acceptances: [{ ...acceptance, earlierEpochs: ['e1'] }] })).toEqual(mayBe);
  const wasRead = expect.stringMatching(/MISSING: it was read/) as string;
  expect(told({})).toEqual(wasRead);
  expect(told({ acceptances: [{ ...acceptance, epochs: ['e0'] }] })).toEqual(wasRead);
  expect(told({ acceptances: [], acks: [{ ...ack, status: 'inserted' }] })).toEqual(wasRead);
});

it('one that a batcher holds is not missing; in a batch without an outcome it is on its way', () => {
  expect(state({ acceptances: [{ ...acceptance, unflushed: true }] })).toBe('accepted');
  const flushing = { ...acceptance, unflushed: true, batches: [{ ...batch, outcome: null, token: null }] };
  expect(state({ acceptances: [flushing] })).toBe('flushing');
});

it('tells a record that is not there from one that is no more', () => {
  expect(state({ record: null, acceptances: [] }, 100)).toBe('notWritten');
  expect(state({ record: null, acceptances: [] }, 9)).toBe('removed');
  expect(state({ record: null, acceptances: [] })).toBe('noRecord');
});

it('does not call missing what a silent part may know, but believes a part that has it', () => {
  const silent = { error: 'no answer' };
  expect(state({ rows: silent })).toBe('unknown');
  expect(state({ acceptances: silent })).toBe('unknown');
  expect(state({ acceptances: silent, rows: [row] })).toBe('inserted');
  expect(whereText(place, 'p', facts({ rows: silent }))).toContain('not known: no answer');
});

it('says run, batch, token, row and acknowledgement', () => {
  const text = whereText(
    place,
    'p',
    facts({ acceptances: [{ ...acceptance, batches: [batch] }], rows: [row], acks: [{ ...ack, status: 'inserted' }] }),
  );
  for (const part of [
    'orders/3/50 in pipeline p: inserted',
    'ktb:orders:8-key:2',
    '4 (delay), b4, done, token abc; run run',
    'one under epoch e1',
    'inserted, at replies/0/7, batch b4',
  ])
    expect(text).toContain(part);
  expect(whereText(place, 'p', facts({ deadLetters: [letter] }))).toContain(
    'not_json, at dead/1/2: the value is not JSON',
  );
});

it('says a timestamp that is no time as it is', () => {
  const record = { timestampMs: 1.7e18, skipped: false, batcher: 'b' };
  expect(whereText(place, 'orders', facts({ record }))).toContain('written 1700000000000000000, for batcher b');
});

it('a row of an earlier record at the offset hides neither a missing one nor one that waits', () => {
  const log = { start: 10, end: 100, committed: 60, epoch: 'e2', layout: '8-key' };
  const earlier = { ...row, seconds: 77 };
  const again = { ...acceptance, epochs: ['e1', 'e2'] };
  expect(state({ log, rows: [earlier], acceptances: [again] })).toBe('missing');
  expect(state({ log, rows: [earlier, { ...row, epoch: 'e2' }], acceptances: [again] })).toBe('inserted');
  expect(state({ log: { ...log, committed: 50 }, rows: [earlier] })).toBe('waiting');
  // The group has lost its offsets with the topic.
  expect(state({ log: { ...log, committed: null, epoch: null, layout: null }, rows: [earlier] })).toBe('waiting');
  // The record is no longer there to be compared.
  expect(state({ log, rows: [earlier], record: null })).toBe('inserted');
  expect(state({ log: { ...log, end: 50 }, rows: [earlier], record: null })).toBe('notWritten');
  const text = whereText(
    place,
    'p',
    facts({ log, rows: [earlier], acceptances: [again], acks: [{ ...ack, status: 'inserted' }] }),
  );
  expect(text).toMatch(/MISSING[\s\S]*one under epoch e1, of another record that was at this offset before/);
  expect(text).not.toContain('hint');
});

it('a row of an earlier epoch is of the record if it has its timestamp; without timestamps, if it was not accepted again', () => {
  const log = { start: 10, end: 100, committed: 60, epoch: 'e2', layout: '8-key' };
  expect(state({ log, rows: [row] })).toBe('inserted');
  expect(whereText(place, 'p', facts({ log, rows: [row] }))).toContain('one under epoch e1; the committed epoch is e2');
  const untimed = { ...row, seconds: null };
  expect(state({ log, rows: [untimed] })).toBe('inserted');
  expect(state({ log, rows: [untimed], acceptances: [{ ...acceptance, epochs: ['e2'] }] })).toBe('missing');
});

it('a batcher that holds an earlier record of the offset has not accepted the one that is there now', () => {
  const log = { start: 10, end: 100, committed: null, epoch: null, layout: null };
  const earlier = { ...acceptance, earlierEpochs: ['e1'] };
  expect(state({ log, acceptances: [earlier] })).toBe('waiting');
  expect(state({ log: { ...log, committed: 50, epoch: 'e1', layout: '8-key' }, acceptances: [earlier] })).toBe(
    'waiting',
  );
  const again = { ...earlier, epochs: ['e1', 'e2'] };
  expect(state({ log: { ...log, committed: 60, epoch: 'e2', layout: '8-key' }, acceptances: [again] })).toBe('missing');
  expect(whereText(place, 'p', facts({ log, acceptances: [earlier] }))).toContain(
    'it holds another record that was at this offset before, under epoch e1',
  );
});

it('an acknowledgement alone decides nothing where another epoch has accepted the offset', () => {
  const log = { start: 10, end: 100, committed: 60, epoch: 'e2', layout: '8-key' };
  const acceptances = [{ ...acceptance, epochs: ['e1', 'e2'] }];
  for (const status of ['rejected', 'skipped', 'inserted']) {
    const acks = [{ ...ack, status }];
    expect(state({ log, acceptances, acks })).toBe('missing');
    const text = whereText(place, 'p', facts({ log, acceptances, acks }));
    expect(text).toContain('under another epoch, so it alone does not count');
    expect(text).not.toContain('hint');
  }
  expect(state({ log, acceptances, acks: [{ ...ack, status: 'rejected' }], deadLetters: [letter] })).toBe('rejected');
});

it('an acknowledgement counts where only the layout has changed since the record was accepted', () => {
  const log = { start: 10, end: 100, committed: 60, epoch: 'e2', layout: '16-key' };
  const rejected = [{ ...ack, status: 'rejected' }];
  expect(state({ log, acks: rejected })).toBe('rejected');
  expect(state({ log, acks: [{ ...ack, status: 'skipped' }] })).toBe('skipped');
  const acks = [{ ...ack, status: 'inserted' }];
  expect(whereText(place, 'p', facts({ log, acks }))).toMatch(
    /MISSING[\s\S]*hint +it was inserted, and its row has gone/,
  );
  // Another record may have been there: of the same layout, at an offset that is not read again yet, or by its traces.
  expect(state({ log: { ...log, layout: '8-key' }, acks: rejected })).toBe('missing');
  expect(state({ log: { ...log, committed: 50 }, acks: rejected })).toBe('waiting');
  expect(state({ log, acks: rejected, rows: [{ ...row, seconds: 77 }] })).toBe('missing');
  const both = [acceptance, { ...acceptance, layout: '16-key', epochs: ['e2'] }];
  expect(state({ log, acks: rejected, acceptances: both })).toBe('missing');
});

it('of a record in a chunk that cannot be unpacked it is told who holds it and what to do', () => {
  const batcher = acceptance.workflowId;
  const locked = { topic: 'orders', partition: 3, epoch: 'e1', from: 40, to: 60, batcher, reason: 'damaged' };
  const acceptances = [{ ...acceptance, unflushed: true, locked }];
  expect(state({ acceptances })).toBe('accepted');
  expect(whereText(place, 'p', facts({ acceptances }))).toMatch(
    /hint +orders\/3: of offsets 40 to 59, batcher ktb:orders:8-key:2 holds .*\(damaged\).*`ktb park --pipeline orders --batcher ktb:orders:8-key:2 .*`ktb rewind`/,
  );
});

it('a row of the committed epoch with another timestamp is of another record: the record itself is missing', () => {
  const record = { timestampMs: 9_500, skipped: false, batcher: 'ktb:orders:8-key:2' };
  expect(state({ record, rows: [{ ...row, seconds: 7 }] })).toBe('missing');
  expect(state({ record, rows: [{ ...row, seconds: 9 }] })).toBe('inserted');
  expect(state({ record, rows: [{ ...row, seconds: null }] })).toBe('inserted');
  expect(whereText(place, 'p', facts({ record, rows: [{ ...row, seconds: 7 }] }))).toContain('of another record');
});

it('a row of the committed epoch counts if it or the record has no timestamp', () => {
  const record = { timestampMs: 9_500, skipped: false, batcher: 'ktb:orders:8-key:2' };
  expect(state({ record, rows: [{ ...row, seconds: 0 }] })).toBe('inserted');
  expect(state({ record: { ...record, timestampMs: -1 }, rows: [{ ...row, seconds: 7 }] })).toBe('inserted');
  const log = { ...facts().log, epoch: 'e2' };
  expect(state({ log, record, rows: [{ ...row, seconds: 0 }] })).toBe('missing');
});

it('a record that is written, but within or after an open transaction, is not said to be unwritten', () => {
  const log = { ...facts().log, end: 40, committed: 40, highWatermark: 60 };
  expect(state({ log, record: null, acceptances: [] })).toBe('notReadable');
  expect(state({ log, record: null, acceptances: [] }, 60)).toBe('notWritten');
  expect(whereText(place, 'p', facts({ log, record: null, acceptances: [] }))).toMatch(
    /a transaction is open[^]*10 to 39, then to 59 not to be read yet: a transaction is open that began at 40/,
  );
});

it('where a value decides, the table of a record is named, and each table that does not exist', () => {
  const of = (table?: string | null) =>
    whereText(
      place,
      'p',
      facts({ record: { timestampMs: 0, skipped: false, batcher: 'b', ...(table === undefined ? {} : { table }) } }),
    );
  expect(of('acme.orders')).toContain('for batcher b, for table acme.orders');
  expect(of(null)).toContain('for batcher b, for no table');
  expect(of()).not.toContain('table');
  expect(whereText(place, 'p', facts({ missingTables: ['acme.orders'] }))).toContain(
    'none in table acme.orders, which does not exist',
  );
});
