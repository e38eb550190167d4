import type { PartitionMetadata } from 'kafkajs';
import { expect } from 'vitest';
import { eventually } from './eventually.js';
import type { Fixture } from './fixture.js';

const OFFSETS_TOPIC = '__consumer_offsets';

/** Waits until every copy of every partition has caught up, so that the next broker may go. */
export async function untilInSync(fixture: Fixture): Promise<void> {
  await eventually(async () => {
    const { topics } = await fixture.admin.fetchTopicMetadata();
    const behind = topics.flatMap(({ name, partitions }) =>
      partitions
        .filter(({ isr, replicas }) => isr.length < replicas.length)
        .map(({ partitionId }) => `${name}/${partitionId}`),
    );
    expect(behind).toEqual([]);
  });
}

/** Takes every partition of a topic away from its leader, which stays up: another one of its brokers becomes it. */
export async function moveLeaders(fixture: Fixture, topic: string): Promise<void> {
  const before = (await fixture.admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions ?? [];
  await fixture.admin.alterPartitionReassignments({
    topics: [
      {
        topic,
        partitionAssignment: before.map(({ partitionId, leader, replicas }) => ({
          partition: partitionId,
          replicas: replicas.filter((broker) => broker !== leader),
        })),
      },
    ],
  });
  await eventually(async () => {
    const now = (await fixture.admin.fetchTopicMetadata({ topics: [topic] })).topics[0]?.partitions ?? [];
    const leaderOf = new Map(before.map(({ partitionId, leader }) => [partitionId, leader]));
    expect(now.filter(({ partitionId, leader }) => leaderOf.get(partitionId) === leader)).toEqual([]);
  });
}

/** Gives a partition of a topic to one broker alone: while it is away, nobody leads it. */
export async function keepOnOneBroker(
  { admin }: Fixture,
  topic: string,
  partition: number,
  broker: number,
): Promise<void> {
  await admin.alterPartitionReassignments({
    topics: [{ topic, partitionAssignment: [{ partition, replicas: [broker] }] }],
  });
  await eventually(async () => {
    const { topics } = await admin.describeTopics([topic]);
    expect(topics.get(topic)?.partitions[partition]).toMatchObject({ leader: broker, replicas: [broker] });
  });
}

/**
 * Keeps what a fixture's group is coordinated by on the broker that coordinates it now: while it is away the group has no
 * coordinator. Returns its index among the stack's brokers.
 */
export async function keepCoordinatorOnOneBroker(fixture: Fixture): Promise<number> {
  await fixture.alterTopics([OFFSETS_TOPIC], { 'cleanup.policy': 'compact', 'min.insync.replicas': '1' });
  const partitions = await offsetsPartitions(fixture);
  const { partitionId, leader } = coordinating(fixture, partitions);
  await keepOnOneBroker(fixture, OFFSETS_TOPIC, partitionId, leader);
  return leader - 1;
}

/** The index among the stack's brokers of the one that coordinates the fixture's group. */
export async function coordinatorOf(fixture: Fixture): Promise<number> {
  return coordinating(fixture, await offsetsPartitions(fixture)).leader - 1;
}

async function offsetsPartitions({ admin }: Fixture): Promise<PartitionMetadata[]> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [OFFSETS_TOPIC] });
  return topics[0]?.partitions ?? [];
}

/** The partition that a fixture's group is coordinated by. */
function coordinating({ name }: Fixture, partitions: readonly PartitionMetadata[]): PartitionMetadata {
  const wanted = Math.abs(javaHash(`ktb-${name}`)) % partitions.length;
  const partition = partitions.find(({ partitionId }) => partitionId === wanted);
  if (partition === undefined) throw new Error('the group has no coordinator');
  return partition;
}

/** `String.hashCode` of Java, by which Kafka chooses the partition of a group. */
function javaHash(text: string): number {
  return Array.from(text).reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0, 0);
}
