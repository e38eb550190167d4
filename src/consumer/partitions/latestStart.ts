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

/** How many partitions begin at the ends of their logs, and which ones begin with what is written from now on. */
export interface LatestStart {
  readonly atEnds: number;
  readonly waiting: readonly NoAnswer[];
  /**
   * Topics about which Kafka says nothing, for example because the user lacks rights. Nothing can be committed for them
   * now. If a partition of them has no offset when Kafka shows it, it is read from what was written since `sinceMs`.
   */
  readonly silent: readonly string[];
  /** When Kafka was asked, in milliseconds since 1970. */
  readonly sinceMs: number;
}

/**
 * Carries out `startFrom: latest`, before anything is read. It commits the ends of the logs that were never read.
 * Otherwise the ends would be somewhere else after the next rebalance, and the records in between would be skipped.
 * From then on a partition without an offset is new, and is read from its beginning. If an end cannot be found out now,
 * for example without a leader, the same commit has the time in place of the end. So a restart does not take that
 * partition for a new one.
 *
 * @param topics the topics whose ends count
 * @param nowMs by the wall clock
 * @throws Error, and a later try may help, if Kafka or the batchers do not answer, or the group rebalances during the
 *   commit. Also if Kafka says nothing about an existing topic, so that its partitions cannot be named, while offsets
 *   have to be committed or none are yet. A topic that does not exist is no error: it is new when it appears, and is
 *   read from its beginning
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
      // By now this member sees what other members did before it joined.
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
 * Finds the partitions of topics for which the group has no offset at all. If a topic has some offsets, its other
 * partitions are new. If some topics that match a pattern have offsets, the other ones are new.
 *
 * A topic about which Kafka says nothing may have been read. It can wait only if no offset has to be committed: beside
 * committed topics it would later look new.
 *
 * @throws Error if Kafka says nothing about an existing topic, while offsets of others have to be committed, or none
 *   are yet
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
