import { expect, it } from 'vitest';
import { BatchMemos } from '../../../src/activities/memos.js';

const MINUTE_MS = 60_000;

it('remembers all parts of a batch until ten minutes after something of it was noted, or until it is forgotten', () => {
  const clock = { nowMs: 0 };
  const memos = new BatchMemos(() => clock.nowMs);
  memos.note('a', { deadLetters: true });
  clock.nowMs = 9 * MINUTE_MS;
  memos.note('a', { confirmed: { rejected: [] } });
  clock.nowMs = 19 * MINUTE_MS - 1;
  expect(memos.of('a')).toEqual({ deadLetters: true, confirmed: { rejected: [] } });
  clock.nowMs++;
  expect(memos.of('a')).toEqual({});
  memos.note('a', { verdicts: new Map() });
  expect(memos.of('a')).toEqual({ verdicts: new Map() });
  memos.forget('a');
  expect(memos.of('a')).toEqual({});
});

it('remembers a thousand batches, those of which something was noted last', () => {
  const memos = new BatchMemos();
  for (let batch = 0; batch < 1_000; batch++) memos.note(`${batch}`, { deadLetters: true });
  memos.note('0', { verdicts: new Map() });
  memos.note('1000', { deadLetters: true });
  expect(memos.of('1')).toEqual({});
  expect(memos.of('0')).toEqual({ deadLetters: true, verdicts: new Map() });
  expect(memos.of('2')).toEqual({ deadLetters: true });
});
