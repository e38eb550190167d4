import { expect, it, vi } from 'vitest';
import { PublishError } from '../../../src/kafka/topicProducer.js';
import { TopicPartitions } from '../../../src/kafka/topicPartitions.js';

function kafka() {
  const state = {
    nowMs: 0,
    requests: 0,
    partitions: { a: 3 } as Record<string, number>,
    error: undefined as Error | undefined,
    topicError: undefined as string | undefined,
  };
  const admin = {
    describeTopics: ([topic = '']: readonly string[]) => {
      state.requests++;
      if (state.error !== undefined) return Promise.reject(state.error);
      const count = state.partitions[topic];
      const error = state.topicError ?? (count === undefined ? 'UNKNOWN_TOPIC_OR_PARTITION' : null);
      const partitions = Array.from({ length: count ?? 0 }, () => ({}));
      return Promise.resolve({ topics: new Map([[topic, { error, partitions }]]) });
    },
  };
  const stateLog = { problem: vi.fn(), well: vi.fn() };
  return { state, stateLog, partitions: new TopicPartitions(admin as never, stateLog, () => state.nowMs) };
}

it('asks again for a topic that was there after 30 s, for a missing one after 5 s', async () => {
  const { state, partitions } = kafka();
  expect(await partitions.count('a')).toBe(3);
  expect(await partitions.count('b')).toBeNull();
  state.partitions = { a: 5, b: 1 };
  state.nowMs = 4_999;
  expect([await partitions.count('a'), await partitions.count('b'), state.requests]).toEqual([3, null, 2]);
  state.nowMs = 5_000;
  expect([await partitions.count('a'), await partitions.count('b')]).toEqual([3, 1]);
  state.nowMs = 30_000;
  expect(await partitions.count('a')).toBe(5);
});

it('believes what it knew while Kafka does not answer; a topic of which it knows nothing is away then, and that is logged', async () => {
  const { state, stateLog, partitions } = kafka();
  await partitions.count('a');
  state.nowMs = 60_000;
  state.error = new Error('no broker');
  expect(await partitions.count('a')).toBe(3);
  expect(stateLog.problem).not.toHaveBeenCalled();
  const failure: unknown = await partitions.count('b').catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(PublishError);
  expect(failure).toMatchObject({
    topic: 'b',
    refused: false,
    message: expect.stringContaining('no broker') as string,
  });
  const what = 'partitions of b';
  expect(stateLog.problem).toHaveBeenCalledWith(what, expect.stringContaining('no broker'));
  state.error = undefined;
  await partitions.count('b');
  expect(stateLog.well).toHaveBeenCalledWith(what, expect.any(String));
});

it('takes a topic that this user may not use for missing, and waits for one that is just being made', async () => {
  const { state, partitions } = kafka();
  state.topicError = 'TOPIC_AUTHORIZATION_FAILED';
  expect(await partitions.count('a')).toBeNull();
  state.topicError = 'LEADER_NOT_AVAILABLE';
  await expect(partitions.count('b')).rejects.toThrow('LEADER_NOT_AVAILABLE');
});
