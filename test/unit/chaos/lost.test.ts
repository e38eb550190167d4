import { expect, it } from 'vitest';
import { Ledger, type Ack, type InputRecord, type Letter, type Row } from '../../../chaos/ledger.js';
import { countPlacesLost, cutsTold, lostIsAnswered, wasLost, type Lost } from '../../../chaos/lost.js';

const record = (offset: number, id: number, expects = ''): InputRecord => {
  return { partition: 1, offset, id, key: 'k', row: 100 + id, letter: 200 + id, expects };
};
const row = (offset: number, id: number): Row => {
  return { partition: 1, offset, id, digest: 100 + id, epoch: 'e', insertedAtUs: 1, table: 0, isLate: false };
};
const ack = (offset: number, id: number, code = ''): Ack => {
  const status = code === '' ? 'inserted' : 'rejected';
  return {
    replyPartition: 0,
    replyOffset: id,
    partition: 1,
    offset,
    status,
    batch: 'b',
    epoch: 'e',
    code,
    id,
    atMs: 9,
  };
};
const letter = (offset: number, id: number, code: string): Letter => {
  return { partition: 1, offset, id, code, digest: 200 + id };
};

/** Of three records at 1/5 to 1/7 with the ids 5 to 7 Kafka has lost all, and has another one with id 50 at 1/5. */
function cut(): { ledger: Ledger; lost: Lost } {
  const ledger = new Ledger();
  ledger.addRecord(record(5, 50));
  const tail = new Ledger();
  for (const each of [record(5, 5), record(6, 6), record(7, 7, 'not_json')]) tail.addRecord(each);
  ledger.addLost(tail);
  return { ledger, lost: { tails: [{ partition: 1, from: 5, to: 8, ledger: tail }], ids: new Set([5, 6, 7]) } };
}

function judged(rows: Row[], acks: Ack[], letters: Letter[]): readonly string[] {
  const { ledger, lost } = cut();
  for (const each of rows) ledger.addRow(each);
  for (const each of acks) ledger.addAck(each);
  for (const each of letters) ledger.addLetter(each);
  return lostIsAnswered({ lost }).violations;
}

const ROWS = [row(5, 5), row(6, 6), row(5, 50)];
const ACKS = [ack(5, 5), ack(6, 6), ack(7, 7, 'not_json'), ack(5, 50)];
const LETTERS = [letter(7, 7, 'not_json')];

it('what Kafka has lost is one row or a dead letter, and acknowledged, whatever is at its place now', () => {
  expect(judged(ROWS, ACKS, LETTERS)).toEqual([]);
});

it.each<[string, Row[], Ack[], Letter[], string]>([
  ['that has no row', ROWS.slice(1), ACKS, LETTERS, '1/5 (id 5), which Kafka has lost, is 0 rows'],
  ['that has two rows', [...ROWS, row(6, 6)], ACKS, LETTERS, '1/6 (id 6), which Kafka has lost, is 2 rows'],
  ['without a dead letter', ROWS, ACKS, [], '1/7 (id 7), which Kafka has lost, is 0 rows and 0 dead letters'],
  [
    'with a dead letter for another reason',
    ROWS,
    ACKS,
    [letter(7, 7, 'parked')],
    '1/7 (id 7), which Kafka has lost, is 0 rows',
  ],
  ['with other values', [{ ...row(5, 5), digest: 1 }, ...ROWS.slice(1)], ACKS, LETTERS, 'has other values'],
  ['without an acknowledgement', ROWS, ACKS.slice(1), LETTERS, 'has no acknowledgement'],
  ['with two answers', ROWS, [...ACKS, ack(6, 6, 'not_json')], LETTERS, 'was acknowledged in two ways'],
])('finds a lost record %s', (_, rows, acks, letters, text) => {
  const found = judged(rows, acks, letters);
  expect(found).toHaveLength(1);
  expect(found[0]).toContain(text);
});

it('a row of the record that was lost is none of the record that is at its place now', () => {
  const { ledger } = cut();
  ledger.addRow(row(5, 5));
  ledger.addAck(ack(5, 5));
  ledger.forEach(({ rows, acks }) => expect({ rows, acks }).toEqual({ rows: 0, acks: 0 }));
  ledger.addRow(row(5, 50));
  ledger.addAck(ack(5, 50));
  ledger.forEach((found) => {
    expect(found).toMatchObject({ rows: 1, acks: 1 });
    expect(found.has('rowOfOtherId') || found.has('ackOfOtherId')).toBe(false);
  });
  expect(ledger.counts).toMatchObject({ rows: 1, acks: 1 });
});

it('does not take a signal for one of the record that is now where Kafka has lost another one', () => {
  const { ledger } = cut();
  ledger.addRecord(record(9, 90));
  ledger.addAccepted(1, 5, 7, 'e');
  ledger.addAccepted(1, 9, 7, 'e');
  const accepted: number[] = [];
  ledger.forEach(({ id, acceptedEpochs }) => acceptedEpochs.length > 0 && accepted.push(id));
  expect(accepted).toEqual([90]);
});

it('knows the places of lost records, and those that have no other one', () => {
  const { ledger, lost } = cut();
  expect([4, 5, 7, 8].map((offset) => wasLost(lost, 1, offset))).toEqual([false, true, true, false]);
  expect(wasLost(lost, 0, 5)).toBe(false);
  expect(countPlacesLost(lost, ledger)).toBe(2);
});

it('wants each log that was cut to be told, from the right offset on, and no other', () => {
  const { lost } = cut();
  const told = (...cuts: { partition: number; from: number; to: number }[]) =>
    cutsTold({ lost, told: { gaps: [], cuts, missedByViews: 0 } }).violations;
  const right = { partition: 1, from: 5, to: 8 };
  expect(told(right)).toEqual([]);
  expect(told(right, right)).toEqual([]);
  expect(told()).toEqual(['1/5 to 8 was lost, and nobody told it']);
  expect(told({ ...right, from: 6 })).toEqual([
    '1/5 to 8 was lost, and nobody told it',
    '1/6 to 8 was told as lost, and was not',
  ]);
  expect(told(right, { ...right, partition: 2 })).toEqual(['2/5 to 8 was told as lost, and was not']);
});
