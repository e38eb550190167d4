import type { Admin } from 'kafkajs';
import { isUnusableTopic } from './errorType.js';
import { within } from '../lib/within.js';

/** How long a topic's number of partitions is remembered. Partitions are added seldom and never removed. */
const FOUND_MAX_AGE_MS = 30_000;
/** A missing topic is asked for again sooner, because somebody may be waiting for it. */
const MISSING_MAX_AGE_MS = 5_000;

/** The caller holds a slot of the worker while it waits. */
const ANSWER_WAIT_MS = 10_000;

interface Known {
  readonly partitions: number | null;
  readonly untilMs: number;
}

/** Knows how many partitions topics have. It keeps an entry for each topic, so it must be asked for few topics only. */
export class TopicPartitions {
  readonly #admin: Pick<Admin, 'connect' | 'fetchTopicMetadata'>;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();

  /** @param admin is connected on the first call. Its owner disconnects it */
  constructor(admin: Pick<Admin, 'connect' | 'fetchTopicMetadata'>, now: () => number = () => performance.now()) {
    this.#admin = admin;
    this.#now = now;
  }

  /**
   * The number of a topic's partitions. Null if Kafka has no such topic, or does not show it to this user.
   *
   * @throws kafkajs's error if Kafka does not answer and no earlier answer is known
   */
  async count(topic: string): Promise<number | null> {
    const known = this.#known.get(topic);
    if (known !== undefined && this.#now() < known.untilMs) return known.partitions;
    try {
      const partitions = await this.#fetch(topic);
      const maxAgeMs = partitions === null ? MISSING_MAX_AGE_MS : FOUND_MAX_AGE_MS;
      this.#known.set(topic, { partitions, untilMs: this.#now() + maxAgeMs });
      return partitions;
    } catch (error) {
      if (known === undefined) throw error;
      return known.partitions;
    }
  }

  async #fetch(topic: string): Promise<number | null> {
    try {
      const fetched = this.#admin.connect().then(() => this.#admin.fetchTopicMetadata({ topics: [topic] }));
      const { topics } = await within(fetched, ANSWER_WAIT_MS);
      return topics[0]?.partitions.length ?? null;
    } catch (error) {
      if (isUnusableTopic(error)) return null;
      throw error;
    }
  }
}
