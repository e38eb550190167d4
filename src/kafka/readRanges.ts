import { randomUUID } from 'node:crypto';
import type { Admin, Kafka, KafkaMessage } from 'kafkajs';
import { fetchLogOffsets, offsetsAt } from './offsets.js';
import { partitionName, type TopicPartition } from '../records/record.js';

/** Offsets of one partition: from the first up to, but not including, the second. */
export interface PartitionRange extends TopicPartition {
  readonly from: number;
  readonly to: number;
}

/** A partition that gives nothing for so long is taken as read: compaction or transactions may have left nothing at its end. */
const SILENCE_MS = 10_000;
/** A new group waits for more members before it begins (`group.initial.rebalance.delay.ms`, 3 s by default). */
const JOIN_MS = 10_000;

/**
 * Hands over every message of some ranges of offsets, in the order of each partition, one after the other. Reads with a
 * group of its own, which is deleted at the end.
 *
 * @param handle may take its time: the next message waits for it. Says whether enough is read. Its error ends the reading.
 */
export async function readRanges(
  kafka: Kafka,
  admin: Admin,
  ranges: readonly PartitionRange[],
  handle: (message: KafkaMessage, range: PartitionRange) => Promise<boolean> | boolean,
): Promise<void> {
  const unread = new Map(ranges.filter(({ from, to }) => from < to).map((range) => [partitionName(range), range]));
  if (unread.size === 0) return;
  const topics = [...new Set([...unread.values()].map(({ topic }) => topic))];
  const groupId = `ktb-read-${randomUUID()}`;
  const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: 500 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topics, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      let silence = setTimeout(resolve, SILENCE_MS + JOIN_MS);
      const fail = (error: unknown): void => reject(error instanceof Error ? error : new Error(String(error)));
      consumer.on(consumer.events.CRASH, ({ payload }) => fail(payload.error));
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        for (const [topic, partitions] of Object.entries(payload.memberAssignment)) {
          for (const partition of partitions) {
            const range = unread.get(partitionName({ topic, partition }));
            if (range === undefined) consumer.pause([{ topic, partitions: [partition] }]);
            else consumer.seek({ topic, partition, offset: String(range.from) });
          }
        }
      });
      consumer
        .run({
          autoCommit: false,
          eachBatch: async (payload) => {
            const { topic, partition, messages } = payload.batch;
            const range = unread.get(partitionName({ topic, partition }));
            if (range === undefined) return;
            clearTimeout(silence);
            try {
              for (const message of messages) {
                const offset = Number(message.offset);
                if (!payload.isRunning() || offset >= range.to) break;
                if (offset < range.from) continue;
                if (await handle(message, range)) {
                  resolve();
                  return;
                }
                await payload.heartbeat();
              }
            } catch (error) {
              fail(error);
              return;
            }
            if (Number(payload.batch.lastOffset()) + 1 >= range.to) {
              unread.delete(partitionName(range));
              payload.pause();
            }
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

/**
 * All that topics hold, by partition.
 *
 * @param sinceMs only what was written at this time or later, by the messages' own timestamps
 * @throws Error where Kafka has no such topic
 */
export async function rangesOf(admin: Admin, topics: readonly string[], sinceMs?: number): Promise<PartitionRange[]> {
  const existing = new Set(await admin.listTopics());
  const missing = topics.find((topic) => !existing.has(topic));
  if (missing !== undefined) throw new Error(`Kafka has no topic ${missing}`);
  const logs = await fetchLogOffsets(admin, topics);
  const startOf = await offsetsAt(admin, logs, sinceMs === undefined ? 'earliest' : { timestampMs: sinceMs });
  return logs.map((log) => {
    const { topic, partition, logStart, logEnd } = log;
    return { topic, partition, from: Math.max(logStart, startOf(log)), to: logEnd };
  });
}
