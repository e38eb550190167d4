import { expect, test } from 'vitest';
import { judge, Ledger, Tally, type Verdict } from '../../../demo/ledger.js';

const GOOD = 10;
const BAD = 2;
const FLIGHTS = { name: 'flights', records: GOOD, badRecords: BAD };
const REJECTION = { status: 'rejected', code: 'not_json', message: 'the value is not JSON' };

/** A run without a fault but for what is told: ten good records, two bad ones. */
function run({
  sent = GOOD + BAD,
  withoutRow = [] as number[],
  unanswered = [] as number[],
  rejected = [] as number[],
} = {}): Ledger {
  const ledger = new Ledger(FLIGHTS);
  for (let index = 0; index < sent; index++) {
    const isBad = index >= GOOD || rejected.includes(index);
    ledger.sent.add(index);
    if (!isBad && !withoutRow.includes(index)) ledger.rows.add(index);
    if (!unanswered.includes(index)) ledger.acknowledge(index, isBad ? REJECTION : { status: 'inserted' });
  }
  return ledger;
}

function verdict(ledger: Ledger, counts: { sameIdentity?: number; deadLetters?: number } = {}): Verdict {
  return judge(FLIGHTS, ledger, { sameIdentity: 0, deadLetters: BAD, ...counts });
}

test('a run without a fault passes', () => {
  expect(verdict(run())).toEqual({
    name: 'flights',
    good: { produced: 10, acknowledged: 10, rows: 10, lost: 0, duplicated: 0 },
    bad: { produced: 2, rejected: 2, rows: 0 },
    acksRepeated: 0,
    problems: [],
  });
});

test('a record that was acknowledged but has no row is lost', () => {
  const { good, problems } = verdict(run({ withoutRow: [3, 7] }));
  expect(good).toMatchObject({ produced: 10, acknowledged: 10, rows: 8, lost: 2, duplicated: 0 });
  expect(problems).toEqual(['flights: 2 records without a row in ClickHouse (number 3, 7)']);
});

test('a record that has a row but was not acknowledged is lost', () => {
  const { good, problems } = verdict(run({ unanswered: [0] }));
  expect(good).toMatchObject({ acknowledged: 9, lost: 1 });
  expect(problems).toEqual(['flights: 1 record not acknowledged (number 0)']);
});

test('a record that has neither is lost once', () => {
  expect(verdict(run({ withoutRow: [0], unanswered: [0] })).good.lost).toBe(1);
});

test('a record that was never sent is not missed', () => {
  expect(verdict(run({ sent: 1 }), { deadLetters: 0 })).toMatchObject({ good: { produced: 1, lost: 0 }, problems: [] });
});

test('a row that was inserted twice is a duplicate', () => {
  const ledger = run();
  ledger.rows.add(4);
  const { good, problems } = verdict(ledger, { sameIdentity: 1 });
  expect(good).toMatchObject({ rows: 11, lost: 0, duplicated: 1 });
  expect(problems).toEqual(['flights: 1 row too many, of the same topic, partition, epoch and offset']);
});

test('a record that was produced twice is told apart from a row that was inserted twice', () => {
  const ledger = run();
  ledger.rows.add(4);
  const { good, problems } = verdict(ledger);
  expect(good.duplicated).toBe(1);
  expect(problems).toEqual(['flights: 1 row too many, of the same id but another offset or epoch']);
});

test('acknowledgements that come again are counted, and are no fault', () => {
  const ledger = run();
  ledger.acknowledge(4, { status: 'inserted' });
  ledger.acknowledge(GOOD, REJECTION);
  expect(verdict(ledger)).toMatchObject({ acksRepeated: 2, problems: [] });
  expect([ledger.answered, ledger.rejections.length]).toEqual([12, 2]);
});

test('a good record that was rejected is a fault, with its reason', () => {
  const { good, problems } = verdict(run({ rejected: [9] }), { deadLetters: 3 });
  expect(good).toMatchObject({ acknowledged: 9, lost: 1 });
  expect(problems).toEqual([
    'flights: 1 record without a row in ClickHouse (number 9)',
    'flights: 1 good record rejected (number 9): not_json, the value is not JSON',
  ]);
});

test('a record that was both rejected and inserted is answered once, and seen as both', () => {
  const ledger = new Ledger({ name: 'flights', records: 1, badRecords: 0 });
  ledger.acknowledge(0, REJECTION);
  ledger.acknowledge(0, { status: 'inserted' });
  expect([ledger.answered, ledger.inserted.distinct, ledger.rejected.distinct]).toEqual([1, 1, 1]);
  expect(ledger.rejections).toEqual([{ index: 0, code: 'not_json', message: 'the value is not JSON' }]);
});

test('a bad record that became a row, or was not rejected, is a fault', () => {
  const ledger = run();
  ledger.rows.add(GOOD);
  expect(verdict(ledger).problems).toEqual(['flights: 1 bad record with a row in ClickHouse']);
  expect(verdict(run({ unanswered: [GOOD] }), { deadLetters: 1 }).problems).toEqual([
    'flights: 1 of 2 bad records rejected',
  ]);
});

test('a rejected record that is not on the dead-letter topic is a fault', () => {
  expect(verdict(run(), { deadLetters: 1 }).problems).toEqual([
    'flights: 2 records acknowledged as rejected, 1 on the dead-letter topic',
  ]);
});

test('rows and acknowledgements of nobody are faults, and no progress', () => {
  const ledger = run();
  ledger.rows.add(undefined);
  ledger.acknowledge(NaN, { status: 'inserted' });
  ledger.acknowledge(GOOD + BAD, { status: 'inserted' });
  expect(ledger.answered).toBe(12);
  expect(verdict(ledger).problems).toEqual([
    'flights: 1 row that nobody produced',
    'flights: 2 acknowledgements of records that nobody produced',
  ]);
});

test('of many records only a few are named', () => {
  const [problem] = verdict(run({ withoutRow: [0, 1, 2, 3, 4, 5, 6, 7] })).problems;
  expect(problem).toBe('flights: 8 records without a row in ClickHouse (number 0, 1, 2, 3, 4, ...)');
});

test('the reasons that are kept are bounded', () => {
  const ledger = new Ledger({ name: 'flights', records: 1_000, badRecords: 0 });
  for (let index = 0; index < 1_000; index++) ledger.acknowledge(index, REJECTION);
  expect([ledger.rejections.length, ledger.rejected.distinct]).toEqual([100, 1_000]);
});

test('every number is distinct once, and repeated from then on', () => {
  const tally = new Tally(3);
  for (const index of [0, 2, 2, 0, 2]) tally.add(index);
  expect([tally.distinct, tally.repeated, tally.foreign]).toEqual([2, 3, 0]);
  expect([0, 1, 2].map((index) => tally.has(index))).toEqual([true, false, true]);
});

test('what does not belong here is foreign and counts nowhere else', () => {
  const tally = new Tally(3);
  for (const index of [3, -1, 0.5, NaN, undefined]) tally.add(index);
  expect([tally.distinct, tally.repeated, tally.foreign]).toEqual([0, 0, 5]);
});

test('the totals stay exact beyond the 255 of one byte', () => {
  const tally = new Tally(1);
  for (let times = 0; times < 1_000; times++) tally.add(0);
  expect([tally.distinct, tally.repeated]).toEqual([1, 999]);
});
