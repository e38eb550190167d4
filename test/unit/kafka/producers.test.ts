import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Kafka, Message, PartitionerArgs, PartitionMetadata, ProducerConfig, ProducerRecord } from 'kafkajs';
import { afterEach, expect, it, vi } from 'vitest';
import { Acknowledgements } from '../../../src/activities/acks.js';
import { encodeRecords } from '../../../src/codecs/encodeColumns.js';
import { decodeColumns } from '../../../src/codecs/decodeColumns.js';
import { OutgoingBatch } from '../../../src/kafka/kafkajs/outgoingBatch.js';
import { encodeProduceRequest } from '../../../src/kafka/kafkajs/produceRequest.js';
import { RecordSetReader } from '../../../src/kafka/kafkajs/recordSet.js';
import { MessageArray, type MessageList } from '../../../src/kafka/messageList.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import { producerFactory } from '../../../src/kafka/producers.js';
import { anyRecords } from '../../support/records.js';

afterEach(() => void vi.restoreAllMocks());

const requireModule = createRequire(import.meta.url);
const group = requireModule('kafkajs/src/producer/groupMessagesPerPartition') as (
  asked: object,
) => Record<string, Message[]>;
const createDefaultPartitioner = requireModule('kafkajs/src/producer/partitioners/default') as () => (
  args: PartitionerArgs,
) => number;
const kafkajsRequest = requireModule('kafkajs/src/protocol/requests/produce/v3/request') as (asked: object) => {
  encode: () => Promise<{ buffer: Buffer }>;
};

const NOW_MS = 1_700_000_000_000;
const REQUEST = { acks: -1, timeout: 30_000, compression: 0, producerId: -1 };
const topicDataOf = (topic: string, groups: Record<string, Message[]>) => [
  { topic, partitions: Object.entries(groups).map(([id, messages]) => ({ partition: Number(id), messages })) },
];

const metadataOf = (partitions: number) =>
  Array.from({ length: partitions }, (_, id) => ({ partitionId: id, leader: 1 }) as PartitionMetadata);

/** A request, as it was sent. */
interface Sent {
  readonly body: Buffer;
  readonly batches: readonly { readonly partition: number; readonly bytes: Buffer }[];
}

function sentOf(topicData: ReturnType<typeof topicDataOf>): Sent {
  const batches = topicData.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, messages }) => {
      const alone = [{ topic, partitions: [{ partition, messages }] }];
      const request = encodeProduceRequest({ ...REQUEST, topicData: alone }, NOW_MS);
      return { partition, bytes: request.subarray(12 + 6 + topic.length + 8) };
    }),
  );
  return { body: encodeProduceRequest({ ...REQUEST, topicData }, NOW_MS), batches };
}

/**
 * kafkajs with one topic. Its producer groups messages as kafkajs does, and again for each retry.
 *
 * @param left partitions that each send in turn leaves out, with success
 */
function kafkajsWith(partitions: number, { left = [] as number[][], retries = 0 } = {}) {
  const state = { partitions, groupings: 0, requests: [] as Sent[] };
  const producer = ({ createPartitioner }: ProducerConfig) => {
    const partitioner = createPartitioner?.();
    const send = ({ topic, messages }: ProducerRecord) => {
      let groups: Record<string, Message[]> = {};
      for (let attempt = 0; attempt <= retries; attempt++) {
        if (attempt > 0) state.partitions++;
        state.groupings++;
        groups = group({ topic, partitionMetadata: metadataOf(state.partitions), messages, partitioner });
      }
      const leftOut = left.shift() ?? [];
      const taken = Object.entries(groups).filter(([id]) => !leftOut.includes(Number(id)));
      // Read at once: a batch that was taken is released.
      state.requests.push(sentOf(topicDataOf(topic, Object.fromEntries(taken))));
      return Promise.resolve(taken.map(([id]) => ({ topicName: topic, partition: Number(id), errorCode: 0 })));
    };
    return {
      connect: () => Promise.resolve(),
      disconnect: () => Promise.resolve(),
      send: (record: ProducerRecord) => Promise.resolve(record).then(send),
    };
  };
  return { state, create: producerFactory({ producer } as unknown as Kafka) };
}

/** The bodies of the requests that a producer makes of messages, for a topic with so many partitions. */
async function bodiesOf(messages: MessageList, partitions: number): Promise<Buffer[]> {
  const { state, create } = kafkajsWith(partitions);
  await create().send('acks', messages);
  return state.requests.map(({ body }) => body);
}

/** The values of a request, by partition. */
async function valuesOf({ batches }: Sent): Promise<Record<string, string[]>> {
  const values: Record<string, string[]> = {};
  for (const { partition, bytes } of batches) {
    const part = await new RecordSetReader({ topic: 'acks', partition, errorCode: 0, bytes, aborted: [] }, 0).next(0);
    values[partition] = part !== null && 'records' in part ? part.records.map(({ value }) => String(value)) : [];
  }
  return values;
}

const list = (...messages: OutgoingMessage[]) => new MessageArray(messages);
const keyless = (count: number) => list(...Array.from({ length: count }, (_, id) => ({ key: null, value: `${id}` })));

it('sends the bytes that kafkajs would send, each message to the partition that it would choose', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  const bytes = fc.uint8Array().map((array) => Buffer.from(array));
  const anyMessage = fc.oneof(
    fc.record({ key: bytes, value: fc.oneof(bytes, fc.string(), fc.constant(null)) }),
    fc.record({ key: fc.option(bytes), value: bytes, partition: fc.nat(3) }),
    fc.record({ key: bytes, value: bytes, headers: fc.dictionary(fc.string(), bytes) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(anyMessage, { minLength: 1 }), fc.integer({ min: 4, max: 9 }), async (all, count) => {
      const partitioner = createDefaultPartitioner();
      const groups = group({ topic: 'acks', partitionMetadata: metadataOf(count), messages: all, partitioner });
      const byKafkajs = await kafkajsRequest({ ...REQUEST, topicData: topicDataOf('acks', groups) }).encode();
      expect(await bodiesOf(list(...all), count)).toEqual([byKafkajs.buffer]);
    }),
  );
});

it('sends the same bytes for the acknowledgements of decoded records as for those of objects', async () => {
  await fc.assert(
    fc.asyncProperty(anyRecords, fc.constantFrom('inserted', 'rejected'), async (all, status) => {
      fc.pre(all.length > 0);
      const source = { topic: 'orders', partition: 3, epoch: 'e1' };
      const decoded = decodeColumns(encodeRecords(all));
      const acksOf = (records: typeof all) =>
        new Acknowledgements(
          records.map((record) => ({ source, record })),
          ['a', '__proto__'],
          status,
          'batch',
        );
      const packed = acksOf(decoded);
      const bodies = await bodiesOf(packed, 5);
      expect(await bodiesOf(acksOf(all), 5)).toEqual(bodies);
      expect(await bodiesOf(list(...packed), 5)).toEqual(bodies);
    }),
  );
});

it('messages without a key go to one partition after the other', async () => {
  const { state, create } = kafkajsWith(3);
  const producer = create();
  await producer.send('acks', keyless(3));
  await producer.send('acks', keyless(4));
  const [first = {}, second = {}] = await Promise.all(state.requests.map(valuesOf));
  for (const values of [first, second]) expect(Object.keys(values)).toEqual(['0', '1', '2']);
  expect(Object.values(first).map((some) => some.length)).toEqual([1, 1, 1]);
  expect(
    Object.values(second)
      .map((some) => some.length)
      .sort(),
  ).toEqual([1, 1, 2]);
});

it('sends again what kafkajs has left out with success, because a leader had moved to a broker that had answered', async () => {
  const { state, create } = kafkajsWith(6, { left: [[1, 2], [2]] });
  const messages = Array.from({ length: 6 }, (_, partition) => ({ key: null, value: `${partition}`, partition }));
  await create().send('acks', list(...messages));
  const sent = await Promise.all(state.requests.map(valuesOf));
  expect(sent).toEqual([{ 0: ['0'], 3: ['3'], 4: ['4'], 5: ['5'] }, { 1: ['1'] }, { 2: ['2'] }]);
});

it('releases the batches that the brokers have, and those only', async () => {
  const release = vi.spyOn(OutgoingBatch.prototype, 'release');
  const messages = [0, 1, 2].map((partition) => ({ key: null, value: `${partition}`, partition }));
  await kafkajsWith(3)
    .create()
    .send('acks', list(...messages));
  expect(release).toHaveBeenCalledTimes(3);
  const { create } = kafkajsWith(3, { left: [[2], [2]] });
  await expect(create().send('acks', list(...messages))).rejects.toThrow('there is no partition 2');
  expect(release).toHaveBeenCalledTimes(3);
});

it('rejects where nothing is taken, as of a partition that does not exist', async () => {
  const { create } = kafkajsWith(3, { left: [[7], [7]] });
  const messages = list({ key: null, value: 'a', partition: 0 }, { key: null, value: 'b', partition: 7 });
  await expect(create().send('acks', messages)).rejects.toThrow('there is no partition 7');
});

it('divides by the number of partitions that kafkajs knows, also if that has changed', async () => {
  const key = Buffer.from('foobar');
  // murmur2("foobar") of Apache Kafka's own test, -790332482, without its sign bit.
  const hash = -790332482 & 0x7fffffff;
  const { state, create } = kafkajsWith(6);
  const producer = create();
  const sendOne = async () => {
    await producer.send('acks', list({ key, value: 'v' }));
    return Object.keys(await valuesOf(state.requests.at(-1)!)).map(Number);
  };
  expect(await sendOne()).toEqual([hash % 6]);
  const before = state.groupings;
  expect(await sendOne()).toEqual([hash % 6]);
  expect(state.groupings).toBe(before + 1);
  state.partitions = 7;
  expect(await sendOne()).toEqual([hash % 7]);
  state.partitions = 2;
  expect(await sendOne()).toEqual([hash % 2]);
});

it('a retry sends messages to the partitions of the first attempt, although the topic has got more meanwhile', async () => {
  const { state, create } = kafkajsWith(6, { retries: 2 });
  const producer = create();
  const ids = Array.from({ length: 50 }, (_, id) => ({ key: Buffer.from(`${id}`), value: `${id}` }));
  await producer.send('acks', list(...ids));
  // Not its first request: for that one the producer does not know yet how many there are.
  const partitions = state.partitions;
  await producer.send('acks', list(...ids));
  expect(state.partitions).toBe(partitions + 2);
  const expected = group({
    topic: 'acks',
    partitionMetadata: metadataOf(partitions),
    messages: ids,
    partitioner: createDefaultPartitioner(),
  });
  const values = Object.entries(expected).map(([id, messages]) => [id, messages.map(({ value }) => value)]);
  expect(await valuesOf(state.requests.at(-1)!)).toEqual(Object.fromEntries(values));
});

it('gives up on a topic of which brokers tell another number of partitions at each attempt', async () => {
  const { state, create } = kafkajsWith(1);
  let told = 1;
  Object.defineProperty(state, 'partitions', { get: () => ++told });
  await expect(create().send('acks', keyless(1))).rejects.toThrow(/^the topic has \d+ partitions$/);
  expect(state.requests).toEqual([]);
});

it('a producer that is given up sends nothing more', async () => {
  const { state, create } = kafkajsWith(1);
  const producer = create();
  await producer.disconnect();
  await expect(producer.send('acks', keyless(1))).rejects.toThrow('not used any more');
  expect(state.requests).toEqual([]);
});
