import { expect, it } from 'vitest';
import { remadeIsRead, type RemadeLog, type RemadeRow } from '../../../chaos/remade.js';

const row = (id: number, epoch = 'e', table = 't'): RemadeRow => ({ id, epoch, table });
const NEVER: RemadeLog = { written: [], unknown: [], whileRead: false };
const RIGHT = [10, 12, 20, 21].map((id) => row(id));
const wrong = (rows: readonly RemadeRow[]) => {
  const logs = [
    { written: [[10, 12]], unknown: [], whileRead: false },
    { written: [[20, 21]], unknown: [[22, 22]], whileRead: false },
  ] as const;
  return remadeIsRead({ logs, rows }).violations;
};

it('wants each record of the last log once, and no record of an earlier one twice', () => {
  expect(wrong(RIGHT)).toEqual([]);
  expect(wrong(RIGHT.slice(0, 3))).toEqual(['id 21 of log 2 of 2 has 0 rows of 0 epochs']);
  expect(wrong([...RIGHT, row(21)])).toEqual(['id 21 of log 2 of 2 has 2 rows of 1 epochs']);
  expect(wrong([...RIGHT, row(21, 'f')])).toEqual(['id 21 of log 2 of 2 has 2 rows of 2 epochs']);
  expect(wrong([...RIGHT, row(11), row(11, 'f')])).toEqual(['id 11 of log 1 of 2 has 2 rows of 2 epochs']);
  expect(wrong([...RIGHT, row(22)])).toEqual([]);
  expect(wrong([...RIGHT, row(22), row(22, 'f')])).toEqual(['id 22 of log 2 of 2 has 2 rows of 2 epochs']);
  expect(wrong([...RIGHT, row(99)])).toEqual(['id 99 has a row, and was not produced']);
  // Its batch was on its way while the table was made anew.
  expect(wrong([...RIGHT, row(21, 'e', 'old')])).toEqual([]);
});

it('has looked at nothing if the topic was never made again', () => {
  expect(remadeIsRead({ logs: [{ ...NEVER, written: [[20, 20]] }], rows: [row(20)] }).checked).toBe(0);
  expect(remadeIsRead({ logs: [NEVER, { ...NEVER, written: [[20, 20]] }], rows: [row(20)] }).checked).toBe(1);
});

it('what was made again while it was read may come twice under two epochs, and not more often', () => {
  const judged = (whileRead: boolean, ...rows: RemadeRow[]) =>
    remadeIsRead({ logs: [{ ...NEVER, written: [[10, 10]], whileRead }], rows }).violations;
  expect(judged(true, row(10), row(10, 'f'))).toEqual([]);
  expect(judged(false, row(10), row(10, 'f'))).toHaveLength(1);
  expect(judged(true, row(10), row(10, 'f'), row(10, 'g'))).toHaveLength(1);
  expect(judged(true)).toHaveLength(1);
});

it('finds two rows of one epoch of what was made again while it was read', () => {
  const logs = [{ ...NEVER, written: [[10, 10]] as const, whileRead: true }];
  expect(remadeIsRead({ logs, rows: [row(10), row(10)] }).violations).toEqual([
    'id 10 of log 1 of 1 has 2 rows of 1 epochs',
  ]);
});

it('finds what comes twice although it was sent after the daemons had shown that they know', () => {
  const later = { written: [[15, 16]], unknown: [[17, 17]] } as const;
  const logs = [{ ...NEVER, written: [[10, 10]] as const, whileRead: true, later }];
  const judged = (...rows: RemadeRow[]) =>
    remadeIsRead({ logs, rows: [row(10), row(10, 'f'), row(15, 'f'), row(16, 'f'), ...rows] }).violations;
  expect(judged()).toEqual([]);
  expect(judged(row(15))).toEqual(['id 15 of log 1 of 1 has 2 rows of 2 epochs']);
  expect(judged(row(17), row(17, 'f'))).toEqual(['id 17 of log 1 of 1 has 2 rows of 2 epochs']);
  expect(remadeIsRead({ logs, rows: [row(10, 'f'), row(15, 'f')] }).violations).toEqual([
    'id 16 of log 1 of 1 has 0 rows of 0 epochs',
  ]);
});
