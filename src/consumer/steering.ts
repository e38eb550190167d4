import type { Consumer } from 'kafkajs';
import { messageOf } from '../messageOf.js';
import type { TopicPartition } from '../records/record.js';
import type { Logger } from '../telemetry/logging.js';

/** Where a consumer reads, and what it does not read now. */
export class Steering {
  readonly #consumer: Pick<Consumer, 'seek' | 'pause' | 'resume'>;
  readonly #logger: Pick<Logger, 'debug'>;

  constructor(consumer: Pick<Consumer, 'seek' | 'pause' | 'resume'>, logger: Pick<Logger, 'debug'>) {
    this.#consumer = consumer;
    this.#logger = logger;
  }

  seek({ topic, partition }: TopicPartition, offset: number): void {
    this.#steer(() => this.#consumer.seek({ topic, partition, offset: String(offset) }));
  }

  pause(partitions: Iterable<TopicPartition>): void {
    const topics = byTopic(partitions);
    if (topics.length > 0) this.#steer(() => this.#consumer.pause(topics));
  }

  resume(partitions: Iterable<TopicPartition>): void {
    const topics = byTopic(partitions);
    if (topics.length > 0) this.#steer(() => this.#consumer.resume(topics));
  }

  /** kafkajs throws where it has no group right now; then it joins anew, or the process ends, and nothing is to be steered. */
  #steer(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#logger.debug({ error: messageOf(error) }, 'kafkajs has no group now');
    }
  }
}

function byTopic(partitions: Iterable<TopicPartition>): { topic: string; partitions: number[] }[] {
  const lists = new Map<string, number[]>();
  for (const { topic, partition } of partitions) lists.set(topic, [...(lists.get(topic) ?? []), partition]);
  return [...lists].map(([topic, list]) => ({ topic, partitions: list }));
}
