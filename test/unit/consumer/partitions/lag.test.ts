import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { Lag } from '../../../../src/consumer/partitions/lag.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import type { ClusterFacts, LogAnswer, NoAnswer } from '../../../../src/kafka/admin.js';
import { createMetrics } from '../../../../src/telemetry/metrics.js';
import { LAYOUT } from '../../../support/trackers.js';

const PLAN = { layout: LAYOUT, state: READING, end: null };

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

it('a topic of another id is told to be gone, and its lag is not measured: nothing was read of it yet', async () => {
  const assignment = new Assignment({ a: [0] });
  const [partition] = assignment.partitions;
  partition!.topicId = 'aaaa';
  partition!.open(new PartitionTracker({ topic: 'a', partition: 0, epoch: 'e1' }, 5, PLAN), 5);
  const log = { topic: 'a', partition: 0, logStart: 0, logEnd: 50 };
  expect(await lag([{ ...log, topicId: 'aaaa' }]).measure(assignment, ['a'])).toEqual([]);
  expect(await lag([{ ...log, topicId: 'bbbb' }]).measure(assignment, ['a'])).toMatchObject([
    { topic: 'a', partition: 0, isMissing: true },
  ]);
});
