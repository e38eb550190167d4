import { expect, it } from 'vitest';
import { Assignment } from '../../../../src/consumer/partitions/assignment.js';
import { READING } from '../../../../src/consumer/partitions/commitMetadata.js';
import { Lag } from '../../../../src/consumer/partitions/lag.js';
import { PartitionTracker } from '../../../../src/consumer/partitions/tracker.js';
import type { ClusterFacts, LogAnswer, NoAnswer } from '../../../../src/kafka/admin.js';
import { createMetrics } from '../../../../src/telemetry/metrics.js';
import { LAYOUT } from '../../../support/trackers.js';

const PLAN = { layout: LAYOUT, state: READING, end: null };

function lag(
  answers: (LogAnswer | NoAnswer)[],
  errors: Record<string, string | null> = {},
  gauge = createMetrics({ runtime: false }).lag,
): Lag {
  const topics: ClusterFacts['topics'] = new Map(
    Object.entries(errors).map(([topic, error]) => [topic, { error, partitions: [] }]),
  );
  return new Lag(
    'p',
    {
      fetchLogs: () => Promise.resolve(answers),
      describeTopics: () => Promise.resolve({ clusterId: 'c', brokers: [], topics }),
    },
    gauge,
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

it('the lag counts what waits behind an open transaction, which is told once it has been open for a minute', async () => {
  const assignment = new Assignment({ a: [0] });
  assignment.partitions[0]!.open(new PartitionTracker({ topic: 'a', partition: 0, epoch: 'e1' }, 5, PLAN), 10);
  const gauge = createMetrics({ runtime: false }).lag;
  const log = { topic: 'a', partition: 0, logStart: 0, logEnd: 10, highWatermark: 5_011 };
  const measured = lag([log], {}, gauge);
  await measured.measure(assignment, ['a']);
  expect((await gauge.get()).values.map(({ value }) => value)).toEqual([5_001]);
  expect(measured.waitingForTransactions(performance.now() + 50_000)).toEqual([]);
  const told = 'a/0: nothing is read from offset 10 on: a transaction that began there is open';
  expect(measured.waitingForTransactions(performance.now() + 61_000)).toEqual([told]);
  log.logEnd = 4_000;
  // It has ended, and another one is open since.
  await measured.measure(assignment, ['a']);
  expect(measured.waitingForTransactions(performance.now() + 50_000)).toEqual([]);
  log.logEnd = log.highWatermark;
  await measured.measure(assignment, ['a']);
  expect(measured.waitingForTransactions(Infinity)).toEqual([]);
});

it('a topic that is gone has no lag any more, one that does not answer keeps its last', async () => {
  const assignment = new Assignment({ a: [0], b: [0] });
  for (const partition of assignment.partitions)
    partition.open(new PartitionTracker({ topic: partition.topic, partition: 0, epoch: 'e1' }, 5, PLAN), 5);
  const gauge = createMetrics({ runtime: false }).lag;
  const answers: (LogAnswer | NoAnswer)[] = ['a', 'b'].map((topic) => ({
    topic,
    partition: 0,
    logStart: 0,
    logEnd: 50,
  }));
  const measured = lag(answers, {}, gauge);
  await measured.measure(assignment, ['a', 'b']);
  expect((await gauge.get()).values).toHaveLength(2);
  answers[0] = { topic: 'a', partition: -1, problem: 'Kafka has no topic a', isMissing: true };
  answers[1] = { topic: 'b', partition: 0, problem: 'no leader' };
  await measured.measure(assignment, ['a', 'b']);
  expect((await gauge.get()).values.map(({ labels, value }) => [labels.topic, value])).toEqual([['b', 45]]);
});
