import { expect, it } from 'vitest';
import { fetchGroupOffsets, fetchLogOffsets, offsetsAt } from '../../../src/kafka/offsets.js';

/** Two topics of two partitions; the group has committed offset 7 of orders/1, and nothing else. */
function fakeAdmin() {
  const askedByTime: string[] = [];
  const log = (partition: number, low: string, high: string) => ({ partition, offset: high, low, high });
  return {
    askedByTime,
    fetchTopicOffsets: (topic: string) =>
      Promise.resolve(topic === 'orders' ? [log(1, '5', '10'), log(0, '0', '20')] : [log(0, '0', '0')]),
    fetchOffsets: ({ topics }: { topics?: string[] }) => {
      if (topics?.length === 0) return Promise.reject(new Error('these would be all topics'));
      const partitions = [
        { partition: 0, offset: '-1', metadata: '' },
        { partition: 1, offset: '7', metadata: 'mine' },
      ];
      return Promise.resolve([{ topic: 'orders', partitions }]);
    },
    fetchTopicOffsetsByTimestamp: (topic: string) => {
      askedByTime.push(topic);
      return Promise.resolve(topic === 'orders' ? [{ partition: 0, offset: '12' }] : []);
    },
  };
}

it('gives the partitions of topics by number, with what the group has committed and null where that is nothing', async () => {
  expect(await fetchGroupOffsets(fakeAdmin(), 'g', ['orders', 'bills'])).toEqual([
    { topic: 'orders', partition: 0, logStart: 0, logEnd: 20, committedOffset: null, committedMetadata: '' },
    { topic: 'orders', partition: 1, logStart: 5, logEnd: 10, committedOffset: 7, committedMetadata: 'mine' },
    { topic: 'bills', partition: 0, logStart: 0, logEnd: 0, committedOffset: null, committedMetadata: null },
  ]);
});

it('asks for no offsets where there is no topic: kafkajs would fetch all that the group has', async () => {
  expect(await fetchGroupOffsets(fakeAdmin(), 'g', [])).toEqual([]);
});

it('finds a time by one question a topic, and takes the end where nothing was written since', async () => {
  const admin = fakeAdmin();
  const logs = await fetchLogOffsets(admin, ['orders', 'bills']);
  const offsetOf = await offsetsAt(admin, logs, { timestampMs: 1 });
  expect(logs.map(offsetOf)).toEqual([12, 10, 0]);
  expect(admin.askedByTime).toEqual(['orders', 'bills']);
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
