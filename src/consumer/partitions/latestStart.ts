import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../../config/config.js';
import type { KafkaAdmin, NoAnswer } from '../../kafka/admin.js';
import { visitGroup } from '../../kafka/groupVisit.js';
import { describeNoAnswer, findGroupOffsets, type GroupOffsets } from '../../kafka/offsets.js';
import { formatCommitMetadata, formatUnread, READING } from './commitMetadata.js';
import {
  findPartitionStarts,
  settleDoubts,
  type PartitionStart,
  type PartitionStartsOptions,
} from './partitionStarts.js';
import { newEpoch } from './readingPlans.js';

/** How many partitions begin at the ends of their logs, and which with what is written from now on. */
export interface LatestStart {
  readonly atEnds: number;
  readonly waiting: readonly NoAnswer[];
  /**
   * Topics that Kafka says nothing of, for instance to a user without rights. A partition of them without an offset, once Kafka gives it,
   * is to be read from what was written since `sinceMs`: nothing can be committed for it now.
   */
  readonly silent: readonly string[];
  /** When Kafka was asked, in milliseconds since 1970. */
  readonly sinceMs: number;
}

/**
 * Carries out `startFrom: latest`, before anything is read: commits the ends of the logs that were never read. Otherwise they
 * would be somewhere else after the next rebalance, and what had been written until then would be skipped. From then on what
 * has no offset is new, and read from its beginning. So a partition whose end cannot be found out now, as one without a leader,
 * gets the time in place of the end, in the same commit: no restart may take it for a new one.
 *
 * @param topics of these the ends count
 * @param nowMs by the wall clock
 * @throws Error where Kafka or the batchers do not answer, or the group rebalances while it commits: try again then; or where
 *   offsets have to be committed, or none are yet, while Kafka says nothing of a topic that is there: its partitions cannot be named.
 *   One that is not there is new when it comes, and read from its beginning
 */
export async function commitLatest(
  topics: readonly string[],
  options: Omit<PartitionStartsOptions, 'startFrom'> & { kafka: Kafka },
  nowMs: () => number = Date.now,
): Promise<LatestStart> {
  const { kafka, admin, pipeline } = options;
  const askedMs = nowMs();
  const { unread, unknown, silent } = await neverRead(admin, pipeline, topics);
  if (unread.length === 0 && unknown.length === 0) return { atEnds: 0, waiting: [], silent, sinceMs: askedMs };
  return visitGroup(kafka, { groupId: pipeline.groupId, topics }, async ({ rebalances, commit }) => {
    let seen: number;
    let sinceMs: number;
    let clusterId: string | null;
    let starts: readonly PartitionStart[];
    let waiting: readonly NoAnswer[];
    let silentNow: readonly string[];
    do {
      seen = rebalances();
      sinceMs = nowMs();
      // What other members have done before they let this one in is seen now.
      const before = await neverRead(admin, pipeline, topics);
      const found = await findPartitionStarts(before.unread, options);
      const settled = await settleDoubts(found.doubts, { ...options, startFrom: () => 'latest' });
      ({ clusterId } = found);
      ({ starts } = settled);
      silentNow = before.silent;
      waiting = [...before.unknown, ...found.unknown, ...settled.unknown];
    } while (seen !== rebalances());
    const { layout } = pipeline;
    const atEnds = starts.flatMap((start) => {
      if (start.type !== 'newEpoch' || start.reason !== 'never read before') return [];
      const { topic, partition, offset } = start;
      const metadata = formatCommitMetadata({ epoch: newEpoch(), layout, clusterId: clusterId ?? '', state: READING });
      return [{ topic, partition, offset: String(offset), metadata }];
    });
    const later = waiting.map(({ topic, partition }) => {
      return { topic, partition, offset: '0', metadata: formatUnread(sinceMs) };
    });
    if (atEnds.length + later.length > 0) await commit([...atEnds, ...later]);
    return { atEnds: atEnds.length, waiting, silent: silentNow, sinceMs };
  });
}

/**
 * Partitions of topics that the group has no offset for at all. One that has some has got partitions later; a topic that comes
 * to match a pattern beside others that have some has come later, too.
 *
 * A topic that Kafka says nothing of may have been read. It waits by itself only while no offset is to be committed: beside one that
 * is, it could count as new later.
 *
 * @throws Error where Kafka says nothing of a topic that is there, and offsets of others are to be committed, or none are yet
 */
async function neverRead(
  admin: KafkaAdmin,
  { groupId, topics: named }: PipelineConfig,
  topics: readonly string[],
): Promise<{
  readonly unread: readonly GroupOffsets[];
  readonly unknown: readonly NoAnswer[];
  readonly silent: readonly string[];
}> {
  const { logs: offsets, unknown } = await findGroupOffsets(admin, groupId, topics);
  const read = new Set(offsets.filter(({ committedOffset }) => committedOffset !== null).map(({ topic }) => topic));
  const matchedIsRead = [...read].some((topic) => !named.includes(topic));
  const isUnread = ({ topic }: { readonly topic: string }): boolean =>
    !read.has(topic) && (named.includes(topic) || !matchedIsRead);
  const unread = offsets.filter(isUnread);
  const unreadUnknown = unknown.filter((where) => isUnread(where) && where.isMissing !== true);
  const silent = unreadUnknown.filter(({ partition }) => partition < 0);
  const isAllRead = read.size > 0 && unread.length === 0 && unreadUnknown.length === silent.length;
  if (silent[0] !== undefined && !isAllRead) throw new Error(describeNoAnswer(silent[0]));
  return {
    unread,
    unknown: unreadUnknown.filter(({ partition }) => partition >= 0),
    silent: silent.map(({ topic }) => topic),
  };
}
