import type { Kafka, KafkaMessage } from 'kafkajs';
import type { KafkaAdmin } from './admin.js';
import { partitionName } from '../protocol/record.js';
import { rangesOf, readRanges, type PartitionRange } from './readRanges.js';

/**
 * Hands over every message that a topic holds at the time of the call, in the order of each partition, one after the other. What lies
 * behind the beginning of a transaction that is still open may not be read yet.
 *
 * @param handle may take its time: the next message waits for it. Its error ends the reading.
 * @returns what was there and is not handed over, for open transactions
 */
export async function readTopic(
  kafka: Kafka,
  admin: KafkaAdmin,
  topic: string,
  handle: (message: KafkaMessage, partition: number) => Promise<void> | void,
): Promise<readonly PartitionRange[]> {
  // Before the ends of what may be read: what ends later than those then is really held back.
  const ends = await admin.fetchHighWatermarks(topic);
  const ranges = await rangesOf(admin, [topic]);
  await readRanges(kafka, admin, ranges, async (message, { partition }) => {
    await handle(message, partition);
    return false;
  });
  return ranges.flatMap((range) => {
    const end = ends.get(partitionName(range)) ?? 0;
    return end > range.to ? [{ ...range, from: range.to, to: end }] : [];
  });
}
