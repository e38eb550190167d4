import { randomBytes } from 'node:crypto';
import { KafkaJSProtocolError } from 'kafkajs';
import { expect, it } from 'vitest';
import { publishDeadLetters, publishForeignLetters } from '../../../src/kafka/deadLetters.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import type { MessageProducer } from '../../../src/kafka/producers.js';
import { Publisher } from '../../../src/kafka/publisher.js';
import { decodeChunk, markOf } from '../../../src/codecs/chunkCodec.js';
import { createSetAside } from '../../../src/kafka/setAside.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';
import { RECORD_MEMORY_BYTES_MAX } from '../../../src/protocol/recordLimit.js';
import { chunkOf, settings } from '../../support/chunks.js';
import type { KafkaRecord, RecordHeader } from '../../../src/protocol/record.js';
import { record } from '../../support/records.js';

const source = { topic: 'orders', partition: 3, epoch: 'e1' };
const rejection = { code: REJECTION_CODES.refused, message: 'why' };

const partBytes = (part: Buffer | string | null) => (part === null ? 0 : Buffer.byteLength(part));

const refused = (type: string) =>
  Promise.reject(new KafkaJSProtocolError({ type, code: 1, retriable: false, message: type } as never));

/** A broker that refuses a request over a size, and what is invalid. */
function broker(maxBytes: number, { invalid = (_: OutgoingMessage): boolean => false } = {}) {
  const accepted: OutgoingMessage[] = [];
  const send: MessageProducer['send'] = (_, list) => {
    const messages = [...list];
    const bytes = messages.flatMap(({ key = null, value, headers = {} }) => [
      partBytes(key),
      partBytes(value),
      ...Object.values(headers).flatMap((values) => [values ?? ''].flat().map(partBytes)),
    ]);
    if (bytes.reduce((sum, part) => sum + part) > maxBytes) return refused('MESSAGE_TOO_LARGE');
    if (messages.some(invalid)) return refused('INVALID_RECORD');
    accepted.push(...messages);
    return Promise.resolve();
  };
  const producer = { send, connect: () => Promise.resolve(), disconnect: () => Promise.resolve() };
  return { accepted, publisher: new Publisher({ createProducer: () => producer }) };
}

it('publishes a record as it was, with its key and its headers', async () => {
  const { accepted, publisher } = broker(1e9);
  const rejected = record(5, {
    key: Buffer.from([0xff]),
    value: Buffer.from([0xfe]),
    headers: [['a', Buffer.from('1')]],
  });
  await publishDeadLetters(publisher, 'dead', 'orders', [{ source, record: rejected, rejection }]);
  expect(accepted[0]).toMatchObject({
    key: Buffer.from([0xff]),
    value: Buffer.from([0xfe]),
  });
  expect(accepted[0]?.headers?.['a']).toEqual([Buffer.from('1')]);
});

it('leaves out only the value that is too large for the topic, and marks it', async () => {
  const { accepted, publisher } = broker(1_000);
  const letters = [100, 5_000, 100].map((bytes, offset) => ({
    source,
    record: record(offset, { value: Buffer.alloc(bytes) }),
    rejection,
  }));
  await publishDeadLetters(publisher, 'dead', 'orders', letters);
  expect(accepted.map(({ value }) => value?.length ?? null)).toEqual([100, null, 100]);
  expect(accepted[1]?.headers?.['ktb.value.omitted.bytes']).toBe('5000');
});

/** The one dead letter of a record, by a broker that takes so many bytes a request. */
async function letterOf(maxBytes: number, parts: Partial<KafkaRecord>) {
  const { accepted, publisher } = broker(maxBytes);
  await publishDeadLetters(publisher, 'dead', 'orders', [{ source, record: record(5, parts), rejection }]);
  expect(accepted).toHaveLength(1);
  const { key, value, headers = {} } = accepted[0]!;
  const marks = Object.entries(headers).filter(([name]) => name.endsWith('.omitted.bytes'));
  return { key, value, headers, marks: Object.fromEntries(marks) };
}

it('leaves the largest part out first, and as little as it takes', async () => {
  const [small, large] = [Buffer.from('small'), Buffer.alloc(5_000)];
  expect(await letterOf(1_000, { key: large, value: small, headers: [['a', small]] })).toMatchObject({
    key: null,
    value: small,
    headers: { a: [small] },
    marks: { 'ktb.key.omitted.bytes': '5000' },
  });
  const lost = await letterOf(1_000, {
    key: small,
    value: small,
    headers: [
      ['a', large],
      ['__connect.errors.exception.message', large],
    ],
  });
  expect(lost).toMatchObject({ key: small, value: small });
  expect(Object.keys(lost.marks)).toEqual(['ktb.headers.omitted.bytes']);
  expect(lost.headers).not.toHaveProperty('a');
  expect(String(lost.headers['__connect.errors.exception.message'])).toBe('why');
  expect(await letterOf(1_000, { key: large, value: large, headers: [['a', large]] })).toMatchObject({
    key: null,
    value: null,
    marks: {
      'ktb.value.omitted.bytes': '5000',
      'ktb.key.omitted.bytes': '5000',
      'ktb.headers.omitted.bytes': expect.any(String) as string,
    },
  });
});

it('gives up on a dead letter only where its topic does not even take the reasons, and holds no other up', async () => {
  const { accepted, publisher } = broker(50);
  const publish = (topic: string) =>
    publishDeadLetters(publisher, topic, 'orders', [{ source, record: record(5), rejection }]);
  await expect(publish('dead')).rejects.toThrow('topic dead takes no messages: a message is larger than it takes');
  await publisher.publish('dead', [{ key: null, value: 'short' }]);
  expect(accepted).toHaveLength(1);
});

it('every letter has the time of now, and in a header that of what it is about: by its own, Kafka would delete it', async () => {
  const { accepted, publisher } = broker(1_000);
  const rejected = [7, -1, 1.7e18].map((timestampMs, offset) => {
    return { source, record: record(offset, { timestampMs, value: Buffer.alloc(5_000) }), rejection };
  });
  await publishDeadLetters(publisher, 'dead', 'orders', rejected);
  const batch = { pipeline: 'orders', batcher: 'ktb:orders:8-key:2', deadLetterTopic: 'dead' };
  await publishForeignLetters(publisher, { ...batch, signals: [{ name: 'odd', value: '[]', size: 2, atMs: 8 }] });
  expect(accepted.some((message) => 'timestamp' in message)).toBe(false);
  expect(accepted.map(({ headers }) => String(headers?.['ktb.timestamp']))).toEqual([
    '7',
    '-1',
    '1700000000000000000',
    '8',
  ]);
});

it('puts a record that is too large for a signal aside and leaves a stub that can still be acknowledged', async () => {
  const { accepted, publisher } = broker(1e9);
  const setAside = createSetAside(publisher, settings(), createMetrics({ runtime: false }));
  const large = record(5, {
    value: Buffer.alloc(3_000_000),
    headers: [
      ['kafka_correlationId', Buffer.from('id')],
      ['huge', Buffer.alloc(20_000)],
    ],
  });
  const stub = await setAside(source, large);
  expect(accepted[0]?.value?.length).toBe(3_000_000);
  expect(stub).toMatchObject({
    offset: 5,
    key: large.key,
    value: null,
    headers: [['kafka_correlationId', Buffer.from('id')]],
  });
  expect(stub.tooLargeBytes).toBeGreaterThan(3_000_000);
});

it('leaves a stub that keeps nothing of the large record in memory', async () => {
  const setAside = createSetAside(broker(1e9).publisher, settings(), createMetrics({ runtime: false }));
  const fetched = Buffer.alloc(4_000_000);
  const own = fetched.subarray(0, 5);
  const stub = await setAside(
    source,
    record(5, { key: own, value: fetched.subarray(5), headers: [['kafka_correlationId', own]] }),
  );
  expect([stub.key, stub.headers[0]?.[1]]).toEqual([own, own]);
  expect([stub.key, stub.headers[0]?.[1]].some((bytes) => bytes?.buffer === fetched.buffer)).toBe(false);
});

const manyHeaders = Array.from({ length: RECORD_MEMORY_BYTES_MAX / 200 }, (): RecordHeader => ['h', null]);

it.each<[string, Partial<KafkaRecord>, Record<string, string | undefined>]>([
  ['value', { value: Buffer.alloc(RECORD_MEMORY_BYTES_MAX) }, { value: String(RECORD_MEMORY_BYTES_MAX) }],
  ['key', { key: Buffer.alloc(RECORD_MEMORY_BYTES_MAX) }, { key: String(RECORD_MEMORY_BYTES_MAX) }],
  ['headers', { headers: manyHeaders }, { headers: String(17 * manyHeaders.length + 16) }],
  [
    'value and key',
    { value: Buffer.alloc(2 * RECORD_MEMORY_BYTES_MAX), key: Buffer.alloc(RECORD_MEMORY_BYTES_MAX) },
    { value: String(2 * RECORD_MEMORY_BYTES_MAX), key: String(RECORD_MEMORY_BYTES_MAX) },
  ],
])(
  'of a record larger than one may be its dead letter lacks the %s, whatever its topic takes',
  async (_, parts, omitted) => {
    const { accepted, publisher } = broker(1e9);
    const large = record(5, parts);
    // As a consumer has it, and as a worker has it out of a chunk that was accepted before there was a limit.
    const { meta, body } = chunkOf({ ...source, from: 4, to: 5, records: [large] });
    const [decoded] = decodeChunk(meta.segments, body)[0]!.records;
    for (const own of [large, decoded!])
      await publishDeadLetters(publisher, 'dead', 'orders', [{ source, record: own, rejection }]);
    for (const { key, value, headers } of accepted) {
      // By their sizes: to print how buffers of 16 MiB differ takes minutes.
      expect(key?.length).toBe(omitted['key'] === undefined ? large.key?.length : undefined);
      expect(value?.length).toBe(omitted['value'] === undefined ? large.value?.length : undefined);
      expect(Object.keys(headers ?? {})).not.toContain('h');
      expect(String(headers?.['ktb.timestamp'])).toBe(String(large.timestampMs));
      expect(headers?.['__connect.errors.offset']).toEqual([Buffer.from('5')]);
      for (const part of ['value', 'key', 'headers'])
        expect(headers?.[`ktb.${part}.omitted.bytes`]).toBe(omitted[part]);
    }
    expect(accepted).toHaveLength(2);
  },
);

it('puts a record that no chunk can carry aside with what can be carried of it, and leaves a stub that can', async () => {
  const { accepted, publisher } = broker(1e9);
  const setAside = createSetAside(publisher, settings(), createMetrics({ runtime: false }));
  const good: RecordHeader = ['kafka_correlationId', Buffer.from('id')];
  const wrong = { timestampMs: NaN, key: 'text', headers: [['toString', () => 0], good] };
  const stub = await setAside(source, { ...record(5), ...wrong } as unknown as KafkaRecord);
  expect(accepted).toHaveLength(1);
  expect(accepted[0]).toMatchObject({ key: null, value: record(5).value });
  expect(String(accepted[0]?.headers?.['__connect.errors.exception.message'])).toMatch(
    /no signal to Temporal can carry/,
  );
  expect(stub).toMatchObject({ offset: 5, timestampMs: -1, key: null, value: null, headers: [good], tooLargeBytes: 0 });
  expect(chunkOf({ ...source, from: 4, to: 5, records: [stub] }).meta.records).toBe(1);
});

it('marks a chunk that ends with a stub by the original, which is what the log is known again by', async () => {
  const setAside = createSetAside(broker(1e9).publisher, settings(), createMetrics({ runtime: false }));
  const large = record(5, { key: Buffer.alloc(20_000, 'k'), value: Buffer.alloc(3_000_000) });
  const { meta, body } = chunkOf({ ...source, from: 4, to: 5, records: [await setAside(source, large)] });
  expect(meta.segments[0]?.mark).toEqual(markOf(large));
  expect(body.length).toBeLessThan(1_000);
});

it.each<[string, RecordHeader[]]>([
  ['one name of 1.7 MB', [[randomBytes(850_000).toString('hex'), null]]],
  ['a hundred names of 17 KB', Array.from({ length: 100 }, () => [randomBytes(8_500).toString('hex'), null] as const)],
  [
    'a hundred thousand small names',
    Array.from({ length: 100_000 }, (_, index) => [index.toString(36), null] as const),
  ],
  ['large names and values', Array.from({ length: 32 }, (_, index) => [`${index}`.repeat(8_000), randomBytes(16_000)])],
])('a stub is small as a whole, also of a record with %s, and is never set aside again', async (_, headers) => {
  const { accepted, publisher } = broker(1e9);
  const setAside = createSetAside(publisher, settings(), createMetrics({ runtime: false }));
  const asking: RecordHeader = ['kafka_correlationId', Buffer.from('id')];
  const stub = await setAside(source, record(5, { value: null, headers: [...headers, asking] }));
  expect(chunkOf({ ...source, from: 4, to: 5, records: [stub] }).body.length).toBeLessThan(20_000);
  expect(stub.headers.at(-1)).toEqual(asking);
  expect(await setAside(source, stub)).toEqual({ ...stub, key: null, headers: [] });
  expect(accepted).toHaveLength(1);
});

it('gives a dead letter a key where the topic is compacted, and marks it; the others stay as they are', async () => {
  const { accepted, publisher } = broker(1e9, { invalid: ({ key }) => key === null });
  const keys = [Buffer.from('k'), null, Buffer.from('l'), null];
  const letters = keys.map((key, offset) => ({ source, record: record(offset, { key }), rejection }));
  await publishDeadLetters(publisher, 'dead', 'orders', letters);
  expect(accepted.map(({ key }) => String(key))).toEqual(['k', 'orders/3/1', 'l', 'orders/3/3']);
  expect(accepted.map(({ headers }) => headers?.['ktb.key.added'])).toEqual([undefined, '1', undefined, '1']);
  expect(accepted.map(({ value }) => String(value))).toEqual(letters.map((letter) => String(letter.record.value)));
});

it.each<[string, (message: OutgoingMessage) => boolean]>([
  ['values', ({ value }) => value !== null],
  ['keys', ({ key }) => key?.toString() !== 'orders/3/5'],
  ['headers', ({ headers }) => headers?.['own'] !== undefined],
])('takes out of a dead letter what a topic with a schema for %s refuses', async (_, invalid) => {
  const { accepted, publisher } = broker(1_000, { invalid });
  const parts = { key: Buffer.from('k'), value: Buffer.alloc(2_000), headers: [['own', Buffer.from('1')]] as const };
  await publishDeadLetters(publisher, 'dead', 'orders', [{ source, record: record(5, parts), rejection }]);
  expect(accepted).toHaveLength(1);
  expect(accepted[0]?.headers?.['__connect.errors.offset']).toBeDefined();
});

it('keeps a header without a value apart from an empty one', async () => {
  const { accepted, publisher } = broker(1e9);
  const headers: RecordHeader[] = [
    ['a', null],
    ['a', Buffer.alloc(0)],
  ];
  await publishDeadLetters(publisher, 'dead', 'orders', [{ source, record: record(5, { headers }), rejection }]);
  expect(accepted[0]?.headers?.['a']).toEqual([null, Buffer.alloc(0)]);
});
