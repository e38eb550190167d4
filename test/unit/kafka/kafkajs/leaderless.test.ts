import { createRequire } from 'node:module';
import { beforeAll, expect, it } from 'vitest';
import { OUT_OF_RANGE } from '../../../../src/kafka/kafkajs/outOfRange.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';

const require = createRequire(import.meta.url);

beforeAll(repairKafkajs);

it('an offset out of range is told to the consumer, and nothing is committed in its place', async () => {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup') as {
    prototype: { recoverFromOffsetOutOfRange: (error: object) => Promise<void> };
  };
  const done: unknown[] = [];
  const group = (assigner: object) => ({
    assigners: [assigner],
    preferredReadReplicasPerTopicPartition: {},
    logger: { error: () => undefined },
    offsetManager: { setDefaultOffset: () => Promise.resolve(void done.push('committed the default')) },
  });
  const error = { topic: 'orders', partition: 3 };
  const handler = (where: object): void => void done.push(where);
  await prototype.recoverFromOffsetOutOfRange.call(group({ [OUT_OF_RANGE]: handler }), error);
  expect(done).toEqual([error]);
  await prototype.recoverFromOffsetOutOfRange.call(group({}), error);
  expect(done).toEqual([error, 'committed the default']);
});

it('where a group has no offset of a partition without a leader, the others are asked for all the same', async () => {
  const { prototype } = require('kafkajs/src/cluster') as {
    prototype: { fetchTopicsOffset: (topics: object[]) => Promise<{ topic: string; partitions: object[] }[]> };
  };
  const cluster = {
    findTopicPartitionMetadata: (topic: string) => [
      { partitionId: 0, leader: topic === 'orders' ? 7 : -1 },
      { partitionId: 1, leader: -1 },
    ],
    findLeaderForPartitions: () => ({ 7: [0] }),
    defaultOffset: () => '-2',
    findBroker: ({ nodeId }: { nodeId: string }) =>
      nodeId === '7'
        ? Promise.resolve({
            listOffsets: ({ topics }: { topics: { topic: string; partitions: { partition: number }[] }[] }) =>
              Promise.resolve({
                responses: topics.map(({ topic, partitions }) => ({
                  topic,
                  partitions: partitions.map(({ partition }) => ({ partition, offset: '5' })),
                })),
              }),
          })
        : Promise.reject(new Error('no such broker')),
  };
  const partitions = [{ partition: 0 }, { partition: 1 }];
  const topics = ['orders', 'away'].map((topic) => ({ topic, partitions, fromBeginning: true }));
  expect(await prototype.fetchTopicsOffset.call(cluster, topics)).toEqual([
    { topic: 'orders', partitions: [{ partition: 0, offset: '5' }] },
    { topic: 'away', partitions: [] },
  ]);
});
