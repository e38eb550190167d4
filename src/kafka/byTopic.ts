import { groupBy } from '../lib/groupBy.js';

/** Partitions as Kafka's requests and kafkajs have them: a list for each topic. */
export function byTopic<Partition extends { readonly topic: string }, Entry>(
  partitions: Iterable<Partition>,
  entryOf: (partition: Partition) => Entry,
): { topic: string; partitions: Entry[] }[] {
  return Array.from(
    groupBy(partitions, ({ topic }) => topic),
    ([topic, ofTopic]) => ({ topic, partitions: ofTopic.map(entryOf) }),
  );
}
