import { expect, it } from 'vitest';
import { BatchMemos } from '../../../src/activities/memos.js';

const MINUTE_MS = 60_000;

const insertOf = (attemptId: string) => ({ verdicts: new Map(), attemptId });

it('remembers all parts of a batch until ten minutes after something of it was noted, or until it is forgotten', () => {
  const clock = { nowMs: 0 };
  const memos = new BatchMemos(() => clock.nowMs);
  memos.note('a', { deadLetters: true });
  clock.nowMs = 9 * MINUTE_MS;
  memos.note('a', { confirmed: { rejected: { requests: 1, unconfirmed: [] } } });
  clock.nowMs = 19 * MINUTE_MS - 1;
  expect(memos.of('a')).toEqual({ deadLetters: true, confirmed: { rejected: { requests: 1, unconfirmed: [] } } });
  clock.nowMs++;
  expect(memos.of('a')).toEqual({});
  memos.note('a', { insert: insertOf('1') });
  expect(memos.of('a')).toEqual({ insert: insertOf('1') });
  memos.forget('a');
  expect(memos.of('a')).toEqual({});
});

it('remembers a thousand batches, those of which something was noted last', () => {
  const memos = new BatchMemos();
  for (let batch = 0; batch < 1_000; batch++) memos.note(`${batch}`, { deadLetters: true });
  memos.note('0', { insert: insertOf('1') });
  memos.note('1000', { deadLetters: true });
  expect(memos.of('1')).toEqual({});
  expect(memos.of('0')).toEqual({ deadLetters: true, insert: insertOf('1') });
  expect(memos.of('2')).toEqual({ deadLetters: true });
});

it('what an insert has come to counts for the next attempt, if that is of this process too, and for no later one', () => {
  const memos = new BatchMemos();
  const begins = (id: string, previousId?: string) => {
    memos.begin({ activityKey: 'a', id, previousId });
    return memos.verdictsFor({ activityKey: 'a', id }) !== undefined;
  };
  memos.note('a', { insert: insertOf('1'), deadLetters: true });
  expect(begins('2', '1')).toBe(true);
  // It knows it, though it has noted nothing itself.
  expect(begins('3', '2')).toBe(true);
  // Attempt 4 was another worker's.
  expect(begins('5', '4')).toBe(false);
  expect(begins('6', '5')).toBe(false);
  expect(memos.of('a').deadLetters).toBe(true);
  memos.note('a', { insert: insertOf('6') });
  // Attempt 7 has left no notes, whoever had it.
  expect(begins('8')).toBe(false);
});
