import type { Kafka } from 'kafkajs';
import type { KafkaAdmin } from './admin.js';
import { partitionName, type KafkaRecord } from '../protocol/record.js';
import { rangesOf, readRanges, type PartitionRange, type PassedOver } from './readRanges.js';

/**
 * Reads all records that a topic has at the time of the call, one after the other, in the order of each partition.
 * Records from the beginning of an open transaction on cannot be read yet.
 *
 * @param handle is awaited before the next record. Its error ends the reading
 * @param passedOver is called for offsets that cannot be read
 * @param first by partition, the last of the offsets that are read before all others of the topic
 * @returns the ranges that were not read because of open transactions
 */
export async function readTopic(
  kafka: Kafka,
  admin: KafkaAdmin,
  topic: string,
  handle: (record: KafkaRecord, partition: number) => Promise<void> | void,
  passedOver: (unreadable: PassedOver) => void,
  first: ReadonlyMap<number, number> = new Map(),
): Promise<readonly PartitionRange[]> {
  // These ends are asked for first. So a log that is longer than what may be read is really held back.
  const ends = await admin.fetchHighWatermarks(topic);
  const ranges = await rangesOf(admin, [topic]);
  const handlers = {
    record: async (record: KafkaRecord, { partition }: PartitionRange) => {
      await handle(record, partition);
      return false;
    },
    passedOver,
  };
  const restOf = ({ partition, from, to }: PartitionRange): number =>
    Math.min(to, Math.max(from, (first.get(partition) ?? -1) + 1));
  for (const part of [
    ranges.map((range) => ({ ...range, to: restOf(range) })),
    ranges.map((range) => ({ ...range, from: restOf(range) })),
  ])
    await readRanges(kafka, admin, part, handlers);
  return ranges.flatMap((range) => {
    const end = ends.get(partitionName(range)) ?? 0;
    return end > range.to ? [{ ...range, from: range.to, to: end }] : [];
  });
}
