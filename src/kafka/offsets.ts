import type { Admin } from 'kafkajs';
import type { StartFrom } from '../config/config.js';
import { partitionName, type TopicPartition } from '../records/record.js';
import { toOffset } from './fromKafka.js';

/** What the log of a partition holds. */
export interface LogOffsets extends TopicPartition {
  /** The first offset in the log. */
  readonly logStart: number;
  /** The next offset to be written. */
  readonly logEnd: number;
}

/** How far a group has come in the log of a partition. */
export interface GroupOffsets extends LogOffsets {
  /** The committed next offset; null without one. Kafka's -1 and kafkajs's -2 are no offsets. */
  readonly committedOffset: number | null;
  readonly committedMetadata: string | null;
}

/** The logs of all partitions of some topics, in their order. Rejects where Kafka does not answer or has no such topic. */
export async function fetchLogOffsets(
  admin: Pick<Admin, 'fetchTopicOffsets'>,
  topics: readonly string[],
): Promise<LogOffsets[]> {
  const logs = await Promise.all(
    topics.map(async (topic) => {
      const partitions = await admin.fetchTopicOffsets(topic);
      return partitions
        .map(({ partition, low, high }) => ({ topic, partition, logStart: toOffset(low), logEnd: toOffset(high) }))
        .sort((one, other) => one.partition - other.partition);
    }),
  );
  return logs.flat();
}

/** As {@link fetchLogOffsets}, with what a group has committed. */
export async function fetchGroupOffsets(
  admin: Pick<Admin, 'fetchTopicOffsets' | 'fetchOffsets'>,
  groupId: string,
  topics: readonly string[],
): Promise<GroupOffsets[]> {
  // Of no topics kafkajs would fetch all that the group has.
  if (topics.length === 0) return [];
  const committed = await admin.fetchOffsets({ groupId, topics: [...topics] });
  const commits = new Map(
    committed.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset, metadata }) => {
        const committedOffset = toOffset(offset) < 0 ? null : toOffset(offset);
        return [partitionName({ topic, partition }), { committedOffset, committedMetadata: metadata }] as const;
      }),
    ),
  );
  const logs = await fetchLogOffsets(admin, topics);
  return logs.map((log) => ({ ...log, ...(commits.get(partitionName(log)) ?? NO_COMMIT) }));
}

const NO_COMMIT = { committedOffset: null, committedMetadata: null };

/**
 * Finds out where a position is in each of some logs: an offset, their start or end, or a time, which stands for the first
 * record that was written then or later, or else the end. Asks Kafka only for a time, once a topic.
 */
export async function offsetsAt<Log extends LogOffsets>(
  admin: Pick<Admin, 'fetchTopicOffsetsByTimestamp'>,
  logs: readonly Log[],
  position: number | StartFrom,
): Promise<(log: Log) => number> {
  if (typeof position === 'number') return () => position;
  if (position === 'earliest') return ({ logStart }) => logStart;
  if (position === 'latest') return ({ logEnd }) => logEnd;
  const offsets = new Map<string, number>();
  for (const topic of new Set(logs.map((log) => log.topic))) {
    for (const { partition, offset } of await admin.fetchTopicOffsetsByTimestamp(topic, position.timestampMs))
      offsets.set(partitionName({ topic, partition }), toOffset(offset));
  }
  return (log) => offsets.get(partitionName(log)) ?? log.logEnd;
}
