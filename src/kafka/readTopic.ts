import type { Kafka, KafkaMessage } from 'kafkajs';
import type { KafkaAdmin } from './admin.js';
import { rangesOf, readRanges } from './readRanges.js';

/**
 * Hands over every message that a topic holds at the time of the call, in the order of each partition, one after the other.
 *
 * @param handle may take its time: the next message waits for it. Its error ends the reading.
 */
export async function readTopic(
  kafka: Kafka,
  admin: KafkaAdmin,
  topic: string,
  handle: (message: KafkaMessage, partition: number) => Promise<void> | void,
): Promise<void> {
  await readRanges(kafka, admin, await rangesOf(admin, [topic]), async (message, { partition }) => {
    await handle(message, partition);
    return false;
  });
}
