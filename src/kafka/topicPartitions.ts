import type { Admin } from 'kafkajs';
import { isOfType } from './errorType.js';
import { within } from '../lib/within.js';

/** As long as this is a topic's number of partitions believed; they are added seldom, and never taken away. */
const FOUND_MAX_AGE_MS = 30_000;
/** A topic that is missing is looked for again sooner: somebody may be waiting for it. */
const MISSING_MAX_AGE_MS = 5_000;

/** Whoever asks holds a slot of the worker meanwhile. */
const ANSWER_WAIT_MS = 10_000;

interface Known {
  readonly partitions: number | null;
  readonly untilMs: number;
}

/** How many partitions topics have. The topics asked for must be few: what is known of them is kept. */
export class TopicPartitions {
  readonly #admin: Pick<Admin, 'connect' | 'fetchTopicMetadata'>;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();

  /** @param admin connected when it is first needed; whoever made it disconnects it */
  constructor(admin: Pick<Admin, 'connect' | 'fetchTopicMetadata'>, now: () => number = () => performance.now()) {
    this.#admin = admin;
    this.#now = now;
  }

  /**
   * The number of a topic's partitions; null where Kafka has no such topic, or does not show it to this user.
   *
   * @throws kafkajs's error where Kafka does not answer and nothing is known from before
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
      if (MISSING.some((type) => isOfType(error, type))) return null;
      throw error;
    }
  }
}

const MISSING = ['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION', 'TOPIC_AUTHORIZATION_FAILED'];
