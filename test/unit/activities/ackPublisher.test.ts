import { expect, it } from 'vitest';
import { amendAck, type DecidedRecord } from '../../../src/activities/acks.js';
import { AckPublisher } from '../../../src/activities/ackPublisher.js';
import { BatchMemos } from '../../../src/activities/memos.js';
import type { MessageProducer } from '../../../src/kafka/producers.js';
import { Publisher } from '../../../src/kafka/publisher.js';
import { PublishError } from '../../../src/kafka/topicProducer.js';
import type { OutgoingMessage } from '../../../src/kafka/outgoingMessage.js';
import type { AckStatus } from '../../../src/protocol/ack.js';
import { record } from '../../support/records.js';

const source = { topic: 'orders', partition: 0, epoch: 'e1' };
const reply = { topic: 'own', copyHeaders: [], allowTopics: ['a', 'b'] };

function decided(offset: number, asked?: { topic?: string; partition?: string }): DecidedRecord {
  const headers = Object.entries({ kafka_replyTopic: asked?.topic, kafka_replyPartition: asked?.partition });
  const present = headers.flatMap(([name, text]) => (text === undefined ? [] : [[name, Buffer.from(text)] as const]));
  return { source, record: record(offset, { headers: present }) };
}

/** Topics in memory; those in `failing` take nothing. */
function broker() {
  const failing = new Map<string, { refused: boolean }>();
  const topics: Record<string, OutgoingMessage[]> = {};
  const lookUps: string[] = [];
  const unknown = new Set<string>();
  const memos = new BatchMemos();
  const acks = new AckPublisher({
    memos,
    publisher: {
      mustBeUp: (topic) => {
        if (failing.has(topic)) throw new PublishError(topic, 'away');
      },
      publish: (topic, messages) => {
        const failure = failing.get(topic);
        if (failure !== undefined) return Promise.reject(new PublishError(topic, 'away', failure));
        (topics[topic] ??= []).push(...messages);
        return Promise.resolve();
      },
    },
    partitions: {
      count: (topic) => {
        lookUps.push(topic);
        return unknown.has(topic) ? Promise.reject(new PublishError(topic, 'no leader')) : Promise.resolve(4);
      },
    },
  });
  const publish = (list: readonly DecidedRecord[], status: AckStatus = 'inserted') =>
    acks.publish(reply, {
      id: 'batch',
      activityKey: 'activity',
      status,
      records: list,
      mustBeAlive: () => undefined,
    });
  const offsets = () =>
    Object.fromEntries(
      Object.entries(topics).map(([topic, messages]) => [
        topic,
        messages.map(({ value }) => (JSON.parse(String(value)) as { offset: number }).offset),
      ]),
    );
  return { acks, memos, publish, offsets, failing, topics, lookUps, unknown };
}

it('looks nothing up where no record asks for anything, and asks once for each topic otherwise', async () => {
  const { publish, lookUps } = broker();
  await publish([decided(1), decided(2)]);
  expect(lookUps).toEqual([]);
  await publish([decided(1, { topic: 'a' }), decided(2, { topic: 'a', partition: '1' }), decided(3, { topic: 'x' })]);
  expect(lookUps).toEqual(['a']);
});

it('keeps the order of a topic’s acknowledgements', async () => {
  const { publish, offsets, topics } = broker();
  await publish([
    decided(1),
    decided(2, { topic: 'a' }),
    decided(3, { topic: 'x' }),
    decided(4),
    decided(5, { topic: 'a' }),
  ]);
  expect(offsets()).toEqual({ own: [1, 3, 4], a: [2, 5] });
  expect(topics['a']?.every(({ partition }) => partition === undefined)).toBe(true);
});

it('one topic that is away keeps no other from its acknowledgements, and those come once', async () => {
  const { acks, publish, offsets, failing } = broker();
  const list = [decided(1), decided(2, { topic: 'a' }), decided(3, { topic: 'b' })];
  failing.set('a', { refused: false });
  await expect(publish(list)).rejects.toThrow('topic a takes no messages');
  expect(offsets()).toEqual({ own: [1], b: [3] });
  expect(() => acks.mustBeAnswerable('activity', 'inserted')).toThrow('topic a');
  await expect(publish(list)).rejects.toThrow('topic a takes no messages');
  failing.clear();
  expect(() => acks.mustBeAnswerable('activity', 'inserted')).not.toThrow();
  await publish(list);
  expect(offsets()).toEqual({ own: [1], b: [3], a: [2] });
});

it('a topic whose partitions nobody knows now keeps no other from its acknowledgements, and those come once', async () => {
  const { publish, offsets, unknown } = broker();
  const list = [decided(1, { topic: 'a' }), decided(2), decided(3, { topic: 'b' }), decided(4, { topic: 'a' })];
  unknown.add('a');
  await expect(publish(list)).rejects.toThrow('no leader');
  expect(offsets()).toEqual({ own: [2], b: [3] });
  unknown.clear();
  await publish(list);
  expect(offsets()).toEqual({ own: [2], b: [3], a: [1, 4] });
  // One that asks for a partition of the pipeline's own topic.
  const other = broker();
  other.unknown.add('own');
  const ofOwn = [decided(1, { topic: 'a' }), decided(2, { partition: '1' }), decided(3)];
  await expect(other.publish(ofOwn)).rejects.toThrow('no leader');
  other.unknown.clear();
  await other.publish(ofOwn);
  expect(other.offsets()).toEqual({ a: [1], own: [2, 3] });
});

it('what is published for one status comes once, however often another one of the same activity fails', async () => {
  const { memos, publish, offsets, failing } = broker();
  const skipped = [decided(1), decided(2), decided(3)];
  const inserted = [decided(4, { topic: 'a' })];
  failing.set('a', { refused: false });
  expect(await publish(skipped, 'skipped')).toEqual(new Map());
  await expect(publish(inserted)).rejects.toThrow('topic a takes no messages');
  for (let attempt = 2; attempt <= 4; attempt++) {
    expect(await publish(skipped, 'skipped')).toBeNull();
    await expect(publish(inserted)).rejects.toThrow('topic a takes no messages');
  }
  failing.clear();
  await publish(skipped, 'skipped');
  await publish(inserted);
  expect(offsets()).toEqual({ own: [1, 2, 3], a: [4] });
  memos.forget('activity');
  await publish(inserted);
  expect(offsets()).toEqual({ own: [1, 2, 3], a: [4, 4] });
});

it('a verdict that changed between attempts is answered, although its topic had acknowledgements of the batch', async () => {
  const { publish, offsets, failing } = broker();
  failing.set('a', { refused: false });
  await expect(publish([decided(1), decided(2, { topic: 'a' })])).rejects.toThrow();
  failing.clear();
  await publish([decided(1), decided(5), decided(2, { topic: 'a' })]);
  expect(offsets()).toEqual({ own: [1, 1, 5], a: [2] });
});

it('what a topic refuses although it was there a moment ago goes to the pipeline’s own, without the partition', async () => {
  const { publish, offsets, failing, topics } = broker();
  failing.set('a', { refused: true });
  const fallbacks = await publish([decided(1), decided(2, { topic: 'a', partition: '3' })]);
  expect(offsets()).toEqual({ own: [1, 2] });
  expect(topics['own']?.[1]?.partition).toBeUndefined();
  expect([...(fallbacks ?? [])]).toEqual([['missing_topic', 1]]);
});

it('a topic that may be asked for, but not written to, holds no batch, nor the batches of the next seconds', async () => {
  const denied = Object.assign(new Error('not authorized'), { type: 'TOPIC_AUTHORIZATION_FAILED' });
  const requests: string[] = [];
  const createProducer = (): MessageProducer => ({
    connect: () => Promise.resolve(),
    send: (topic) => {
      requests.push(topic);
      return topic === 'a' ? Promise.reject(denied) : Promise.resolve();
    },
    disconnect: () => Promise.resolve(),
  });
  const acks = new AckPublisher({
    publisher: new Publisher({ createProducer, now: () => 0 }),
    partitions: { count: () => Promise.resolve(4) },
    memos: new BatchMemos(),
  });
  for (const activity of ['first', 'second', 'third']) {
    acks.mustBeAnswerable(activity, 'inserted');
    const fallbacks = await acks.publish(reply, {
      id: activity,
      activityKey: activity,
      status: 'inserted',
      records: [decided(1, { topic: 'a' })],
      mustBeAlive: () => undefined,
    });
    expect([...(fallbacks ?? [])]).toEqual([['missing_topic', 1]]);
  }
  expect(requests).toEqual(['a', 'own', 'own', 'own']);
});

it('an acknowledgement is reduced once: its value is all that counts', () => {
  const reduced = amendAck(
    { key: Buffer.from('k'), value: 'v', headers: { trace: 't', kafka_correlationId: 'id' } },
    'size',
  );
  expect(reduced).toMatchObject({ key: null, value: 'v', headers: { kafka_correlationId: 'id' } });
  expect(amendAck(reduced!, 'size')).toBeUndefined();
});

it('an acknowledgement that is not valid gets its record as key, and comes to an end whatever is refused', () => {
  const value = '{"status":"inserted","topic":"orders","partition":3,"offset":7,"batch":"b"}';
  for (const key of [null, Buffer.from('k')]) {
    const keyed = amendAck({ key, value, headers: { trace: 't' }, partition: 2 }, 'record');
    expect(keyed).toMatchObject({ key: Buffer.from('orders/3/7'), value, headers: { trace: 't' }, partition: 2 });
    const reduced = amendAck(keyed!, 'record');
    expect(reduced).toMatchObject({ key: Buffer.from('orders/3/7'), value, partition: 2 });
    expect(reduced?.headers).not.toHaveProperty('trace');
    for (const refusal of ['size', 'record'] as const) expect(amendAck(reduced!, refusal)).toBeUndefined();
  }
  const small = amendAck({ key: Buffer.from('k'), value }, 'size');
  const keyed = amendAck(small!, 'record');
  expect(keyed).toMatchObject({ key: Buffer.from('orders/3/7'), value });
  for (const refusal of ['size', 'record'] as const) expect(amendAck(keyed!, refusal)).toBeUndefined();
});
