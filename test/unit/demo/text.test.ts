import { expect, test } from 'vitest';
import { count, duration } from '../../../demo/text.js';

test.each([
  [0, '0 records'],
  [1, '1 record'],
  [200_000, '200,000 records'],
])('%i is counted as %s', (number, text) => {
  expect(count(number, 'record')).toBe(text);
});

test.each([
  [0.4, '0 ms'],
  [140.6, '141 ms'],
  [999.4, '999 ms'],
  [999.6, '1.0 s'],
  [3_940, '3.9 s'],
])('%f ms are written as %s', (durationMs, text) => {
  expect(duration(durationMs)).toBe(text);
});
