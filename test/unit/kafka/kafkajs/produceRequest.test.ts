import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Message } from 'kafkajs';
import { expect, it, vi } from 'vitest';
import { groupingItself } from '../../../../src/kafka/kafkajs/groupingItself.js';
import {
  encodeRequest,
  repairProduceRequests,
  type ProducedMessage,
  type ProduceRequest,
} from '../../../../src/kafka/kafkajs/produceRequest.js';
import { RecordSetReader } from '../../../../src/kafka/kafkajs/recordSet.js';

interface KafkajsRequest {
  readonly encode: () => Promise<{ readonly buffer: Buffer }>;
}
const requireModule = createRequire(import.meta.url);
const kafkajsRequest = requireModule('kafkajs/src/protocol/requests/produce/v3/request') as (
  asked: object,
) => KafkajsRequest;
const withHead = requireModule('kafkajs/src/protocol/request') as (
  asked: object,
) => Promise<{ readonly buffer: Buffer }>;
const groupByKafkajs = requireModule('kafkajs/src/producer/groupMessagesPerPartition') as (asked: object) => object;

const NOW_MS = 1_700_000_000_000;
const PLAIN = { acks: -1, timeout: 30_000, compression: 0, producerId: -1 };
const text = fc.string({ unit: 'binary' });
const bytes = fc.uint8Array().map((array) => Buffer.from(array));
const content = fc.oneof(text, bytes);
const headers = fc.dictionary(text, fc.oneof(content, fc.array(content)), { noNullPrototype: false });
const nullable = fc.option(content);
// kafkajs sorts timestamps as text.
const timestamp = fc.integer({ min: 1e12, max: 9e12 }).map(String);
const message: fc.Arbitrary<ProducedMessage> = fc.oneof(
  fc.record({ key: nullable, value: nullable }),
  fc.record({ key: nullable, value: nullable, headers }),
  fc.record({ key: nullable, value: nullable, headers, timestamp }),
);
const partitions = fc.array(fc.record({ partition: fc.nat(), messages: fc.array(message, { minLength: 1 }) }));
const topicData = fc.array(fc.record({ topic: text, partitions }), { maxLength: 3 });

/** kafkajs has deltas from the lowest timestamp. */
const lowestFirst = (messages: readonly ProducedMessage[]): ProducedMessage[] =>
  messages.toSorted((a, b) => Number(a.timestamp ?? NOW_MS) - Number(b.timestamp ?? NOW_MS));

function request(messages: readonly ProducedMessage[]): ProduceRequest {
  return { ...PLAIN, topicData: [{ topic: 'acks', partitions: [{ partition: 0, messages }] }] };
}

it('writes the bytes that kafkajs writes', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  await fc.assert(
    fc.asyncProperty(topicData, async (topics) => {
      const sorted = topics.map(({ topic, partitions: all }) => ({
        topic,
        partitions: all.map(({ partition, messages }) => {
          const withTimes = messages.every(({ timestamp }) => timestamp !== undefined);
          const alike = withTimes ? messages : messages.map(({ timestamp: _, ...rest }) => rest);
          return { partition, messages: lowestFirst(alike) };
        }),
      }));
      const asked = { ...PLAIN, topicData: sorted };
      const { buffer } = await kafkajsRequest(asked).encode();
      expect(encodeRequest(asked).equals(buffer)).toBe(true);
    }),
  );
});

it('writes long values and many messages as kafkajs does', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  const long = { key: null, value: 'ä'.repeat(300_000) };
  const asked = request([long, ...Array.from({ length: 20_000 }, (_, index) => ({ key: `${index}`, value: 'v' }))]);
  const { buffer } = await kafkajsRequest(asked).encode();
  expect(encodeRequest(asked).equals(buffer)).toBe(true);
});

it('writes a header without a value, an empty one, and timestamps in any order', async () => {
  const timestamps = ['1700000000000', '999', '-1', '1700000000001'];
  const own = { none: null, empty: '', some: [null, Buffer.from('x'), null], ['__proto__']: 'p' };
  const written = encodeRequest(
    request(timestamps.map((timestamp) => ({ key: 'k', value: null, headers: own, timestamp }))),
  );
  const before = 12 + 6 + 'acks'.length + 8;
  const bytesOfBatch = written.subarray(before);
  const batch = { topic: 'acks', partition: 0, errorCode: 0, bytes: bytesOfBatch, aborted: [] };
  const part = await new RecordSetReader(batch, 0).next(0);
  const records = part !== null && 'records' in part ? part.records : [];
  expect(records.map(({ timestampMs }) => String(timestampMs))).toEqual(timestamps);
  expect(bytesOfBatch.readBigInt64BE(35)).toBe(1_700_000_000_001n);
  const header = (name: string, value: string | null) => [name, value === null ? null : Buffer.from(value)];
  const expected = [header('none', null), header('empty', ''), header('some', null), header('some', 'x')];
  expect(records[0]).toMatchObject({ key: Buffer.from('k'), value: null });
  expect(records[0]?.headers).toEqual([...expected, header('some', null), header('__proto__', 'p')]);
});

it('writes the requests of a producer, unless they are compressed, of a transaction or idempotent', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  repairProduceRequests();
  const definition = requireModule('kafkajs/src/protocol/requests/produce') as {
    readonly protocol: (version: { version: number }) => (asked: object) => { readonly request: KafkajsRequest };
  };
  const asked = request([{ key: null, value: 'v', headers: { none: null } }]);
  const encode = (version: number, more: object) => {
    const { request: made } = definition.protocol({ version })({ ...asked, ...more });
    return withHead({ request: made, correlationId: 5, clientId: 'ktb' });
  };
  const body = encodeRequest(asked, NOW_MS);
  for (const version of [3, 7]) {
    const { buffer } = await encode(version, {});
    expect(buffer.subarray(-body.length).equals(body)).toBe(true);
    expect(buffer.readInt32BE(0)).toBe(buffer.length - 4);
    await expect(encode(version, { compression: 1 })).rejects.toThrow('null');
    await expect(encode(version, { transactionalId: 't' })).rejects.toThrow('null');
    await expect(encode(version, { producerId: '5' })).rejects.toThrow('null');
  }
});

it('groups messages as kafkajs does, in linear time', () => {
  const partitioner = ({ message: { key } }: { message: Message }) => Number(key) % 3;
  const messages: Message[] = Array.from({ length: 100 }, (_, index) => ({ key: `${index}`, value: 'v' }));
  const group = (list: Message[]) =>
    groupByKafkajs({ topic: 'acks', partitionMetadata: [{}], messages: list, partitioner });
  expect(group(groupingItself(messages))).toEqual(group(messages));
  const many = Array.from({ length: 200_000 }, (_, index) => ({ key: `${index}`, value: 'v' }));
  // kafkajs needs minutes for it.
  expect(Object.values(group(groupingItself(many))).map((list: Message[]) => list.length)).toEqual([
    66_667, 66_667, 66_666,
  ]);
});
