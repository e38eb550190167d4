import kafkajs, { type Assigner, type GroupMember, type PartitionAssigner } from 'kafkajs';
import { STALE_TOPIC, type StaleTopic } from './kafkajs/staleTopics.js';
import { dividePartitions, subscribedTopics, type Subscriber } from './partitionAssignment.js';

/** That of kafkajs's assigner. A group names it while it is stable. */
export const ASSIGNER_NAME = 'RoundRobinAssigner';

/**
 * Divides the partitions of a group among its members, if this member leads the group. The members' topics may differ,
 * for example while a changed configuration is rolled out. kafkajs's own assigner divides the leader's topics among all
 * members. Then nobody reads a partition whose owner does not know the topic, nor a topic that the leader does not
 * know.
 *
 * It has the name and the format of kafkajs's assigner, because members with either have to form one group during an
 * upgrade. A leader with kafkajs's assigner still divides as that one does.
 */
export const groupAssigner: PartitionAssigner = (config) => {
  const { cluster } = config;
  const roundRobin = kafkajs.PartitionAssigners.roundRobin(config);
  /** What this member has divided as the leader, of topics that it does not read: their partitions. */
  let others: ReadonlyMap<string, readonly number[]> = new Map();
  const partitionsOf = (topic: string): readonly number[] =>
    cluster.findTopicPartitionMetadata(topic).map(({ partitionId }) => partitionId);

  const assigner: Assigner & { [STALE_TOPIC]: () => StaleTopic | null } = {
    name: ASSIGNER_NAME,
    version: roundRobin.version,
    protocol: (subscription) => {
      others = new Map();
      return roundRobin.protocol(subscription);
    },
    assign: async ({ members, topics: own }) => {
      const subscribers = members.map(subscriberOf);
      const topics = subscribedTopics(subscribers);
      // From now on their metadata is kept up to date, too. Without a new topic, it has just been asked for.
      await cluster.addMultipleTargetTopics([...topics]);
      const foreign = topics.filter((topic) => !own.includes(topic));
      others = new Map(foreign.map((topic) => [topic, partitionsOf(topic)]));
      return [...dividePartitions(subscribers, partitionsOf)].map(([memberId, assignment]) => ({
        memberId,
        memberAssignment: MemberAssignment.encode({
          version: roundRobin.version,
          assignment,
          userData: Buffer.alloc(0),
        }),
      }));
    },
    [STALE_TOPIC]: () => {
      for (const [topic, divided] of others) {
        const unknownPartitions = partitionsOf(topic).filter((partition) => !divided.includes(partition));
        if (unknownPartitions.length > 0) return { topic, unknownPartitions };
      }
      return null;
    },
  };
  return assigner;
};

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;

function subscriberOf({ memberId, memberMetadata }: GroupMember): Subscriber {
  return { memberId, topics: MemberMetadata.decode(memberMetadata)?.topics ?? [] };
}
