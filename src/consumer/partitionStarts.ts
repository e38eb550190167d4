import type { Admin } from 'kafkajs';
import type { PipelineConfig, StartFrom } from '../config/config.js';
import { fetchGroupOffsets, offsetsAt } from '../kafka/offsets.js';
import { mapConcurrently } from '../mapConcurrently.js';
import type { PartitionCoverage } from '../records/batcher.js';
import type { Layout } from '../records/batcherId.js';
import { partitionName, type TopicPartition } from '../records/record.js';
import type { BatcherClient } from './batcherClient.js';
import {
  knownPosition,
  lastEpoch,
  startPosition,
  type KnownEpoch,
  type KnownPosition,
  type SameEpoch,
  type StartPosition,
} from './startPosition.js';

/** Where and how a partition is to be read, with nothing left to find out but what only its records tell. */
export type PartitionStart = TopicPartition &
  (
    | Exclude<StartPosition, { readonly type: 'newEpoch' | 'askBatchers' }>
    | (Extract<StartPosition, { readonly type: 'newEpoch' }> & { readonly offset: number })
    | SameEpoch
    | (Extract<KnownPosition, { readonly type: 'compare' }> & { readonly logStart: number })
  );

export interface PartitionStarts {
  readonly clusterId: string;
  readonly starts: readonly PartitionStart[];
}

export interface PartitionStartsOptions {
  readonly admin: Admin;
  readonly pipeline: PipelineConfig;
  /** Where partitions start that were never read. */
  readonly startFrom: StartFrom;
  /** All layouts that the pipeline has had. */
  readonly layouts: () => Promise<readonly Layout[]>;
  readonly batchersOf: (layout: Layout) => readonly BatcherClient[];
}

/**
 * Finds out where assigned partitions start: from the group's commits, the log, and, where nothing is committed, from what
 * the batchers remember. Reads only. Rejects where one of them does not answer.
 */
export async function findPartitionStarts(
  partitions: readonly TopicPartition[],
  { admin, pipeline, startFrom, layouts, batchersOf }: PartitionStartsOptions,
): Promise<PartitionStarts> {
  const { groupId, layout } = pipeline;
  const topics = [...new Set(partitions.map(({ topic }) => topic))];
  const [{ clusterId }, offsets] = await Promise.all([
    admin.describeCluster(),
    fetchGroupOffsets(admin, groupId, topics),
  ]);
  const byPartition = new Map(offsets.map((facts) => [partitionName(facts), facts]));
  let known: Promise<ReadonlyMap<string, KnownEpoch>> | undefined;
  const starts: PartitionStart[] = [];
  for (const { topic, partition } of partitions) {
    const facts = byPartition.get(partitionName({ topic, partition }));
    if (facts === undefined) throw new Error(`Kafka does not know partition ${partition} of topic ${topic}`);
    const resolve = async (from: number | StartFrom): Promise<number> => (await offsetsAt(admin, [facts], from))(facts);
    const position = startPosition(facts, { layout, clusterId });
    if (position.type === 'newEpoch') {
      starts.push({ ...position, topic, partition, offset: await resolve(position.offset) });
    } else if (position.type === 'askBatchers') {
      known ??= layouts().then((all) => lastEpochs(all, batchersOf));
      const last = (await known).get(partitionName({ topic, partition })) ?? null;
      const found = knownPosition(last, facts, { layout, startFrom });
      if (found.type === 'newEpoch') starts.push({ ...found, topic, partition, offset: await resolve(found.offset) });
      else if (found.type === 'compare') starts.push({ ...found, topic, partition, logStart: facts.logStart });
      else starts.push({ ...found, topic, partition });
    } else {
      starts.push({ ...position, topic, partition });
    }
  }
  return { clusterId, starts };
}

/** Per partition the epoch that the batchers were sent last. */
async function lastEpochs(
  layouts: readonly Layout[],
  batchersOf: (layout: Layout) => readonly BatcherClient[],
): Promise<Map<string, KnownEpoch>> {
  const byPartition = new Map<string, { layout: Layout; coverage: PartitionCoverage }[]>();
  for (const layout of layouts) {
    for (const state of await mapConcurrently(batchersOf(layout), (batcher) => batcher.coverage())) {
      for (const coverage of state) {
        const name = partitionName(coverage);
        byPartition.set(name, [...(byPartition.get(name) ?? []), { layout, coverage }]);
      }
    }
  }
  const known = new Map<string, KnownEpoch>();
  for (const [name, coverages] of byPartition) {
    const last = lastEpoch(coverages);
    if (last !== null) known.set(name, last);
  }
  return known;
}
