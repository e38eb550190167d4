import { expect, test } from 'vitest';
import { AckLedger } from '../../../demo/ackLedger.js';
import { Tally } from '../../../demo/tally.js';
import { judge, type Evidence } from '../../../demo/verdict.js';

const RECORDS = 10;
const BAD = 2;

/** A run without a fault: ten good records, two bad ones. */
function flawless(): Evidence & { readonly acks: AckLedger; readonly rows: Tally } {
  const acks = new AckLedger(RECORDS + BAD);
  const rows = new Tally(RECORDS + BAD);
  for (let index = 0; index < RECORDS + BAD; index++) acks.sending(index, 0);
  acks.sent(RECORDS + BAD);
  for (let index = 0; index < RECORDS; index++) {
    rows.add(index);
    acks.received({ index, status: 'inserted' }, 1);
  }
  for (let index = RECORDS; index < RECORDS + BAD; index++) acks.received(rejection(index), 1);
  const identities = { rows: RECORDS, distinct: RECORDS };
  return { name: 'flights', records: RECORDS, badRecords: BAD, acks, rows, identities, deadLetters: BAD };
}

function rejection(index: number) {
  return { index, status: 'rejected', code: 'not_json', message: 'the value is not JSON' };
}

/** The same without the rows of some records. */
function withoutRows(...missing: number[]): Evidence {
  const rows = new Tally(RECORDS + BAD);
  for (let index = 0; index < RECORDS; index++) if (!missing.includes(index)) rows.add(index);
  const count = RECORDS - missing.length;
  return { ...flawless(), rows, identities: { rows: count, distinct: count } };
}

test('a run without a fault passes', () => {
  expect(judge(flawless())).toEqual({
    name: 'flights',
    good: { produced: 10, acknowledged: 10, rows: 10, lost: 0, duplicated: 0 },
    bad: { produced: 2, rejected: 2, rows: 0 },
    acksRepeated: 0,
    problems: [],
  });
});

test('a record that was acknowledged but has no row is lost', () => {
  const { good, problems } = judge(withoutRows(3, 7));
  expect(good).toMatchObject({ produced: 10, acknowledged: 10, rows: 8, lost: 2, duplicated: 0 });
  expect(problems).toEqual(['flights: 2 records without a row in ClickHouse (number 3, 7)']);
});

test('a record that has a row but was not acknowledged is lost', () => {
  const acks = new AckLedger(RECORDS);
  for (let index = 0; index < RECORDS; index++) acks.sending(index, 0);
  for (let index = 1; index < RECORDS; index++) acks.received({ index, status: 'inserted' }, 1);
  const { good, problems } = judge({ ...flawless(), badRecords: 0, deadLetters: 0, acks });
  expect(good).toMatchObject({ acknowledged: 9, lost: 1 });
  expect(problems).toEqual(['flights: 1 record not acknowledged (number 0)']);
});

test('a record that has neither is lost once', () => {
  const acks = new AckLedger(RECORDS);
  for (let index = 0; index < RECORDS; index++) acks.sending(index, 0);
  for (let index = 1; index < RECORDS; index++) acks.received({ index, status: 'inserted' }, 1);
  expect(judge({ ...withoutRows(0), badRecords: 0, deadLetters: 0, acks }).good.lost).toBe(1);
});

test('a record that was never sent is not missed', () => {
  const acks = new AckLedger(RECORDS);
  const rows = new Tally(RECORDS);
  acks.sending(0, 0);
  acks.received({ index: 0, status: 'inserted' }, 1);
  rows.add(0);
  const sent = { ...flawless(), badRecords: 0, deadLetters: 0, acks, rows, identities: { rows: 1, distinct: 1 } };
  expect(judge(sent)).toMatchObject({ good: { produced: 1, lost: 0 }, problems: [] });
});

test('a row that was inserted twice is a duplicate', () => {
  const evidence = flawless();
  evidence.rows.add(4);
  const { good, problems } = judge({ ...evidence, identities: { rows: 11, distinct: 10 } });
  expect(good).toMatchObject({ rows: 11, lost: 0, duplicated: 1 });
  expect(problems).toEqual(['flights: 1 row too many, of the same topic, partition, epoch and offset']);
});

test('a record that was produced twice is told apart from a row that was inserted twice', () => {
  const evidence = flawless();
  evidence.rows.add(4);
  const { good, problems } = judge({ ...evidence, identities: { rows: 11, distinct: 11 } });
  expect(good.duplicated).toBe(1);
  expect(problems).toEqual(['flights: 1 row too many, of the same id but another offset or epoch']);
});

test('acknowledgements that come again are counted, and are no fault', () => {
  const evidence = flawless();
  evidence.acks.received({ index: 4, status: 'inserted' }, 2);
  evidence.acks.received(rejection(RECORDS), 2);
  expect(judge(evidence)).toMatchObject({ acksRepeated: 2, problems: [] });
});

test('a good record that was rejected is a fault, with its reason', () => {
  const evidence = withoutRows(9);
  const acks = new AckLedger(RECORDS + BAD);
  for (let index = 0; index < RECORDS + BAD; index++) {
    acks.sending(index, 0);
    acks.received(index < 9 ? { index, status: 'inserted' } : rejection(index), 1);
  }
  const { good, problems } = judge({ ...evidence, acks, deadLetters: 3 });
  expect(good).toMatchObject({ acknowledged: 9, lost: 1 });
  expect(problems).toEqual([
    'flights: 1 record without a row in ClickHouse (number 9)',
    'flights: 1 good record rejected (number 9): not_json, the value is not JSON',
  ]);
});

test('a bad record that became a row, or was not rejected, is a fault', () => {
  const evidence = flawless();
  evidence.rows.add(RECORDS);
  expect(judge({ ...evidence, identities: { rows: 11, distinct: 11 } }).problems).toEqual([
    'flights: 1 bad record with a row in ClickHouse',
  ]);
  const acks = new AckLedger(RECORDS + BAD);
  for (let index = 0; index < RECORDS + BAD; index++) acks.sending(index, 0);
  for (let index = 0; index <= RECORDS; index++)
    acks.received(index < RECORDS ? { index, status: 'inserted' } : rejection(index), 1);
  expect(judge({ ...flawless(), acks, deadLetters: 1 }).problems).toEqual(['flights: 1 of 2 bad records rejected']);
});

test('a rejected record that is not on the dead-letter topic is a fault', () => {
  expect(judge({ ...flawless(), deadLetters: 1 }).problems).toEqual([
    'flights: 2 records acknowledged as rejected, 1 on the dead-letter topic',
  ]);
});

test('rows and acknowledgements of nobody are faults', () => {
  const evidence = flawless();
  evidence.rows.add(undefined);
  evidence.acks.received({ index: undefined, status: 'inserted' }, 1);
  expect(judge({ ...evidence, identities: { rows: 11, distinct: 11 } }).problems).toEqual([
    'flights: 1 row that nobody produced',
    'flights: 1 acknowledgement of records that nobody produced',
  ]);
});

test('of many records only a few are named', () => {
  const [problem] = judge(withoutRows(0, 1, 2, 3, 4, 5, 6, 7)).problems;
  expect(problem).toBe('flights: 8 records without a row in ClickHouse (number 0, 1, 2, 3, 4, ...)');
});
