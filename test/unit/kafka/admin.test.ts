import kafkajs, { type Admin, type Kafka } from 'kafkajs';
import { expect, it } from 'vitest';
import { createAdmin } from '../../../src/kafka/admin.js';

/** As kafkajs has it after it has asked several times. */
const unknownTopic = () => new kafkajs.KafkaJSNumberOfRetriesExceeded(answer(), { retryCount: 5, retryTime: 9_000 });

const answer = () =>
  new kafkajs.KafkaJSProtocolError({
    type: 'UNKNOWN_TOPIC_OR_PARTITION',
    code: 3,
    retriable: true,
    message: 'This server does not host this topic-partition',
    name: 'KafkaJSProtocolError',
  } as never);

/** A cluster with topics; its admins fetch the metadata of all topics together that they were asked for. */
function cluster(topics: Set<string>) {
  const admin = () => {
    const asked = new Set<string>();
    const ask = (topic: string) => {
      asked.add(topic);
      if ([...asked].every((name) => topics.has(name))) return Promise.resolve([{ partition: 0, offset: topic }]);
      asked.delete(topics.has(topic) ? '' : topic);
      return Promise.reject(unknownTopic());
    };
    return {
      connect: () => Promise.resolve(),
      disconnect: () => Promise.resolve(),
      fetchTopicOffsets: ask,
      fetchOffsets: ({ topics: [topic = ''] = [] }: Parameters<Admin['fetchOffsets']>[0]) => ask(topic),
    } as unknown as Admin;
  };
  return { admin } as unknown as Kafka;
}

it('a topic that was deleted keeps nobody from asking for others', async () => {
  const topics = new Set(['a', 'b', 'gone']);
  const admin = createAdmin(cluster(topics));
  const committed = (topic: string) => admin.fetchOffsets({ groupId: 'g', topics: [topic] });
  for (const topic of topics) {
    expect(await admin.fetchTopicOffsets(topic)).toMatchObject([{ offset: topic }]);
    expect(await committed(topic)).toMatchObject([{ offset: topic }]);
  }
  topics.delete('gone');
  expect(await committed('b')).toMatchObject([{ offset: 'b' }]);
  expect(await admin.fetchTopicOffsets('a')).toMatchObject([{ offset: 'a' }]);
  await expect(admin.fetchTopicOffsets('gone')).rejects.toThrow('does not host');
  expect(await admin.fetchTopicOffsets('b')).toMatchObject([{ offset: 'b' }]);
});

it('asks again at once, of the new leader, where a leader has moved', async () => {
  let calls = 0;
  let refreshed = false;
  const moved = new kafkajs.KafkaJSProtocolError({ type: 'NOT_LEADER_FOR_PARTITION', retriable: true } as never);
  const admin = createAdmin({
    admin: () => ({
      connect: () => Promise.resolve(),
      listGroups: () => Promise.resolve(void (refreshed = true)),
      fetchTopicOffsets: () => (calls++, refreshed ? Promise.resolve([]) : Promise.reject(moved)),
    }),
  } as unknown as Kafka);
  expect(await admin.fetchTopicOffsets('a')).toEqual([]);
  expect(calls).toBe(2);
});
