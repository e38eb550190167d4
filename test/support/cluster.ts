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

/** The index among the stack's brokers of the one that coordinates the fixture's group. */
export async function coordinatorOf(fixture: Fixture): Promise<number> {
  const { topics } = await fixture.admin.fetchTopicMetadata({ topics: [OFFSETS_TOPIC] });
  const partitions = topics[0]?.partitions ?? [];
  const partition = Math.abs(javaHash(`ktb-${fixture.name}`)) % partitions.length;
  const leader = partitions.find(({ partitionId }) => partitionId === partition)?.leader;
  if (leader === undefined) throw new Error('the group has no coordinator');
  return leader - 1;
}

/** `String.hashCode` of Java, by which Kafka chooses the partition of a group. */
function javaHash(text: string): number {
  return Array.from(text).reduce((hash, letter) => (Math.imul(hash, 31) + letter.charCodeAt(0)) | 0, 0);
}
