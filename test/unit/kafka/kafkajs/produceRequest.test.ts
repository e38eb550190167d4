import { createRequire } from 'node:module';
import fc from 'fast-check';
import type { Message } from 'kafkajs';
import { expect, it, vi } from 'vitest';
import { OutgoingBatch } from '../../../../src/kafka/kafkajs/outgoingBatch.js';
import {
  encodeProduceRequest,
  repairProduceRequests,
  type ProduceRequest,
} from '../../../../src/kafka/kafkajs/produceRequest.js';
import { RecordSetReader } from '../../../../src/kafka/kafkajs/recordSet.js';
import type { OutgoingMessage } from '../../../../src/kafka/outgoingMessage.js';
import { PackedMessage } from '../../../../src/kafka/packedMessage.js';

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

const NOW_MS = 1_700_000_000_000;
const PLAIN = { acks: -1, timeout: 30_000, compression: 0, producerId: -1 };
const text = fc.string({ unit: 'binary' });
const bytes = fc.uint8Array({ size: 'large' }).map((array) => Buffer.from(array));
const content = fc.oneof(text, bytes);
const headers = fc.dictionary(text, fc.oneof(content, fc.array(content)), { noNullPrototype: false });
const nullable = fc.option(content);
const message: fc.Arbitrary<OutgoingMessage> = fc.oneof(
  fc.record({ key: fc.option(bytes), value: nullable }),
  fc.record({ key: fc.option(bytes), value: nullable, headers }),
);
const partitions = fc.array(fc.record({ partition: fc.nat(), messages: fc.array(message, { minLength: 1 }) }));
const topicData = fc.array(fc.record({ topic: text, partitions }), { maxLength: 3 });

function batchOf(messages: readonly OutgoingMessage[]): OutgoingBatch {
  const batch = new OutgoingBatch();
  const packed = new PackedMessage();
  for (const each of messages) {
    packed.fill(each);
    batch.add(packed);
  }
  return batch;
}

function request(...values: readonly (OutgoingBatch | Message['value'])[]) {
  const messages = values.map((value) => ({ value }));
  return { ...PLAIN, topicData: [{ topic: 'acks', partitions: [{ partition: 0, messages }] }] };
}

it('writes the bytes that kafkajs writes', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  await fc.assert(
    fc.asyncProperty(topicData, async (topics) => {
      const { buffer } = await kafkajsRequest({ ...PLAIN, topicData: topics }).encode();
      const batches = topics.map(({ topic, partitions: all }) => ({
        topic,
        partitions: all.map(({ partition, messages }) => {
          return { partition, messages: [{ value: batchOf(messages) }] };
        }),
      }));
      expect(encodeProduceRequest({ ...PLAIN, topicData: batches }).equals(buffer)).toBe(true);
    }),
  );
});

it('writes long values and many messages as kafkajs does', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  const long = { key: null, value: 'ä'.repeat(300_000) };
  const short = Array.from({ length: 20_000 }, (_, index) => ({ key: Buffer.from(`${index}`), value: 'v' }));
  const messages = [short[0]!, long, ...short];
  const plain = { topic: 'acks', partitions: [{ partition: 0, messages }] };
  const { buffer } = await kafkajsRequest({ ...PLAIN, topicData: [plain] }).encode();
  expect(encodeProduceRequest(request(batchOf(messages))).equals(buffer)).toBe(true);
});

it('writes a key that is a part of a larger buffer as it writes the key alone', () => {
  const part = fc.tuple(bytes, fc.nat(), fc.nat());
  fc.assert(
    fc.property(part, ([keys, one, other]) => {
      const [from, to] = [one % (keys.length + 1), other % (keys.length + 1)].sort((a, b) => a - b) as [number, number];
      const packed = new PackedMessage();
      packed.setKeyIn(keys, from, to - from);
      packed.value = Buffer.from('v');
      const batch = new OutgoingBatch();
      batch.add(packed);
      const alone = batchOf([{ key: keys.subarray(from, to), value: 'v' }]);
      expect(encodeProduceRequest(request(batch), NOW_MS)).toEqual(encodeProduceRequest(request(alone), NOW_MS));
      expect(packed.toMessage()).toEqual({ key: keys.subarray(from, to), value: Buffer.from('v') });
    }),
  );
});

it('writes a header without a value, an empty one, and the time of the request', async () => {
  const own = { none: null, empty: '', some: [null, Buffer.from('x'), null], ['__proto__']: 'p' };
  const messages = Array.from({ length: 2 }, () => ({ key: Buffer.from('k'), value: null, headers: own }));
  const written = encodeProduceRequest(request(batchOf(messages)), NOW_MS);
  const before = 12 + 6 + 'acks'.length + 8;
  const batch = { topic: 'acks', partition: 0, errorCode: 0, bytes: written.subarray(before), aborted: [] };
  const part = await new RecordSetReader(batch, 0).next(0);
  const records = part !== null && 'records' in part ? part.records : [];
  expect(records.map(({ timestampMs }) => timestampMs)).toEqual([NOW_MS, NOW_MS]);
  const header = (name: string, value: string | null) => [name, value === null ? null : Buffer.from(value)];
  const expected = [header('none', null), header('empty', ''), header('some', null), header('some', 'x')];
  expect(records[0]).toMatchObject({ key: Buffer.from('k'), value: null });
  expect(records[0]?.headers).toEqual([...expected, header('some', null), header('__proto__', 'p')]);
});

it('writes the requests that have a batch for each partition. kafkajs writes all others, and takes no batch for a message', async () => {
  vi.spyOn(Date, 'now').mockReturnValue(NOW_MS);
  const definition = requireModule('kafkajs/src/protocol/requests/produce') as {
    readonly protocol: (version: { version: number }) => (asked: object) => { readonly request: KafkajsRequest };
  };
  const encode = async (version: number, asked: object, clientId = 'ktb') => {
    const { request: made } = definition.protocol({ version })(asked);
    return (await withHead({ request: made, correlationId: 5, clientId })).buffer;
  };
  const plain = request('v', null);
  const before = await Promise.all([3, 7].map((version) => encode(version, plain)));
  repairProduceRequests();
  expect(await Promise.all([3, 7].map((version) => encode(version, plain)))).toEqual(before);
  const asked: ProduceRequest = request(batchOf([{ key: null, value: 'v', headers: { none: null } }]));
  const body = encodeProduceRequest(asked, NOW_MS);
  for (const version of [3, 7]) {
    const buffer = await encode(version, asked);
    expect(buffer.subarray(-body.length).equals(body)).toBe(true);
    expect(buffer.readInt32BE(0)).toBe(buffer.length - 4);
    // What kafkajs writes before a request takes more room than there is.
    const long = await encode(version, asked, 'c'.repeat(1_000));
    expect(long.subarray(-body.length).equals(body)).toBe(true);
    const head = (of: Buffer) => of.subarray(4, 14);
    expect(head(long)).toEqual(Buffer.concat([head(buffer).subarray(0, 8), Buffer.from([1_000 >> 8, 1_000 & 0xff])]));
    expect(long.readInt32BE(0)).toBe(long.length - 4);
  }
  const batch = batchOf([{ key: null, value: 'v' }]);
  for (const [version, refused] of [
    [2, request(batch)],
    [7, request(batch, batch)],
    [7, request(batch, 'v')],
    [7, request('v', batch)],
  ] as const)
    await expect(encode(version, refused)).rejects.toThrow(/one record batch|no record batches/);
});

it('a released batch cannot be written any more', () => {
  const messages = [{ key: Buffer.from('k'), value: 'v'.repeat(1_000) }];
  const first = batchOf(messages);
  const written = encodeProduceRequest(request(first), NOW_MS);
  first.release();
  first.release();
  expect(() => encodeProduceRequest(request(first), NOW_MS)).toThrow('the brokers have this batch already');
  expect(encodeProduceRequest(request(batchOf(messages)), NOW_MS)).toEqual(written);
});

it('batches that are written in turn, released and not, have their own bytes', () => {
  const sizes = fc.array(fc.tuple(fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 12 }), fc.boolean()));
  fc.assert(
    fc.property(sizes, (all) => {
      const kept: { batch: OutgoingBatch; messages: OutgoingMessage[] }[] = [];
      for (const [index, [some, isReleased]] of all.entries()) {
        const messages = some.map((size) => ({
          key: null,
          value: String.fromCharCode(97 + (index % 26)).repeat(size),
        }));
        if (messages.length === 0) continue;
        const batch = batchOf(messages);
        if (isReleased) batch.release();
        else kept.push({ batch, messages });
      }
      for (const { batch, messages } of kept)
        expect(
          encodeProduceRequest(request(batch), NOW_MS).equals(encodeProduceRequest(request(batchOf(messages)), NOW_MS)),
        ).toBe(true);
    }),
    { numRuns: 30 },
  );
});

it('the head of a request is written before it, into the same memory, once', async () => {
  repairProduceRequests();
  const definition = requireModule('kafkajs/src/protocol/requests/produce') as {
    readonly protocol: (version: { version: number }) => (asked: object) => { readonly request: KafkajsRequest };
  };
  const asked = request(batchOf([{ key: null, value: 'v'.repeat(100_000) }]));
  const { request: made } = definition.protocol({ version: 7 })(asked);
  const body = await made.encode();
  const memory = body.buffer.buffer;
  const encode = () => Promise.resolve(body);
  const first = await withHead({ request: { ...made, encode }, correlationId: 1, clientId: 'ktb' });
  expect(first.buffer.buffer).toBe(memory);
  const before = Buffer.from(first.buffer);
  const second = await withHead({ request: { ...made, encode }, correlationId: 2, clientId: 'ktb' });
  expect(first.buffer.equals(before)).toBe(true);
  expect(second.buffer.readInt32BE(8)).toBe(2);
  expect(second.buffer.subarray(12).equals(before.subarray(12))).toBe(true);
});
