import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { Lag } from '../../../../src/consumer/partitions/lag.js';
import type { ClusterFacts, LogAnswer, NoAnswer } from '../../../../src/kafka/admin.js';
import { createMetrics } from '../../../../src/telemetry/metrics.js';

function lag(answers: (LogAnswer | NoAnswer)[], errors: Record<string, string | null> = {}): Lag {
  const topics: ClusterFacts['topics'] = new Map(
    Object.entries(errors).map(([topic, error]) => [topic, { error, partitions: [] }]),
  );
  return new Lag(
    'p',
    {
      fetchLogs: () => Promise.resolve(answers),
      describeTopics: () => Promise.resolve({ clusterId: 'c', brokers: [], topics }),
    },
    createMetrics({ runtime: false }).lag,
  );
}

it('an error of a whole topic is told, as is that of a partition of this member, and not that of another one', async () => {
  const ofTopic = { topic: 'a', partition: -1, problem: 'gone' };
  const mine = { topic: 'b', partition: 1, problem: 'no leader' };
  const answers = [ofTopic, mine, { topic: 'b', partition: 0, problem: 'no leader' }];
  const told = await lag(answers).measure(new Assignment({ a: [0], b: [1] }), ['a', 'b']);
  expect(told).toEqual([ofTopic, mine]);
});

it('a topic of the group that Kafka does not show is told, though it is assigned to nobody', async () => {
  const hidden = { hidden: 'TOPIC_AUTHORIZATION_FAILED', others: null };
  const told = await lag([], hidden).measure(new Assignment({ a: [0] }), ['a', 'hidden', 'others']);
  expect(told).toEqual([
    { topic: 'hidden', partition: -1, problem: 'Kafka says nothing of topic hidden: TOPIC_AUTHORIZATION_FAILED' },
  ]);
});
