import type { Kafka } from 'kafkajs';
import type { PipelineConfig } from '../config/config.js';
import type { KafkaAdmin, NoAnswer } from '../kafka/admin.js';
import { visitGroup } from '../kafka/groupVisit.js';
import { findGroupOffsets, type GroupOffsets } from '../kafka/offsets.js';
import { formatCommitMetadata, READING } from './commitMetadata.js';
import {
  findPartitionStarts,
  settleDoubts,
  type PartitionStart,
  type PartitionStartsOptions,
} from './partitionStarts.js';
import { newEpoch } from './readingPlans.js';

/**
 * Carries out `startFrom: latest`, before anything is read: commits the ends of the logs that were never read. Otherwise they
 * would be somewhere else after the next rebalance, and what had been written until then would be skipped. From then on what
 * has no offset is new, and read from its beginning.
 *
 * @param topics of these the ends count
 * @returns how many partitions have got an offset, and those whose ends cannot be found out now. Rejects where Kafka or the
 *   batchers do not answer, or the group rebalances while it commits: try again then
 */
export async function commitLatest(
  topics: readonly string[],
  options: Omit<PartitionStartsOptions, 'startFrom'> & { kafka: Kafka },
): Promise<{ readonly committed: number; readonly unknown: readonly NoAnswer[] }> {
  const { kafka, admin, pipeline } = options;
  const { unread, unknown } = await neverRead(admin, pipeline, topics);
  if (unread.length === 0) return { committed: 0, unknown };
  return visitGroup(kafka, { groupId: pipeline.groupId, topics }, async ({ rebalances, commit }) => {
    let seen: number;
    let clusterId: string | null;
    let starts: readonly PartitionStart[];
    let waiting: readonly NoAnswer[];
    do {
      seen = rebalances();
      // What other members have done before they let this one in is seen now.
      const before = await neverRead(admin, pipeline, topics);
      const found = await findPartitionStarts(before.unread, options);
      const settled = await settleDoubts(found.doubts, { ...options, startFrom: () => 'latest' });
      ({ clusterId } = found);
      ({ starts } = settled);
      waiting = [...before.unknown, ...found.unknown, ...settled.unknown];
    } while (seen !== rebalances());
    const { layout } = pipeline;
    const commits = starts.flatMap((start) => {
      if (start.type !== 'newEpoch' || start.reason !== 'never read before') return [];
      const { topic, partition, offset } = start;
      const metadata = formatCommitMetadata({ epoch: newEpoch(), layout, clusterId: clusterId ?? '', state: READING });
      return [{ topic, partition, offset: String(offset), metadata }];
    });
    if (commits.length > 0) await commit(commits);
    return { committed: commits.length, unknown: waiting };
  });
}

/**
 * Partitions of topics that the group has no offset for at all. One that has some has got partitions later; a topic that comes
 * to match a pattern beside others that have some has come later, too.
 */
async function neverRead(
  admin: KafkaAdmin,
  { groupId, topics: named }: PipelineConfig,
  topics: readonly string[],
): Promise<{ readonly unread: readonly GroupOffsets[]; readonly unknown: readonly NoAnswer[] }> {
  const { logs: offsets, unknown } = await findGroupOffsets(admin, groupId, topics);
  const read = new Set(offsets.filter(({ committedOffset }) => committedOffset !== null).map(({ topic }) => topic));
  const matchedIsRead = [...read].some((topic) => !named.includes(topic));
  const isUnread = ({ topic }: { readonly topic: string }): boolean =>
    !read.has(topic) && (named.includes(topic) || !matchedIsRead);
  return { unread: offsets.filter(isUnread), unknown: unknown.filter(isUnread) };
}
