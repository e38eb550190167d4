import { expect, test } from 'vitest';
import { Tally } from '../../../demo/tally.js';

test('every number is distinct once, and repeated from then on', () => {
  const tally = new Tally(3);
  expect([0, 2, 2, 0, 2].map((index) => tally.add(index))).toEqual([true, true, false, false, false]);
  expect([tally.distinct, tally.repeated, tally.foreign]).toEqual([2, 3, 0]);
  expect([0, 1, 2].map((index) => tally.has(index))).toEqual([true, false, true]);
});

test('what does not belong here is foreign and counts nowhere else', () => {
  const tally = new Tally(3);
  for (const index of [3, -1, 0.5, NaN, undefined]) expect(tally.add(index)).toBe(false);
  expect([tally.distinct, tally.repeated, tally.foreign]).toEqual([0, 0, 5]);
});

test('the totals stay exact beyond the 255 of one byte', () => {
  const tally = new Tally(1);
  for (let times = 0; times < 1_000; times++) tally.add(0);
  expect([tally.distinct, tally.repeated]).toEqual([1, 999]);
});
