import { expect, test } from 'vitest';
import { waitForGrowth, waitUntil } from '../../../demo/waiting.js';

const { signal } = new AbortController();

test('a wait that is in vain ends with what it waited for, and how things stood', async () => {
  const wait = waitUntil(() => 'not ready', { what: 'the daemon', withinMs: 60, signal });
  await expect(wait).rejects.toThrow('Waited 0.06 s for the daemon, in vain: not ready');
});

test('growth is waited for as long as there is some', async () => {
  let number = 0;
  expect(await waitForGrowth(() => number++, 5, { stalledAfterMs: 120, signal })).toBe(true);
  expect(await waitForGrowth(() => 3, 5, { stalledAfterMs: 120, signal })).toBe(false);
});

test('an abort ends a wait', async () => {
  const aborted = AbortSignal.abort(new Error('interrupted'));
  await expect(waitForGrowth(() => 0, 1, { stalledAfterMs: 60_000, signal: aborted })).rejects.toThrow('interrupted');
  await expect(waitUntil(() => 'no', { what: 'x', withinMs: 60_000, signal: aborted })).rejects.toThrow('interrupted');
});
