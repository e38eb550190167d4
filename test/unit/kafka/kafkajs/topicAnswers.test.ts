import { afterEach, expect, it, vi } from 'vitest';
import type { KafkajsBatch } from '../../../../src/kafka/kafkajs/fetchedBatch.js';
import { internalModule } from '../../../../src/kafka/kafkajs/internals.js';
import { repairKafkajs } from '../../../../src/kafka/kafkajs/repairs.js';
import { nothing, readingGroup } from '../../../support/readingGroup.js';
import { fetchResponse, recordBatch } from '../../../support/recordBatches.js';

repairKafkajs();
afterEach(() => void vi.useRealTimers());

const PARTITIONS = [0, 1];
const FETCH = 1;

/**
 * kafkajs's own consumer group, with brokers that give a record of each partition.
 *
 * @param answer what a broker says of the topic, over the connection of fetches
 */
function group(answer: (nodeId: string) => Promise<object>, metadataVersion = 10, topics = ['orders']) {
  const { decode, parse } = internalModule('protocol/requests/fetch/v11/response') as {
    decode: (bytes: Buffer) => Promise<{ responses: object[] }>;
    parse: (data: object) => Promise<object>;
  };
  const asked: string[] = [];
  const brokerOf = (nodeId: string) => ({
    versions: { 3: { minVersion: 0, maxVersion: metadataVersion } },
    fetch: async () => {
      const records = recordBatch({ base: 0, records: [{ delta: 0 }] });
      const partitions = PARTITIONS.map((partition) => ({ partition, errorCode: 0, records }));
      const answers = await Promise.all(topics.map((topic) => decode(fetchResponse(topic, partitions))));
      return parse({ ...answers[0], responses: answers.flatMap(({ responses }) => responses) });
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
  const made = readingGroup(cluster, PARTITIONS, { topics });
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

it('a broker that fails is no answer, and one that is silent is waited for one second at first', async () => {
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

/** What is answered of the next batches, and how long that takes, while time is fake. */
async function timed({ made }: ReturnType<typeof group>) {
  const batches = await made.fetch('1');
  const askedAtMs = performance.now();
  const answers = answersOf(batches);
  const tookMs: number[] = [];
  void answers.then(() => tookMs.push(performance.now() - askedAtMs));
  while (tookMs.length === 0) await vi.advanceTimersByTimeAsync(500);
  return { type: (await answers)[0]!.type, tookMs: tookMs[0]! };
}

it('a broker that answers late is waited for longer with each question in a row', async () => {
  vi.useFakeTimers();
  let lateMs = 5_000;
  const slow = group(
    () =>
      new Promise((resolve) => setTimeout(resolve, lateMs, { topic: 'orders', topicErrorCode: 0, topicId: 'aaaa' })),
  );
  for (const tookMs of [1_000, 2_000, 4_000]) expect(await timed(slow)).toEqual({ type: 'noAnswer', tookMs });
  expect(await timed(slow)).toEqual({ type: 'topic', tookMs: 5_000 });
  // It has answered, so the next wait is a short one again.
  lateMs = 60_000;
  for (const tookMs of [1_000, 2_000]) expect(await timed(slow)).toEqual({ type: 'noAnswer', tookMs });
});

it('a question to a silent broker ends when kafkajs gives it up, however many there were before', async () => {
  vi.useFakeTimers();
  const silent = group(
    () => new Promise((_, reject) => setTimeout(reject, 30_000, new Error('Request Metadata timed out'))),
  );
  for (let count = 0; count < 40; count++) {
    const { type, tookMs } = await timed(silent);
    expect(type).toBe('noAnswer');
    expect(tookMs).toBe(Math.min(2 ** count * 1_000, 30_000));
  }
});

it('after one question without an answer the broker is asked for no other topic of the same fetch', async () => {
  vi.useFakeTimers();
  const { made, asked } = group(() => new Promise(() => undefined), 10, ['orders', 'others']);
  const [orders, , others] = await made.fetch('1');
  const first = orders!.askTopic!().answer;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await first).toEqual({ type: 'noAnswer' });
  expect(await others!.askTopic!().answer).toEqual({ type: 'noAnswer' });
  expect(asked).toEqual(['1']);
});

it('a broker that says nothing of one topic is asked for the others', async () => {
  const { made } = group(() => Promise.resolve({ topic: 'orders', topicErrorCode: 5 }), 10, ['orders', 'others']);
  const [orders, , others] = await made.fetch('1');
  expect(await answersOf([orders!])).toEqual([{ type: 'noAnswer' }]);
  expect(await answersOf([others!])).toEqual([{ type: 'noTopic' }]);
});

it('a broker that tells no ids is not asked', async () => {
  const { made, asked } = group(() => Promise.reject(new Error('it was asked')), 9);
  expect(await answersOf(await made.fetch('1'))).toEqual([{ type: 'topic' }, { type: 'topic' }]);
  expect(asked).toEqual([]);
});
