import { expect, it } from 'vitest';
import type { LogAnswer, NoAnswer } from '../../../src/kafka/admin.js';
import { allLogs, fetchLogOffsets, findGroupOffsets, offsetsAt } from '../../../src/kafka/offsets.js';
import { partitionName, type TopicPartition } from '../../../src/protocol/record.js';

/** Two topics of two partitions, and one whose second partition has no leader; the group has committed offset 7 of orders/1. */
function fakeAdmin() {
  const askedByTime: string[][] = [];
  const log = (topic: string, partition: number, logStart: number, logEnd: number) => ({
    topic,
    partition,
    logStart,
    logEnd,
  });
  const logs: Record<string, (LogAnswer | NoAnswer)[]> = {
    orders: [log('orders', 0, 0, 20), log('orders', 1, 5, 10)],
    bills: [log('bills', 0, 0, 0)],
    broken: [log('broken', 0, 0, 3), { topic: 'broken', partition: 1, problem: 'it has no leader' }],
  };
  return {
    askedByTime,
    fetchLogs: (topics: readonly string[]) => Promise.resolve(topics.flatMap((topic) => logs[topic] ?? [])),
    fetchCommits: (_group: string, partitions: readonly TopicPartition[]) => {
      const committed = new Map([
        ['orders/0', { offset: -1, metadata: '' }],
        ['orders/1', { offset: 7, metadata: 'mine' }],
      ]);
      const asked = partitions.map(partitionName);
      return Promise.resolve(new Map([...committed].filter(([name]) => asked.includes(name))));
    },
    fetchOffsetsAt: (partitions: readonly TopicPartition[]) => {
      askedByTime.push(partitions.map(partitionName));
      return Promise.resolve(
        new Map([
          ['orders/0', 12],
          ['orders/1', -1],
          ['bills/0', -1],
        ]),
      );
    },
  };
}

it('gives the partitions of topics by number, with what the group has committed and null where that is nothing', async () => {
  expect(allLogs(await findGroupOffsets(fakeAdmin(), 'g', ['orders', 'bills']))).toEqual([
    { topic: 'orders', partition: 0, logStart: 0, logEnd: 20, committedOffset: null, committedMetadata: '' },
    { topic: 'orders', partition: 1, logStart: 5, logEnd: 10, committedOffset: 7, committedMetadata: 'mine' },
    { topic: 'bills', partition: 0, logStart: 0, logEnd: 0, committedOffset: null, committedMetadata: null },
  ]);
});

it('one partition that cannot be asked hides no other, and is named; who needs all is told', async () => {
  const found = await findGroupOffsets(fakeAdmin(), 'g', ['broken', 'orders']);
  expect(found.logs.map(partitionName)).toEqual(['broken/0', 'orders/0', 'orders/1']);
  expect(found.unknown).toEqual([{ topic: 'broken', partition: 1, problem: 'it has no leader' }]);
  await expect(fetchLogOffsets(fakeAdmin(), ['broken'])).rejects.toThrow('partition broken/1: it has no leader');
});

it('finds a time by one question, and takes the end where nothing was written since', async () => {
  const admin = fakeAdmin();
  const logs = await fetchLogOffsets(admin, ['orders', 'bills']);
  const offsetOf = await offsetsAt(admin, logs, { timestampMs: 1 });
  expect(logs.map(offsetOf)).toEqual([12, 10, 0]);
  expect(admin.askedByTime).toEqual([['orders/0', 'orders/1', 'bills/0']]);
});

it.each([
  [3, [3, 3]],
  ['earliest', [0, 5]],
  ['latest', [20, 10]],
] as const)('finds %s without asking', async (position, expected) => {
  const admin = fakeAdmin();
  const logs = await fetchLogOffsets(admin, ['orders']);
  expect(logs.map(await offsetsAt(admin, logs, position))).toEqual(expected);
  expect(admin.askedByTime).toEqual([]);
});
