import { afterEach, expect, it, vi } from 'vitest';
import { UnusedBatchers } from '../../../../src/consumer/lanes/unusedBatchers.js';
import type { Layout } from '../../../../src/protocol/layout.js';
import type { BatcherClient } from '../../../../src/temporal/batcherClient.js';

afterEach(() => void vi.restoreAllMocks());

/** The batchers 0 to 5 of a layout. Those that are `away` do not answer. */
function six() {
  const clock = { nowMs: 0 };
  vi.spyOn(performance, 'now').mockImplementation(() => clock.nowMs);
  vi.spyOn(Math, 'random').mockReturnValue(0);
  const away = new Set<number>();
  const asked: number[] = [];
  const list = vi.fn((): Promise<readonly Layout[]> => Promise.resolve([{ batchers: 6, keyFunction: 'key' }]));
  const batcher = (_layout: Layout, index: number) => {
    const startHeir = () => {
      asked.push(index);
      return away.has(index)
        ? Promise.reject(new Error('its shard is away'))
        : Promise.resolve({ closed: null, dueTask: null });
    };
    return { workflowId: String(index), startHeir } as unknown as BatcherClient;
  };
  const unused = new UnusedBatchers({ layouts: list, batcher, heirStarted: () => undefined });
  /** A look after 30 s: the batchers that it asked, and the number of those that did not answer. */
  const look = async (goesOn = () => true): Promise<[number[], number | undefined]> => {
    clock.nowMs += 30_000;
    const found = await unused.look(goesOn);
    return [asked.splice(0), found?.unseen.length];
  };
  return { look, away, asked, list, clock };
}

it('only those that could not be looked at are asked again before the next five minutes', async () => {
  const { look, away, clock } = six();
  away.add(1).add(4);
  expect(await look()).toEqual([[0, 1, 2, 3, 4, 5], 2]);
  expect(await look()).toEqual([[1, 4], 2]);
  away.delete(1);
  expect(await look()).toEqual([[1, 4], 1]);
  away.clear();
  expect(await look()).toEqual([[4], 0]);
  expect(await look()).toEqual([[], undefined]);
  clock.nowMs += 270_000;
  expect(await look()).toEqual([[0, 1, 2, 3, 4, 5], 0]);
});

it('a look ends after three failures in a row, and the next one begins with those that were not asked', async () => {
  const { look, away } = six();
  for (const index of [0, 1, 2]) away.add(index);
  expect(await look()).toEqual([[0, 1, 2], 3]);
  expect(await look()).toEqual([[3, 4, 5, 0, 1, 2], 3]);
  expect(await look()).toEqual([[0, 1, 2], 3]);
});

it('a look that another member takes over ends, and goes on here if the assignment comes back', async () => {
  const { look, asked } = six();
  expect(await look(() => asked.length < 2)).toEqual([[0, 1], 0]);
  expect(await look(() => false)).toEqual([[], undefined]);
  expect(await look()).toEqual([[2, 3, 4, 5], 0]);
});

it('without a list of layouts the next look asks for it again', async () => {
  const { look, list } = six();
  list.mockRejectedValueOnce(new Error('no answer'));
  expect(await look()).toEqual([[], 1]);
  expect(await look()).toEqual([[0, 1, 2, 3, 4, 5], 0]);
});
