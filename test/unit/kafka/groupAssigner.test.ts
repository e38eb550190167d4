import kafkajs, { type Cluster } from 'kafkajs';
import { expect, it } from 'vitest';
import { groupAssigner } from '../../../src/kafka/groupAssigner.js';
import { internalModule } from '../../../src/kafka/kafkajs/internals.js';
import { repairKafkajs } from '../../../src/kafka/kafkajs/repairs.js';

repairKafkajs();

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const logger = new kafkajs.Kafka({ brokers: ['x:1'] }).logger();

/** The assigner of a leader, with a cluster that tells only of the topics that it was asked about. */
function leader(own: readonly string[], partitions: Record<string, number>) {
  const asked = new Set(own);
  const cluster = {
    addMultipleTargetTopics: (topics: readonly string[]) => {
      for (const topic of topics) asked.add(topic);
      return Promise.resolve();
    },
    findTopicPartitionMetadata: (topic: string) =>
      Array.from({ length: asked.has(topic) ? (partitions[topic] ?? 0) : 0 }, (_, partitionId) => ({ partitionId })),
  };
  const config = { cluster: cluster as unknown as Cluster, groupId: 'g', logger };
  return { cluster, config, assigner: groupAssigner(config) };
}

const assignmentsOf = (answer: readonly { memberId: string; memberAssignment: Buffer }[]) =>
  Object.fromEntries(
    answer.map(({ memberId, memberAssignment }) => [memberId, MemberAssignment.decode(memberAssignment)?.assignment]),
  );

it('divides topics that only other members read among those', async () => {
  const { assigner } = leader(['a', 'b'], { a: 2, b: 2, c: 2 });
  const members = [
    { memberId: 'leader', memberMetadata: assigner.protocol({ topics: ['a', 'b'] }).metadata },
    { memberId: 'other', memberMetadata: assigner.protocol({ topics: ['a', 'b', 'c'] }).metadata },
  ];
  const divided = assignmentsOf(await assigner.assign({ members, topics: ['a', 'b'] }));
  expect(divided).toEqual({ leader: { a: [0, 1], b: [0] }, other: { b: [1], c: [0, 1] } });
});

it('is for the group the assigner that kafkajs has, which a member of an earlier version also understands', async () => {
  const { assigner, config } = leader(['a'], { a: 4 });
  const earlier = kafkajs.PartitionAssigners.roundRobin(config);
  expect(assigner.protocol({ topics: ['a'] })).toEqual(earlier.protocol({ topics: ['a'] }));
  const members = ['one', 'two'].map((memberId) => ({
    memberId,
    memberMetadata: MemberMetadata.encode({ version: 0, topics: ['a'], userData: Buffer.alloc(0) }),
  }));
  const group = { members, topics: ['a'] };
  expect(assignmentsOf(await assigner.assign(group))).toEqual(assignmentsOf(await earlier.assign(group)));
});

interface ConsumerGroup {
  partitionsPerSubscribedTopic: Map<string, number[]>;
  generatePartitionsPerSubscribedTopic(): Map<string, number[]>;
  checkForStaleAssignment(): void;
}

it('a leader divides anew when a topic that it does not read itself is created, or grows', async () => {
  const partitions: Record<string, number> = { a: 2 };
  const { assigner, cluster } = leader(['a'], partitions);
  const ConsumerGroup = internalModule('consumer/consumerGroup') as new (options: object) => ConsumerGroup;
  const group = new ConsumerGroup({
    cluster,
    topics: ['a'],
    assigners: [assigner],
    logger: { namespace: () => logger },
  });
  const members = [
    { memberId: 'leader', memberMetadata: assigner.protocol({ topics: ['a'] }).metadata },
    { memberId: 'other', memberMetadata: assigner.protocol({ topics: ['c'] }).metadata },
  ];
  const join = async () => {
    assigner.protocol({ topics: ['a'] });
    const divided = assignmentsOf(await assigner.assign({ members, topics: ['a'] }));
    group.partitionsPerSubscribedTopic = group.generatePartitionsPerSubscribedTopic();
    return divided;
  };
  expect(await join()).toEqual({ leader: { a: [0, 1] } });
  for (const count of [1, 3]) {
    expect(() => group.checkForStaleAssignment()).not.toThrow();
    partitions['c'] = count;
    expect(() => group.checkForStaleAssignment()).toThrow(
      expect.objectContaining({ name: 'KafkaJSStaleTopicMetadataAssignment', topic: 'c' }),
    );
    expect(await join()).toMatchObject({ other: { c: Array.from({ length: count }, (_, id) => id) } });
  }
  // It joins again, and another member leads now. What that one has divided is not known here.
  assigner.protocol({ topics: ['a'] });
  partitions['c'] = 4;
  expect(() => group.checkForStaleAssignment()).not.toThrow();
});
