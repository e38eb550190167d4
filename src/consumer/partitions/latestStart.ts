import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../../config/config.js';
import { isInputTopic } from '../../config/topics.js';
import type { KafkaAdmin, LogAnswer, NoAnswer } from '../../kafka/admin.js';
import { visitGroup } from '../../kafka/groupVisit.js';
import { describeNoAnswer } from '../../kafka/offsets.js';
import { NOT_READABLE } from '../../kafka/errorType.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { formatCommitMetadata, formatUnread, parseCommitMetadata, READING } from './commitMetadata.js';
import { commitStarts, type FirstStart } from './firstCommit.js';
import type { FirstEnds } from './firstEnds.js';
import {
  askBatchers,
  findPartitionStarts,
  settleDoubts,
  type PartitionStartsOptions,
  type Remembered,
} from './partitionStarts.js';
import { newEpoch } from './epoch.js';

/** Which partitions begin where. */
export interface LatestStart {
  /** How many partitions begin where their logs ended when this process first asked, see {@link FirstEnds}. */
  readonly atEnds: number;
  /**
   * Partitions that begin at the beginnings of their logs: the group's offsets are lost, and no batcher knows them.
   * Their ends at the first start are not known any more.
   */
  readonly atBeginnings: readonly TopicPartition[];
  /** Partitions, and topics that the user may not read, that begin with what was written since `sinceMs`. */
  readonly waiting: readonly NoAnswer[];
  /**
   * Topics for which nothing can be committed now: Kafka says nothing about them, or refuses them to this user. If a
   * partition of them has no offset when it can be read, it is read from what was written since `sinceMs`. Without
   * those that did not exist at the first look: all of these is new.
   */
  readonly silent: readonly string[];
  /** When this process first asked Kafka, in milliseconds since 1970. */
  readonly sinceMs: number;
}

/**
 * Carries out `startFrom: latest`, before anything is read. It commits the ends of the logs that were never read.
 * Otherwise the ends would be somewhere else after the next rebalance, and the records in between would be skipped.
 * From then on a partition without an offset is new, and is read from its beginning. If an end cannot be found out now,
 * for example without a leader, the same commit has the time in place of the end. So a restart does not take that
 * partition for a new one.
 *
 * If batchers have accepted records, this is not the first start: the group has lost its offsets. Then a partition that
 * no batcher knows begins at the beginning of its log, because what came since the first start must not be skipped.
 *
 * @param topics the topics whose ends count
 * @param firstEnds the same object at each try of this process, so that a later try skips no more than the first one
 * @throws Error, and a later try may help, if Kafka or the batchers do not answer, or the group rebalances during the
 *   commit. Also if Kafka says nothing about an existing topic, so that its partitions cannot be named, while offsets
 *   have to be committed or none are yet. A topic that does not exist is no error: it is new when it appears, and is
 *   read from its beginning
 */
export async function commitLatest(
  topics: readonly string[],
  options: Omit<PartitionStartsOptions, 'startFrom'> & { kafka: Kafka },
  firstEnds: FirstEnds,
): Promise<LatestStart> {
  const { kafka, admin, pipeline } = options;
  const { groupId } = pipeline;
  const atFirst = await neverRead(admin, pipeline, topics, firstEnds);
  if (atFirst.isDone) return nothingToCommit(atFirst, firstEnds);
  return visitGroup(kafka, { groupId, topics }, async ({ rebalances, commit }) => {
    for (;;) {
      const seen = rebalances();
      const isCurrent = (): boolean => rebalances() === seen;
      // By now this member sees what other members did before it joined.
      const before = await neverRead(admin, pipeline, topics, firstEnds);
      if (before.isDone) return nothingToCommit(before, firstEnds);
      const starts = await findFirstStarts(before, options, firstEnds);
      const refused = await commitStarts([...starts.known, ...starts.later], { admin, groupId, commit, isCurrent });
      if (refused !== null) return whatWasCommitted(starts, refused, before, firstEnds);
    }
  });
}

function nothingToCommit({ silent }: NeverRead, { sinceMs }: FirstEnds): LatestStart {
  return { atEnds: 0, atBeginnings: [], waiting: [], silent, sinceMs };
}

/** Where partitions begin that were never read. */
interface FirstStarts {
  /** Those with an offset to begin at. */
  readonly known: readonly FirstStart[];
  /** Those that begin with what was written since a time. */
  readonly later: readonly FirstStart[];
  /** Why the offsets of `later` are not known. */
  readonly unknown: readonly NoAnswer[];
  /** Whether the group has lost the offsets of this topic. */
  readonly isLost: (topic: string) => boolean;
}

/** Finds out where partitions begin, by their logs and by what batchers know. @throws as {@link commitLatest} */
async function findFirstStarts(
  before: NeverRead,
  options: Omit<PartitionStartsOptions, 'startFrom'>,
  firstEnds: FirstEnds,
): Promise<FirstStarts> {
  const { admin, pipeline } = options;
  const { layout } = pipeline;
  const { sinceMs } = firstEnds;
  const found = await findPartitionStarts(before.unread, options);
  const remembered = await askBatchers(options);
  const settled = await settleDoubts(found.doubts, remembered, { ...options, startFrom: () => 'latest' });
  const isLost = lostOffsets(pipeline, before, remembered);
  const ends = await firstEnds.of(admin, before.unread);
  const logs = new Map(before.unread.map((log) => [partitionName(log), log]));
  const known = settled.starts.flatMap((start): FirstStart[] => {
    if (start.type !== 'newEpoch' || start.reason !== 'never read before') return [];
    const { topic, partition } = start;
    const name = partitionName(start);
    // A log that ends before its first end was truncated, or is another one.
    const end = Math.min(ends.get(name) ?? start.offset, start.offset);
    const offset = (isLost(topic) ? logs.get(name)?.logStart : undefined) ?? end;
    const epoch = newEpoch(logs.get(name)?.topicId ?? null);
    const metadata = formatCommitMetadata({ epoch, layout, clusterId: found.clusterId ?? '', state: READING });
    return [{ topic, partition, offset: String(offset), metadata, sinceMs: isLost(topic) ? 0 : sinceMs }];
  });
  const unknown = [...before.unknown, ...found.unknown, ...settled.unknown];
  const later = unknown.map(({ topic, partition }): FirstStart => {
    const metadata = formatUnread(isReadWhole({ topic, partition }, isLost, firstEnds) ? 0 : sinceMs);
    return { topic, partition, offset: '0', metadata, sinceMs: isLost(topic) ? 0 : sinceMs };
  });
  return { known, later, unknown, isLost };
}

/** Nothing may be skipped of a topic whose offsets are lost, or that was created since the first look. */
function isReadWhole(where: TopicPartition, isLost: FirstStarts['isLost'], firstEnds: FirstEnds): boolean {
  return isLost(where.topic) || firstEnds.isNew(where);
}

/** @param refused the topics whose commits Kafka refuses to this user */
function whatWasCommitted(
  { known, later, unknown, isLost }: FirstStarts,
  refused: ReadonlySet<string>,
  { silent }: NeverRead,
  firstEnds: FirstEnds,
): LatestStart {
  const beginsLater = (where: TopicPartition): boolean => !isReadWhole(where, isLost, firstEnds);
  const left = [...refused].filter((topic) => beginsLater({ topic, partition: -1 }));
  return {
    atEnds: known.filter(({ topic }) => !isLost(topic) && !refused.has(topic)).length,
    atBeginnings: [...known, ...later]
      .filter(({ topic }) => isLost(topic))
      .map(({ topic, partition }) => ({ topic, partition })),
    waiting: [
      ...unknown.filter((where) => beginsLater(where) && !refused.has(where.topic)),
      ...left.map((topic) => ({
        topic,
        partition: -1,
        problem: `topic ${topic}: ${NOT_READABLE}`,
      })),
    ],
    silent: [...silent, ...left],
    sinceMs: firstEnds.sinceMs,
  };
}

/** What the group's offsets tell about partitions that were never read. */
interface NeverRead {
  readonly unread: readonly LogAnswer[];
  readonly unknown: readonly NoAnswer[];
  readonly silent: readonly string[];
  /** Nothing has to be committed. */
  readonly isDone: boolean;
  /** The group has no offset for any of the topics. */
  readonly isFresh: boolean;
  /** A first commit that was not finished was to commit beginnings, since the offsets are lost. */
  readonly wasLost: boolean;
}

/**
 * Finds the partitions for which the group has no offset at all. If a topic has some offsets, its other partitions are
 * new. If some topics that match a pattern have offsets, the other ones are new. But if a first commit was not finished
 * there, the others are what it has left.
 *
 * A topic about which Kafka says nothing may have been read. It can wait only if no offset has to be committed: beside
 * committed topics it would later look new.
 *
 * @throws Error if Kafka says nothing about an existing topic, while offsets of others have to be committed, or none
 *   are yet
 */
async function neverRead(
  admin: KafkaAdmin,
  pipeline: PipelineConfig,
  topics: readonly string[],
  firstEnds: FirstEnds,
): Promise<NeverRead> {
  const { groupId } = pipeline;
  const { logs, unknown } = await firstEnds.look(admin, topics);
  // A partition without a leader may have an offset, too.
  const unserved = unknown.filter(({ partition }) => partition >= 0);
  const commits = await admin.fetchCommits(groupId, [...logs, ...unserved]);
  const committed = new Map<string, string | null>();
  for (const [name, { offset, metadata }] of commits) if (offset >= 0) committed.set(name, metadata);

  const begun = new Set<string>();
  const unfinished = new Set<string>();
  let wasLost = false;
  const unfinishedSince = (where: TopicPartition): number | null => {
    const metadata = parseCommitMetadata(committed.get(partitionName(where)) ?? null);
    return metadata.type === 'unread' && metadata.isUnfinished ? metadata.sinceMs : null;
  };
  for (const where of [...logs, ...unserved]) {
    if (!committed.has(partitionName(where))) continue;
    const scope = scopeOf(pipeline, where.topic);
    const sinceMs = unfinishedSince(where);
    begun.add(scope);
    if (sinceMs !== null) unfinished.add(scope);
    wasLost ||= sinceMs === 0;
  }
  const isUnread = (where: TopicPartition): boolean => {
    const scope = scopeOf(pipeline, where.topic);
    if (begun.has(scope) && !unfinished.has(scope)) return false;
    return !committed.has(partitionName(where)) || unfinishedSince(where) !== null;
  };
  const unread = logs.filter(isUnread);
  const unreadUnknown = unknown.filter((where) => isUnread(where) && where.isMissing !== true);
  const silent = unreadUnknown.filter(({ partition }) => partition < 0);
  const isAllRead = begun.size > 0 && unread.length === 0 && unreadUnknown.length === silent.length;
  if (silent[0] !== undefined && !isAllRead) throw new Error(describeNoAnswer(silent[0]));
  return {
    unread,
    unknown: unreadUnknown.filter(({ partition }) => partition >= 0),
    silent: silent.filter((where) => !firstEnds.isNew(where)).map(({ topic }) => topic),
    isDone: unread.length === 0 && unreadUnknown.length === silent.length,
    isFresh: begun.size === 0,
    wasLost,
  };
}

/**
 * Tells of which topics the group has lost the offsets: of those that have none, although batchers have accepted records
 * of them, and of all if it has no offset at all.
 */
function lostOffsets(
  pipeline: PipelineConfig,
  { isFresh, wasLost }: NeverRead,
  remembered: Remembered,
): (topic: string) => boolean {
  const accepted = new Set<string>();
  for (const [known] of remembered.values())
    if (known !== undefined && isInputTopic(pipeline, known.coverage.topic))
      accepted.add(scopeOf(pipeline, known.coverage.topic));
  const isAll = wasLost || (isFresh && accepted.size > 0);
  return (topic) => isAll || accepted.has(scopeOf(pipeline, topic));
}

/** Topics that were begun together: those that match a pattern, and each one that is named. */
function scopeOf({ topics: named }: PipelineConfig, topic: string): string {
  return named.includes(topic) ? topic : '';
}
