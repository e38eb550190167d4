import { randomUUID } from 'node:crypto';
import type { Admin, Kafka, KafkaMessage } from 'kafkajs';

/** A topic that gives nothing for so long is taken as read: compaction or transactions may have left nothing at its end. */
const SILENCE_MS = 10_000;
/** A new group waits for more members before it begins (`group.initial.rebalance.delay.ms`, 3 s by default). */
const JOIN_MS = 10_000;

/**
 * Hands over every message that a topic holds at the time of the call, in the order of each partition, one after the other.
 * Reads with a group of its own, which is deleted at the end.
 *
 * @param handle may take its time: the next message waits for it. Its error ends the reading.
 */
export async function readTopic(
  kafka: Kafka,
  admin: Admin,
  topic: string,
  handle: (message: KafkaMessage, partition: number) => Promise<void> | void,
): Promise<void> {
  if (!(await admin.listTopics()).includes(topic)) throw new Error(`Kafka has no topic ${topic}`);
  const unread = new Map<number, number>();
  for (const { partition, low, high } of await admin.fetchTopicOffsets(topic))
    if (Number(high) > Number(low)) unread.set(partition, Number(high));
  if (unread.size === 0) return;

  const groupId = `ktb-read-${randomUUID()}`;
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: 500 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      let silence = setTimeout(resolve, SILENCE_MS + JOIN_MS);
      const fail = (error: unknown): void => reject(error instanceof Error ? error : new Error(String(error)));
      consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
      consumer
        .run({
          autoCommit: false,
          eachBatch: async (payload) => {
            const { batch } = payload;
            clearTimeout(silence);
            const { partition, messages } = batch;
            const end = unread.get(partition);
            try {
              for (const message of messages) {
                if (!payload.isRunning() || end === undefined || Number(message.offset) >= end) break;
                await handle(message, partition);
                await payload.heartbeat();
              }
            } catch (error) {
              fail(error);
              return;
            }
            if (end !== undefined && Number(batch.lastOffset()) + 1 >= end) unread.delete(partition);
            if (unread.size === 0) resolve();
            else silence = setTimeout(resolve, SILENCE_MS);
          },
        })
        .catch(fail);
    });
  } finally {
    await consumer.disconnect();
    await admin.deleteGroups([groupId]).catch(() => undefined); // It expires by itself.
  }
}
