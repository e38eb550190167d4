import { expect, it } from 'vitest';
import { StuckTasks, type DueTask } from '../../../src/temporal/stuckTasks.js';

const YOUNG: DueTask = { attempt: 1, scheduledAtMs: 99_000 };
const OLD: DueTask = { attempt: 1, scheduledAtMs: 90_000 };
const REPEATED: DueTask = { attempt: 2, scheduledAtMs: 99_900 };

/** What each of some looks, half a minute apart, tells of one batcher. */
function looks(...tasks: (DueTask | null)[]): boolean[] {
  const stuck = new StuckTasks();
  return tasks.map((task) => stuck.observe('b', task, 100_000));
}

it('a task that is repeated, or waits, at several looks in a row is stuck, until one is done', () => {
  expect(looks(REPEATED, OLD, REPEATED, REPEATED, null)).toEqual([false, false, true, true, false]);
  expect(looks(OLD, OLD, OLD, YOUNG)).toEqual([false, false, true, false]);
});

it('a batcher that is busy all the time is not stuck, nor one whose worker ended now and then', () => {
  expect(looks(YOUNG, YOUNG, YOUNG, YOUNG)).not.toContain(true);
  expect(looks(REPEATED, REPEATED, YOUNG, OLD, REPEATED)).not.toContain(true);
});

it('looks at each batcher for itself', () => {
  const stuck = new StuckTasks();
  for (const batcher of ['a', 'b', 'a', 'b']) stuck.observe(batcher, OLD, 100_000);
  expect(stuck.observe('a', OLD, 100_000)).toBe(true);
  expect(stuck.observe('b', null, 100_000)).toBe(false);
});
