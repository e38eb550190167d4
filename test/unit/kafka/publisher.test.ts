import type { Message, Producer, ProducerRecord } from 'kafkajs';
import { expect, it } from 'vitest';
import { createPartitioner, Publisher } from '../../../src/kafka/publisher.js';

function recordingProducer() {
  const sent: { topic: string; messages: Message[] }[] = [];
  const producer = {
    connect: () => Promise.resolve(),
    send: ({ topic, messages }: ProducerRecord) => {
      sent.push({ topic, messages });
      return Promise.resolve([]);
    },
  };
  return { sent, publisher: new Publisher({ createProducer: () => producer as unknown as Producer }) };
}

it('splits what brokers would refuse as one request, and keeps the order', async () => {
  const { sent, publisher } = recordingProducer();
  const messages = Array.from({ length: 25 }, (_, index) => ({ key: null, value: Buffer.alloc(100_000, index) }));
  await publisher.publish('replies', messages);
  expect(sent.length).toBeGreaterThan(2);
  for (const { messages: request } of sent) {
    expect(request.reduce((sum, { value }) => sum + (value as Buffer).length, 0)).toBeLessThanOrEqual(900_000);
  }
  expect(sent.flatMap(({ messages: request }) => request.map(({ value }) => (value as Buffer)[0]))).toEqual(
    messages.map((_, index) => index),
  );
});

it('sends a message that is too large alone by itself: the broker decides', async () => {
  const { sent, publisher } = recordingProducer();
  await publisher.publish('replies', [
    { key: null, value: 'a' },
    { key: null, value: Buffer.alloc(2_000_000) },
    { key: null, value: 'b' },
  ]);
  expect(sent.map(({ messages }) => messages.length)).toEqual([1, 1, 1]);
});

it('sends at most some hundreds of messages in a request', async () => {
  const { sent, publisher } = recordingProducer();
  await publisher.publish(
    'replies',
    Array.from({ length: 1_234 }, () => ({ key: null, value: 'a' })),
  );
  expect(sent.map(({ messages }) => messages.length)).toEqual([500, 500, 234]);
});

it('sends nothing for nothing', async () => {
  const { sent, publisher } = recordingProducer();
  await publisher.publish('replies', []);
  expect(sent).toEqual([]);
});

it('chooses the partition that every Kafka client chooses for a key, an explicit one first, and goes round without', () => {
  const choose = createPartitioner();
  const partitionMetadata = Array.from({ length: 6 }, () => ({})) as never;
  const of = (message: Partial<Message>) =>
    choose({ topic: 't', partitionMetadata, message: { value: 'v', ...message } });
  // murmur2("foobar") of Apache Kafka's own test, -790332482, without its sign bit.
  expect(of({ key: Buffer.from('foobar') })).toBe((-790332482 & 0x7fffffff) % 6);
  expect(of({ key: Buffer.from('foobar'), partition: 5 })).toBe(5);
  expect([of({ key: null }), of({ key: null }), of({ key: null })]).toEqual([0, 1, 2]);
});
