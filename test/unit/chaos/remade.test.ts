import { expect, it } from 'vitest';
import { remadeIsRead } from '../../../chaos/remade.js';

const RIGHT: [number, number][] = [
  [10, 1],
  [12, 1],
  [20, 1],
  [21, 1],
];
const wrong = (rows: readonly (readonly [number, number])[]) => {
  const logs = [
    { written: [[10, 12]], unknown: [], whileRead: false },
    { written: [[20, 21]], unknown: [[22, 22]], whileRead: false },
  ] as const;
  return remadeIsRead({ logs, rows: new Map(rows) }).violations;
};

it('wants each record of the last log once, and no record of an earlier one twice', () => {
  expect(wrong(RIGHT)).toEqual([]);
  expect(wrong(RIGHT.slice(0, 3))).toEqual(['id 21 of log 2 of 2 has 0 rows']);
  expect(wrong([...RIGHT, [21, 2]])).toEqual(['id 21 of log 2 of 2 has 2 rows']);
  expect(wrong([...RIGHT, [11, 2]])).toEqual(['id 11 of log 1 of 2 has 2 rows']);
  expect(wrong([...RIGHT, [22, 1]])).toEqual([]);
  expect(wrong([...RIGHT, [22, 2]])).toEqual(['id 22 of log 2 of 2 has 2 rows']);
  expect(wrong([...RIGHT, [99, 1]])).toEqual(['id 99 has a row, and was not produced']);
});

it('has looked at nothing if there was nothing', () => {
  expect(remadeIsRead({ logs: [{ written: [], unknown: [], whileRead: false }], rows: new Map() }).checked).toBe(0);
});

it('what was made again while it was read may come twice, and not more often', () => {
  const counted = (count: number, whileRead: boolean) =>
    remadeIsRead({ logs: [{ written: [[10, 10]], unknown: [], whileRead }], rows: new Map([[10, count]]) }).violations;
  expect(counted(2, true)).toEqual([]);
  expect(counted(2, false)).toHaveLength(1);
  expect(counted(3, true)).toHaveLength(1);
  expect(counted(0, true)).toHaveLength(1);
});
