import { expect, test } from 'vitest';
import { latencyOf } from '../../../demo/latency.js';

test('percentiles are the nearest ranks, whatever the order', () => {
  const oneToHundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(latencyOf(oneToHundred)).toEqual({ count: 100, p50Ms: 50, p99Ms: 99, maxMs: 100 });
});

test('a single value is every percentile', () => {
  expect(latencyOf([7])).toEqual({ count: 1, p50Ms: 7, p99Ms: 7, maxMs: 7 });
});

test('what has no latency is left out, and nothing has none', () => {
  expect(latencyOf([NaN, 4, NaN, 2])).toMatchObject({ count: 2, p50Ms: 2, p99Ms: 4 });
  expect(latencyOf([NaN])).toBeUndefined();
  expect(latencyOf([])).toBeUndefined();
});
