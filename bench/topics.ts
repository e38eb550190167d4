import { setTimeout as sleep } from 'node:timers/promises';
import type { Admin, Kafka } from 'kafkajs';

const KNOWN_WITHIN_MS = 30_000;
const POLL_MS = 50;

/** Creates topics, and waits until they can be asked for. */
export async function createTopics(kafka: Kafka, topics: readonly string[], partitions: number): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    await admin.createTopics({
      // It gives up where a broker does not know the new topic yet.
      waitForLeaders: false,
      topics: topics.map((topic) => ({ topic, numPartitions: partitions })),
    });
    for (const topic of topics) await untilKnown(admin, topic);
  });
}

/** How many records a topic holds that was never cleaned. */
export async function recordsIn(admin: Admin, topic: string): Promise<number> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets.reduce((sum, { high }) => sum + Number(high), 0);
}

/** Connects for one use. */
export async function withAdmin<Result>(kafka: Kafka, use: (admin: Admin) => Promise<Result>): Promise<Result> {
  const admin = kafka.admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
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
