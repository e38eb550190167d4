import type { StartFrom } from '../config/config.js';
import { partitionName } from '../protocol/record.js';
import type { KafkaAdmin, LogAnswer, NoAnswer } from './admin.js';

/** What the log of a partition holds. */
export type LogOffsets = LogAnswer;

/** How far a group has come in the log of a partition. */
export interface GroupOffsets extends LogOffsets {
  /** The committed next offset; null without one. Kafka's -1 and kafkajs's -2 are no offsets. */
  readonly committedOffset: number | null;
  readonly committedMetadata: string | null;
}

/** What was found out of partitions, and which of them cannot be asked now. */
export interface Found<Log> {
  readonly logs: readonly Log[];
  readonly unknown: readonly NoAnswer[];
}

/** The logs of all partitions of some topics, in their order. Rejects where no broker answers. */
export async function findLogOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs'>,
  topics: readonly string[],
): Promise<Found<LogOffsets>> {
  const answers = await admin.fetchLogs(topics);
  return {
    logs: answers.filter((answer): answer is LogAnswer => !('problem' in answer)),
    unknown: answers.filter((answer): answer is NoAnswer => 'problem' in answer),
  };
}

/** As {@link findLogOffsets}, with what a group has committed. Rejects, too, where the group's coordinator does not answer. */
export async function findGroupOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs' | 'fetchCommits'>,
  groupId: string,
  topics: readonly string[],
): Promise<Found<GroupOffsets>> {
  const { logs, unknown } = await findLogOffsets(admin, topics);
  const commits = await admin.fetchCommits(groupId, logs);
  const found = logs.map((log): GroupOffsets => {
    const commit = commits.get(partitionName(log));
    const committedOffset = commit === undefined || commit.offset < 0 ? null : commit.offset;
    return { ...log, committedOffset, committedMetadata: commit?.metadata ?? null };
  });
  return { logs: found, unknown };
}

/** What was found out, for who needs all of it. @throws Error that names what cannot be asked */
export function allOf<Log>({ logs, unknown }: Found<Log>): readonly Log[] {
  if (unknown.length > 0) throw new Error(unknown.map(describeNoAnswer).join('; '));
  return logs;
}

/** In words, with the partition's name. */
export function describeNoAnswer(where: NoAnswer): string {
  return where.partition < 0 ? where.problem : `partition ${partitionName(where)}: ${where.problem}`;
}

/** As {@link findLogOffsets}. Rejects, too, where one partition cannot be asked, or Kafka has no such topic. */
export async function fetchLogOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs'>,
  topics: readonly string[],
): Promise<readonly LogOffsets[]> {
  return allOf(await findLogOffsets(admin, topics));
}

/** As {@link findGroupOffsets}. Rejects, too, where one partition cannot be asked, or Kafka has no such topic. */
export async function fetchGroupOffsets(
  admin: Pick<KafkaAdmin, 'fetchLogs' | 'fetchCommits'>,
  groupId: string,
  topics: readonly string[],
): Promise<readonly GroupOffsets[]> {
  return allOf(await findGroupOffsets(admin, groupId, topics));
}

/**
 * Finds out where a position is in each of some logs: an offset, their start or end, or a time, which stands for the first
 * record that was written then or later, or else the end. Asks Kafka only for a time.
 */
export async function offsetsAt<Log extends LogOffsets>(
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
