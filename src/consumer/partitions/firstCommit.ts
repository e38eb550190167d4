import type { KafkaAdmin } from '../../kafka/admin.js';
import { commitParts } from '../../kafka/commitParts.js';
import { isOfType, NOT_AUTHORIZED } from '../../kafka/errorType.js';
import type { GroupVisit } from '../../kafka/groupVisit.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { formatUnfinished } from './commitMetadata.js';

/** Where a partition that was never read begins, as it is committed. */
export interface FirstStart extends TopicPartition {
  readonly offset: string;
  readonly metadata: string;
  /** Milliseconds since 1970. No record that was written then or later may be skipped. 0: none at all. */
  readonly sinceMs: number;
}

export interface FirstCommitOptions {
  readonly admin: Pick<KafkaAdmin, 'fetchCommits'>;
  readonly groupId: string;
  readonly commit: GroupVisit['commit'];
  /** False once the group has rebalanced. What is to be committed may no longer be true then. */
  readonly isCurrent: () => boolean;
}

/**
 * Commits where partitions begin, so that it can be seen whether that was finished:
 *
 *     one part: all at once
 *     more:     unfinished: a partition of each topic ──► all the others ──► the partitions of the first step
 *
 * While any partition is `unfinished`, what has no offset is not new: its commit was to come. Whoever finds it so begins
 * again (see `latestStart.ts`). In the last step every partition has an offset.
 *
 * @returns the topics that Kafka refuses to this user. It commits the others, and kafkajs says only that the commit
 *   failed. So the group is asked which ones are there. Null if the group has rebalanced: a part of it may be done
 * @throws Error of Kafka or kafkajs, or of {@link GroupVisit.commit}. A part of it may be done
 */
export async function commitStarts(
  starts: readonly FirstStart[],
  { admin, groupId, commit, isCurrent }: FirstCommitOptions,
): Promise<ReadonlySet<string> | null> {
  const refused = new Set<string>();
  for (const part of steps(starts).flatMap(commitParts)) {
    const due = part.filter(({ topic }) => !refused.has(topic));
    if (due.length === 0) continue;
    if (!isCurrent()) return null;
    try {
      await commit(due.map(({ topic, partition, offset, metadata }) => ({ topic, partition, offset, metadata })));
    } catch (error) {
      if (!isOfType(error, NOT_AUTHORIZED)) throw error;
      const commits = await admin.fetchCommits(groupId, due);
      const left = due.filter((start) => commits.get(partitionName(start))?.metadata !== start.metadata);
      if (left.length === 0) throw error;
      for (const { topic } of left) refused.add(topic);
    }
  }
  return refused;
}

function steps(starts: readonly FirstStart[]): (readonly FirstStart[])[] {
  if (commitParts(starts).length <= 1) return [starts];
  const byTopic = new Map<string, FirstStart>();
  for (const start of starts) if (!byTopic.has(start.topic)) byTopic.set(start.topic, start);
  const heads = [...byTopic.values()];
  return [
    heads.map((start) => ({ ...start, offset: '0', metadata: formatUnfinished(start.sinceMs) })),
    starts.filter((start) => byTopic.get(start.topic) !== start),
    heads,
  ];
}
