import { expect, test } from 'vitest';
import { formatElapsed, Progress, type StackEvent } from '../../../stack/progress.js';

test.each([
  [400, '0.4 s'],
  [9_949, '9.9 s'],
  [12_300, '12 s'],
  [125_000, '2 min 05 s'],
])('%i ms are written as %s', (elapsedMs, text) => {
  expect(formatElapsed(elapsedMs)).toBe(text);
});

test('a step that fails is reported as failed, and its error goes on', async () => {
  const events: StackEvent[] = [];
  const progress = new Progress((event) => events.push(event));
  await expect(progress.step('kafka', 'download', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(events.map(({ state }) => state)).toEqual(['started', 'failed']);
});
