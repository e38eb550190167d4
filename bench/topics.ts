import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';

const KNOWN_WITHIN_MS = 30_000;
const POLL_MS = 50;

/** Creates topics, and waits until they can be asked for. */
export async function createTopics(kafka: Kafka, topics: readonly string[], partitions: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    // It gives up where a broker does not know the new topic yet.
    waitForLeaders: false,
    topics: topics.map((topic) => ({ topic, numPartitions: partitions })),
  });
  for (const topic of topics) await untilKnown(admin, topic);
  await admin.disconnect();
}

/** How many records a topic holds that was never cleaned. */
export async function heldRecords(kafka: Kafka, topic: string): Promise<number> {
  const admin = kafka.admin();
  await admin.connect();
  const held = await recordsIn(admin, topic);
  await admin.disconnect();
  return held;
}

/** The same, asked by a connection that is there. */
export async function recordsIn(admin: Admin, topic: string): Promise<number> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets.reduce((sum, { high }) => sum + Number(high), 0);
}

async function untilKnown(admin: Admin, topic: string): Promise<void> {
  for (const deadline = Date.now() + KNOWN_WITHIN_MS; ;) {
    try {
      await admin.fetchTopicOffsets(topic);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await sleep(POLL_MS);
    }
  }
}
