import type { KafkajsBatch } from '../../src/kafka/kafkajs/fetchedBatch.js';
import { internalModule } from '../../src/kafka/kafkajs/internals.js';

/** What tests use of kafkajs's own consumer group. */
export interface ReadingGroup {
  fetch(nodeId: string): Promise<KafkajsBatch[]>;
  readonly subscriptionState: { assign(list: object[]): void };
  offsetManager: object;
  recoverFromOffsetOutOfRange: (error: { topic: string; partition: number }) => Promise<void>;
}

/** A function of a cluster, an offset manager or a logger that has nothing to do. */
export const nothing = (): Promise<void> => Promise.resolve();

/**
 * kafkajs's own consumer group over a cluster that the test makes. It reads these partitions of each topic from offset 0.
 *
 * @param options.topics Default: `orders`
 * @param options others of the group besides
 */
export function readingGroup(
  cluster: object,
  partitions: readonly number[],
  { topics = ['orders'], ...more }: { readonly topics?: readonly string[] } & Readonly<Record<string, unknown>> = {},
): ReadingGroup {
  const quiet = { debug: nothing, info: nothing, warn: nothing, error: nothing };
  const ConsumerGroup = internalModule('consumer/consumerGroup') as new (options: object) => ReadingGroup;
  const group = new ConsumerGroup({
    cluster,
    topics,
    assigners: [],
    maxWaitTimeInMs: 1,
    logger: { namespace: () => quiet },
    ...more,
  });
  group.subscriptionState.assign(topics.map((topic) => ({ topic, partitions })));
  const committed = Object.fromEntries(partitions.map((partition) => [partition, '0']));
  group.offsetManager = {
    resolveOffsets: nothing,
    committedOffsets: () => Object.fromEntries(topics.map((topic) => [topic, committed])),
    nextOffset: () => '0',
  };
  return group;
}
