import { expect, it } from 'vitest';
import { beQuiet, longestStand, mostWaiting, type WaitingSample } from '../../../chaos/quiet.js';

/** Later than any sample that is not of this quiet time. */
const sample = (later: number, more: Partial<WaitingSample>): WaitingSample => ({
  atMs: Date.now() + later,
  read: [10, 5],
  waitingFrom: [10, 5],
  waiting: 0,
  ...more,
});

const quiet = (samples: readonly WaitingSample[], more: { maxMs?: () => number; starts?: () => number } = {}) =>
  beQuiet({
    samples: () => samples,
    daemons: [
      {
        name: 'daemon-1',
        get starts() {
          return more.starts?.() ?? 1;
        },
      },
    ],
    maxMs: more.maxMs ?? (() => 20),
    signal: new AbortController().signal,
  });

it('ends when all that was there at its begin is acknowledged, whatever has come since', async () => {
  const samples = [
    sample(-1_000, { waitingFrom: [0, 0] }),
    sample(100, { waitingFrom: [7, 5], waiting: 3 }),
    sample(600, { read: [90, 80], waitingFrom: [9, 50], waiting: 110 }),
    sample(1_100, { read: [90, 80], waitingFrom: [10, 50], waiting: 110 }),
  ];
  const { tookMs, due, restarted } = await quiet(samples);
  expect(tookMs).toBeGreaterThan(1_000);
  expect(tookMs).toBeLessThanOrEqual(1_100);
  expect(due).toBe(3);
  expect(restarted).toEqual([]);
});

it('is not taken in by what was acknowledged before it began', async () => {
  const samples = [sample(-500, {}), sample(50, { read: [20, 5], waitingFrom: [12, 5], waiting: 8 })];
  expect((await quiet(samples)).tookMs).toBeUndefined();
});

it('gives up if one record is not acknowledged in time', async () => {
  const stuck = [1, 2, 3].map((later) => sample(later, { read: [10 + later, 5], waitingFrom: [4, 5], waiting: 1 }));
  const dues: number[] = [];
  const quietTime = await beQuiet({
    samples: () => stuck,
    daemons: [],
    maxMs: (due) => {
      dues.push(due);
      return 20;
    },
    signal: new AbortController().signal,
  });
  expect(quietTime.tookMs).toBeUndefined();
  expect(new Set(dues)).toEqual(new Set([1]));
});

it('finds how long a partition stood that had records of its begin, and no other', () => {
  const at = (atMs: number, waitingFrom: readonly number[]): WaitingSample => ({ ...sample(0, { waitingFrom }), atMs });
  const begin = at(0, [0, 2]);
  const samples = [
    at(-900, [0, 0]),
    begin,
    at(1_000, [4, 2]),
    at(5_000, [4, 5]),
    at(6_000, [10, 5]),
    at(90_000, [10, 5]),
  ];
  expect(longestStand(samples, begin)).toBe(5_000);
  expect(longestStand([begin, at(70_000, [0, 5])], begin)).toBe(70_000);
  expect(longestStand([begin], begin)).toBe(0);
});

it('tells which daemons were started meanwhile', async () => {
  let starts = 1;
  const samples = [sample(10, {})];
  expect((await quiet(samples, { starts: () => starts++ })).restarted).toEqual(['daemon-1']);
});

it('ends at once if the run does', async () => {
  const stop = new AbortController();
  const waiting = beQuiet({ samples: () => [], daemons: [], maxMs: () => 60_000, signal: stop.signal });
  stop.abort(new Error('over'));
  await expect(waiting).rejects.toThrow();
});

it('finds the most that waited around a time', () => {
  const waiting = (atMs: number, count: number): WaitingSample => ({ ...sample(0, {}), atMs, waiting: count });
  const samples = [waiting(0, 900), waiting(9_000, 5), waiting(12_000, 7), waiting(21_000, 6), waiting(30_000, 800)];
  expect(mostWaiting(samples, 10_000, 20_000)).toBe(7);
  expect(mostWaiting(samples, 50_000, 60_000)).toBe(0);
});
