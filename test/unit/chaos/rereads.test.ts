import { expect, it } from 'vitest';
import { Rereads, type Patience } from '../../../chaos/rereads.js';

/** A partition 2, with records at all offsets from `log.from` on, and a note of what was done to it. */
function partition(committed: number, log = { from: 100, to: 200 }): { rereads: Rereads; done: string[] } {
  const done: string[] = [];
  const offsets = Array.from({ length: log.to - log.from }, (_, index) => log.from + index);
  const note = (what: string) => Promise.resolve(void done.push(what));
  const rereads = new Rereads({
    topic: {
      committed: () => Promise.resolve(committed),
      ends: () => Promise.resolve({ partition: 2, ...log }),
      removeBefore: (_, offset) => note(`remove before ${offset}`),
    },
    read: () => Promise.resolve({ file: 'removed.tsv', offsets }),
    ktb: (...args) => note(args.join(' ')),
    topicName: 'input',
    pipeline: 'chaos',
  });
  return { rereads, done };
}

const PATIENCE: Patience = { wait: () => Promise.resolve(), retry: (act) => act() };

it('removes the first half of what was not read yet, and notes what is gone', async () => {
  const { rereads, done } = partition(150);
  expect(await rereads.expire(2, PATIENCE)).toBe(true);
  expect(done).toEqual(['remove before 175']);
  expect(rereads.removed).toEqual([{ partition: 2, unreadFrom: 150, to: 175, file: 'removed.tsv' }]);
});

it.each([199, 200, -1])('removes nothing if almost all was read, or nothing was committed: %i', async (committed) => {
  const { rereads, done } = partition(committed);
  expect(await rereads.expire(2, PATIENCE)).toBe(false);
  expect(done).toEqual([]);
  expect(rereads.removed).toEqual([]);
});

it('has records read again as new ones: surely up to the commit, perhaps up to the end', async () => {
  const { rereads, done } = partition(150);
  expect(await rereads.rewind(2, true, PATIENCE)).toBe(true);
  expect(done).toEqual(['rewind chaos --to 100 --partition input/2 --again']);
  expect(rereads.again).toEqual([{ partition: 2, from: 100, sureTo: 150, to: 200 }]);
  expect(rereads.filled).toEqual([]);
});

it('has only what the table lacks inserted, going back by 5,000 offsets at most', async () => {
  const { rereads, done } = partition(9_000, { from: 0, to: 9_500 });
  expect(await rereads.rewind(2, false, PATIENCE)).toBe(true);
  expect(done).toEqual(['rewind chaos --to 4000 --partition input/2']);
  expect(rereads.filled).toEqual([{ partition: 2, from: 4_000, to: 9_500 }]);
  expect(rereads.again).toEqual([]);
});

it('reads nothing again of which nothing was committed', async () => {
  const { rereads, done } = partition(100);
  expect(await rereads.rewind(2, true, PATIENCE)).toBe(false);
  expect(done).toEqual([]);
});
