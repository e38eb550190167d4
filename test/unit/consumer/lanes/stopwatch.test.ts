import { expect, it } from 'vitest';
import { Stopwatch } from '../../../../src/consumer/lanes/stopwatch.js';

it('adds up for how long something lasts, and nothing of the time between', () => {
  const stopwatch = new Stopwatch();
  const seconds = [
    [true, 1_000],
    [true, 1_500],
    [false, 3_000],
    [true, 9_000],
    [false, 9_250],
    // A clock that was set back.
    [true, 8_000],
    [true, 7_000],
  ] as const;
  expect(seconds.map(([lasts, nowMs]) => stopwatch.update(lasts, nowMs))).toEqual([0, 0.5, 1.5, 0, 0.25, 0, 0]);
});
