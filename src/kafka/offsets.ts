import type { StartFrom } from '../config/config.js';
import { partitionName } from '../protocol/record.js';
import type { KafkaAdmin, LogAnswer, LogOptions, NoAnswer } from './admin.js';

/** The log of a partition, and what a group has committed for it. */
export interface GroupOffsets extends LogAnswer {
  /** The committed next offset. Null if there is none: Kafka's -1 and kafkajs's -2 are no offsets. */
  readonly committedOffset: number | null;
  readonly committedMetadata: string | null;
  /** The leader epoch of the record before it. Absent if none is committed. */
  readonly committedLeaderEpoch?: number;
}

/** The answers about partitions, and which partitions cannot be asked now. */
export interface FoundLogs<Log> {
  readonly logs: readonly Log[];
  readonly unknown: readonly NoAnswer[];
}

/** The logs of all partitions of these topics, in order. Rejects if no broker answers. */
export async function findLogOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs'>,
  topics: readonly string[],
  options: LogOptions = {},
): Promise<FoundLogs<LogAnswer>> {
  const answers = await admin.fetchLogs(topics, options);
  return {
    logs: answers.filter((answer): answer is LogAnswer => !('problem' in answer)),
    unknown: answers.filter((answer): answer is NoAnswer => 'problem' in answer),
  };
}

/**
 * Like {@link findLogOffsets}, with what a group has committed. Rejects also if the group's coordinator does not
 * answer.
 */
export async function findGroupOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs' | 'fetchCommits'>,
  groupId: string,
  topics: readonly string[],
  options: LogOptions = {},
): Promise<FoundLogs<GroupOffsets>> {
  const { logs, unknown } = await findLogOffsets(admin, topics, options);
  const commits = await admin.fetchCommits(groupId, logs);
  const found = logs.map((log): GroupOffsets => {
    const commit = commits.get(partitionName(log));
    const committedOffset = commit === undefined || commit.offset < 0 ? null : commit.offset;
    const { metadata = null, leaderEpoch } = commit ?? {};
    const told = leaderEpoch === undefined ? {} : { committedLeaderEpoch: leaderEpoch };
    return { ...log, committedOffset, committedMetadata: metadata, ...told };
  });
  return { logs: found, unknown };
}

/** The answers about all partitions. @throws Error that names those that cannot be asked */
export function allLogs<Log>({ logs, unknown }: FoundLogs<Log>): readonly Log[] {
  if (unknown.length > 0) throw new Error(unknown.map(describeNoAnswer).join('; '));
  return logs;
}

/** A sentence with the partition's name. */
export function describeNoAnswer(where: NoAnswer): string {
  return where.partition < 0 ? where.problem : `partition ${partitionName(where)}: ${where.problem}`;
}

/** Like {@link findLogOffsets}. Rejects also if one partition cannot be asked, or a topic does not exist. */
export async function fetchLogOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs'>,
  topics: readonly string[],
): Promise<readonly LogAnswer[]> {
  return allLogs(await findLogOffsets(admin, topics));
}

/**
 * Finds the offset of a position in each log. A position is an offset, the start, the end, or a time. A time stands for
 * the first record written then or later, or for the end if there is none. Kafka is asked only for a time.
 */
export async function offsetsAt<Log extends LogAnswer>(
  admin: Pick<KafkaAdmin, 'fetchOffsetsAt'>,
  logs: readonly Log[],
  position: number | StartFrom,
): Promise<(log: Log) => number> {
  if (typeof position === 'number') return () => position;
  if (position === 'earliest') return ({ logStart }) => logStart;
  if (position === 'latest') return ({ logEnd }) => logEnd;
  const offsets = await admin.fetchOffsetsAt(logs, position.timestampMs);
  return (log) => {
    const offset = offsets.get(partitionName(log)) ?? -1;
    return offset < 0 ? log.logEnd : offset;
  };
}
