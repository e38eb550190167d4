import { expect, test } from 'vitest';
import type { Verdict } from '../../../demo/ledger.js';
import { count, countTable, followProgress, verdictLines } from '../../../demo/screen.js';

const verdict: Verdict = {
  name: 'flights',
  good: { produced: 200_000, acknowledged: 200_000, rows: 200_000, lost: 0, duplicated: 0 },
  bad: { produced: 3, rejected: 3, rows: 0 },
  acksRepeated: 0,
  problems: [],
};
const { signal } = new AbortController();

test('a run without a fault says so, in lines that fit', () => {
  expect(verdictLines([verdict])).toEqual(['Passed: nothing lost, nothing twice, every record acknowledged.']);
  const table = countTable([verdict]).split('\n');
  expect(table[3]).toMatch(/flights +│ +200,000 │ +200,000 │ +200,000 │ +0 │ +0 │$/);
  expect(Math.max(...table.map((line) => line.length))).toBeLessThanOrEqual(95);
});

test('what went wrong is said instead', () => {
  const problems = ['flights: 1 row too many'];
  expect(verdictLines([verdict, { ...verdict, problems, acksRepeated: 2 }])).toEqual([
    'FAILED',
    '- flights: 1 row too many',
    '2 acknowledgements came again, which is allowed: a row may not.',
  ]);
});

test('acknowledgements are waited for as long as some come', async () => {
  let acknowledged = 0;
  expect(await followProgress(3, () => ({ produced: 3, acknowledged: acknowledged++ }), signal, 60_000)).toBe(true);
  expect(await followProgress(3, () => ({ produced: 3, acknowledged: 2 }), signal, 10)).toBe(false);
});

test('an abort ends the wait for acknowledgements', async () => {
  const interrupted = new AbortController();
  const wait = followProgress(1, () => ({ produced: 0, acknowledged: 0 }), interrupted.signal, 60_000);
  interrupted.abort();
  await expect(wait).rejects.toMatchObject({ name: 'AbortError' });
});

test.each([
  [0, '0 records'],
  [1, '1 record'],
  [200_000, '200,000 records'],
])('%i is counted as %s', (number, text) => {
  expect(count(number, 'record')).toBe(text);
});
