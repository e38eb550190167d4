import { afterEach, expect, it, vi } from 'vitest';
import type { KafkajsBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { fetchResponse, recordBatch } from '../../../support/recordBatches.js';

repairKafkajs();
afterEach(() => void vi.useRealTimers());

interface Group {
  subscriptionState: { assign(list: object[]): void };
  offsetManager: object;
  fetch(nodeId: string): Promise<KafkajsBatch[]>;
}

const PARTITIONS = [0, 1];
const FETCH = 1;

/**
 * kafkajs's own consumer group, with brokers that give a record of each partition.
 *
 * @param answer what a broker says of the topic, over the connection of fetches
 */
function group(answer: (nodeId: string) => Promise<object>, metadataVersion = 10) {
  const { decode, parse } = internalModule('protocol/requests/fetch/v11/response') as {
    decode: (bytes: Buffer) => Promise<object>;
    parse: (data: object) => Promise<object>;
  };
  const asked: string[] = [];
  const nothing = () => Promise.resolve();
  const brokerOf = (nodeId: string) => ({
    versions: { 3: { minVersion: 0, maxVersion: metadataVersion } },
    fetch: async () => {
      const records = recordBatch({ base: 0, records: [{ delta: 0 }] });
      return parse(
        await decode(
          fetchResponse(
            'orders',
            PARTITIONS.map((partition) => ({ partition, errorCode: 0, records })),
          ),
        ),
      );
    },
    connectionPool: {
      getConnectionByRequest: ({ request: { apiKey } }: { request: { apiKey: number } }) => {
        expect(apiKey).toBe(FETCH);
        asked.push(nodeId);
        return Promise.resolve({ send: async () => ({ topicMetadata: [await answer(nodeId)] }) });
      },
    },
  });
  const cluster = {
    refreshMetadataIfNecessary: nothing,
    refreshMetadata: nothing,
    findTopicPartitionMetadata: () => PARTITIONS.map((partitionId) => ({ partitionId, leader: 1 })),
    findBroker: ({ nodeId }: { nodeId: string }) => Promise.resolve(brokerOf(nodeId)),
  };
  const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const ConsumerGroup = internalModule('consumer/consumerGroup') as new (options: object) => Group;
  const made = new ConsumerGroup({
    ...{ cluster, topics: ['orders'], assigners: [], maxWaitTimeInMs: 1 },
    logger: { namespace: () => quiet },
  });
  made.subscriptionState.assign([{ topic: 'orders', partitions: PARTITIONS }]);
  made.offsetManager = {
    resolveOffsets: nothing,
    committedOffsets: () => ({ orders: { 0: '0', 1: '0' } }),
    nextOffset: () => '0',
  };
  return { made, asked };
}

const answersOf = (batches: readonly KafkajsBatch[]) => Promise.all(batches.map(({ askTopic }) => askTopic!().answer));

it('the broker that gave the batches is asked for their topic, once for all of them, and again for the next ones', async () => {
  let topicId = 'aaaa';
  const { made, asked } = group(() => Promise.resolve({ topic: 'orders', topicErrorCode: 0, topicId }));
  const batches = await made.fetch('1');
  expect(batches).toHaveLength(2);
  expect(asked).toEqual([]);
  expect(await answersOf(batches)).toEqual([0, 1].map(() => ({ type: 'topic', topicId: 'aaaa' })));
  expect(asked).toEqual(['1']);
  topicId = 'bbbb';
  expect(await answersOf(await made.fetch('1'))).toEqual([0, 1].map(() => ({ type: 'topic', topicId: 'bbbb' })));
  expect(asked).toEqual(['1', '1']);
});

it.each([
  ['a topic that the broker does not know', { topic: 'orders', topicErrorCode: 3 }, { type: 'noTopic' }],
  ['a topic that the broker says nothing of', { topic: 'orders', topicErrorCode: 5 }, { type: 'noAnswer' }],
  ['an answer without the topic', { topic: 'others', topicErrorCode: 0 }, { type: 'noTopic' }],
])('%s is not taken for the same', async (_, said, answer) => {
  const { made } = group(() => Promise.resolve(said));
  expect(await answersOf((await made.fetch('1')).slice(0, 1))).toEqual([answer]);
});

it('a broker that fails is no answer, and one that is silent is waited for one second', async () => {
  const failing = group(() => Promise.reject(new Error('Connection closed')));
  expect(await answersOf(await failing.made.fetch('1'))).toEqual([{ type: 'noAnswer' }, { type: 'noAnswer' }]);
  const silent = group(() => new Promise(() => undefined));
  const batches = await silent.made.fetch('1');
  vi.useFakeTimers();
  const answers = answersOf(batches);
  await vi.advanceTimersByTimeAsync(1_000);
  vi.useRealTimers();
  expect(await answers).toEqual([{ type: 'noAnswer' }, { type: 'noAnswer' }]);
});

it('a broker that tells no ids is not asked', async () => {
  const { made, asked } = group(() => Promise.reject(new Error('it was asked')), 9);
  expect(await answersOf(await made.fetch('1'))).toEqual([{ type: 'topic' }, { type: 'topic' }]);
  expect(asked).toEqual([]);
});
