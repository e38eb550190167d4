import type { Admin, Kafka } from 'kafkajs';
import type { PipelineConfig } from '../config/config.js';
import { visitGroup } from '../kafka/groupVisit.js';
import { fetchGroupOffsets, type GroupOffsets } from '../kafka/offsets.js';
import { formatCommitMetadata, READING } from './commitMetadata.js';
import { findPartitionStarts, type PartitionStarts, type PartitionStartsOptions } from './partitionStarts.js';
import { newEpoch } from './readingPlans.js';

/**
 * Carries out `startFrom: latest`, before anything is read: commits the ends of the logs that were never read. Otherwise they
 * would be somewhere else after the next rebalance, and what had been written until then would be skipped. From then on what
 * has no offset is new, and read from its beginning.
 *
 * @param topics of these the ends count
 * @returns how many partitions have got an offset. Rejects where Kafka or the batchers do not answer, or the group
 *   rebalances while it commits: try again then
 */
export async function commitLatest(
  topics: readonly string[],
  options: Omit<PartitionStartsOptions, 'startFrom'> & { kafka: Kafka },
): Promise<number> {
  const { kafka, admin, pipeline } = options;
  if ((await neverRead(admin, pipeline, topics)).length === 0) return 0;
  return visitGroup(kafka, { groupId: pipeline.groupId, topics }, async ({ rebalances, commit }) => {
    let seen: number;
    let found: PartitionStarts;
    do {
      seen = rebalances();
      // What other members have done before they let this one in is seen now.
      const partitions = await neverRead(admin, pipeline, topics);
      found = await findPartitionStarts(partitions, { ...options, startFrom: 'latest' });
    } while (seen !== rebalances());
    const { clusterId, starts } = found;
    const { layout } = pipeline;
    const commits = starts.flatMap((start) => {
      if (start.type !== 'newEpoch' || start.reason !== 'never read before') return [];
      const { topic, partition, offset } = start;
      const metadata = formatCommitMetadata({ epoch: newEpoch(), layout, clusterId, state: READING });
      return [{ topic, partition, offset: String(offset), metadata }];
    });
    if (commits.length > 0) await commit(commits);
    return commits.length;
  });
}

/**
 * Partitions of topics that the group has no offset for at all. One that has some has got partitions later; a topic that comes
 * to match a pattern beside others that have some has come later, too.
 */
async function neverRead(
  admin: Admin,
  { groupId, topics: named }: PipelineConfig,
  topics: readonly string[],
): Promise<GroupOffsets[]> {
  const offsets = await fetchGroupOffsets(admin, groupId, topics);
  const read = new Set(offsets.filter(({ committedOffset }) => committedOffset !== null).map(({ topic }) => topic));
  const matchedIsRead = [...read].some((topic) => !named.includes(topic));
  return offsets.filter(({ topic }) => !read.has(topic) && (named.includes(topic) || !matchedIsRead));
}
