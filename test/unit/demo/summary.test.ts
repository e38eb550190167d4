import { expect, test } from 'vitest';
import { summarize, type Outcome } from '../../../demo/summary.js';
import type { Verdict } from '../../../demo/verdict.js';

const verdict: Verdict = {
  name: 'flights',
  good: { produced: 200_000, acknowledged: 200_000, rows: 200_000, lost: 0, duplicated: 0 },
  bad: { produced: 3, rejected: 3, rows: 0 },
  acksRepeated: 0,
  problems: [],
};
const outcome: Outcome = {
  verdicts: [verdict],
  bulk: { records: 200_003, elapsedMs: 10_000, latency: { count: 200_000, p50Ms: 4_000, p99Ms: 9_000, maxMs: 9_900 } },
  trickle: { count: 100, p50Ms: 600, p99Ms: 1_200, maxMs: 1_300 },
  maxDelayMs: 1_000,
  bad: { rejections: [{ index: 200_000, code: 'not_json', message: 'x'.repeat(500) }], topic: 'flights.dead-letters' },
};

test('a run without a fault says so, in lines that fit', () => {
  const lines = summarize(outcome);
  expect(lines).toContain('Passed: nothing lost, nothing twice, every record acknowledged.');
  expect(lines.join('\n')).toContain('20,000 records/s');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(95);
});

test('what went wrong is said instead', () => {
  const problems = ['flights: 1 row too many'];
  const text = summarize({ ...outcome, verdicts: [{ ...verdict, problems }] }).join('\n');
  expect(text).toContain('FAILED\n- flights: 1 row too many');
  expect(text).not.toContain('Passed');
});

test('what was not measured is not claimed', () => {
  const bulk = { records: 200_003, elapsedMs: undefined, latency: undefined };
  const bad = { rejections: [], topic: 'flights.dead-letters' };
  const text = summarize({ ...outcome, bulk, trickle: undefined, bad }).join('\n');
  for (const word of ['records/s', 'p50', 'dead-letter']) expect(text).not.toContain(word);
});
