import { KafkaJSProtocolError, type Message, type Producer, type ProducerRecord } from 'kafkajs';
import { expect, it } from 'vitest';
import { publishDeadLetters } from '../../../src/kafka/deadLetters.js';
import { createPartitioner, Publisher } from '../../../src/kafka/publisher.js';
import { encodeChunk, markOf } from '../../../src/records/chunkCodec.js';
import { createSetAside } from '../../../src/kafka/setAside.js';
import { createMetrics } from '../../../src/telemetry/metrics.js';
import { REJECTION_CODES } from '../../../src/records/ack.js';
import { settings } from '../../support/chunks.js';
import { record } from '../../support/records.js';

const source = { topic: 'orders', partition: 3, epoch: 'e1' };
const rejection = { code: REJECTION_CODES.refused, message: 'why' };

/** A broker that refuses a request over a size. */
function broker(maxBytes: number) {
  const accepted: Message[] = [];
  const choose = createPartitioner();
  const partitionMetadata = [{}] as never;
  const send = ({ topic, messages }: ProducerRecord) => {
    const bytes = messages.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
    if (bytes > maxBytes) {
      const error = { type: 'MESSAGE_TOO_LARGE', code: 10, retriable: false, message: 'too large' };
      return Promise.reject(new KafkaJSProtocolError(error as never));
    }
    accepted.push(...messages);
    return Promise.resolve(messages.map((message) => ({ partition: choose({ topic, partitionMetadata, message }) })));
  };
  const producer = { send, connect: () => Promise.resolve() };
  return { accepted, publisher: new Publisher({ createProducer: () => producer as unknown as Producer }) };
}

it('publishes a record as it was, with its key, its timestamp and its headers', async () => {
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
    timestamp: String(rejected.timestampMs),
  });
  expect(accepted[0]?.headers?.['a']).toEqual([Buffer.from('1')]);
});

it('gives a record from the future the time of now, since a topic refuses others, and says what it was', async () => {
  const { accepted, publisher } = broker(1e9);
  const inAnHour = Date.now() + 60 * 60_000;
  const letters = [Date.now(), inAnHour, 1.7e18].map((timestampMs, offset) => {
    return { source, record: record(offset, { timestampMs }), rejection };
  });
  await publishDeadLetters(publisher, 'dead', 'orders', letters);
  expect(accepted.map(({ timestamp }) => timestamp)).toEqual([
    String(letters[0]?.record.timestampMs),
    undefined,
    undefined,
  ]);
  expect(accepted.map(({ headers }) => headers?.['ktb.timestamp.omitted'])).toEqual([
    undefined,
    String(inAnHour),
    '1700000000000000000',
  ]);
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

it('marks a chunk that ends with a stub by the original, which is what the log is known again by', async () => {
  const setAside = createSetAside(broker(1e9).publisher, settings(), createMetrics({ runtime: false }));
  const large = record(5, { key: Buffer.alloc(20_000, 'k'), value: Buffer.alloc(3_000_000) });
  const { meta, body } = encodeChunk([{ ...source, from: 4, to: 5, records: [await setAside(source, large)] }]);
  expect(meta.segments[0]?.mark).toEqual(markOf(large));
  expect(body.length).toBeLessThan(1_000);
});
