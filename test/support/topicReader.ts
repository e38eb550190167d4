import { randomUUID } from 'node:crypto';
import type { Consumer, Kafka } from 'kafkajs';
import { atTestEnd } from './besideOthers.js';
import { headersOf } from './headers.js';

/**
 * How long a broker keeps the request of a consumer that reads along with a test. What comes ends the wait; each empty answer takes a
 * millisecond of processor time of both.
 */
export const IDLE_WAIT_MS = 500;

/** A message as it lies in the topic; of headers of one name the last. */
export interface ReadMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer>>;
}

/** Collects everything that is in some topics, and what comes, until the test is over. Never creates a topic. */
export class TopicReader {
  readonly messages: ReadMessage[] = [];
  readonly #consumer: Consumer;

  private constructor(consumer: Consumer) {
    this.#consumer = consumer;
  }

  static async start(kafka: Kafka, topics: readonly string[]): Promise<TopicReader> {
    const groupId = `reader-${randomUUID()}`;
    const consumer = kafka.consumer({ groupId, allowAutoTopicCreation: false, maxWaitTimeInMs: IDLE_WAIT_MS });
    const reader = new TopicReader(consumer);
    atTestEnd(() => reader.close());
    await consumer.connect();
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: ({ batch: { topic, partition, messages } }) => {
        for (const message of messages) {
          const { key, value } = message;
          const last = Object.entries(headersOf(message)).map(([name, values]) => [
            name,
            Buffer.from((Array.isArray(values) ? values.at(-1) : values) ?? ''),
          ]);
          reader.messages.push({
            topic,
            partition,
            key,
            value,
            headers: Object.fromEntries(last) as Record<string, Buffer>,
          });
        }
        return Promise.resolve();
      },
    });
    return reader;
  }

  close(): Promise<void> {
    return this.#consumer.disconnect();
  }
}
