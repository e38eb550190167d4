import { messageOf } from '../lib/messageOf.js';
import { within } from '../lib/within.js';
import type { StateLog } from '../telemetry/logging.js';
import type { KafkaAdmin } from './admin.js';
import { UNUSABLE_TOPIC } from './errorType.js';
import { PublishError } from './topicProducer.js';

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
  readonly #admin: Pick<KafkaAdmin, 'describeTopics'>;
  readonly #stateLog: Pick<StateLog, 'problem' | 'well'>;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();

  constructor(
    admin: Pick<KafkaAdmin, 'describeTopics'>,
    stateLog: Pick<StateLog, 'problem' | 'well'>,
    now: () => number = () => performance.now(),
  ) {
    this.#admin = admin;
    this.#stateLog = stateLog;
    this.#now = now;
  }

  /**
   * The number of a topic's partitions. Null if Kafka has no such topic, or does not show it to this user.
   *
   * @throws PublishError if Kafka does not answer and no earlier answer is known
   */
  async count(topic: string): Promise<number | null> {
    const known = this.#known.get(topic);
    if (known !== undefined && this.#now() < known.untilMs) return known.partitions;
    try {
      const partitions = await this.#fetch(topic);
      const maxAgeMs = partitions === null ? MISSING_MAX_AGE_MS : FOUND_MAX_AGE_MS;
      this.#known.set(topic, { partitions, untilMs: this.#now() + maxAgeMs });
      this.#stateLog.well(`partitions of ${topic}`, `Kafka says again how many partitions topic ${topic} has`);
      return partitions;
    } catch (error) {
      if (known !== undefined) return known.partitions;
      const reason = messageOf(error);
      this.#stateLog.problem(
        `partitions of ${topic}`,
        `Kafka does not say how many partitions topic ${topic} has, so what is to go there waits: ${reason}`,
      );
      throw new PublishError(topic, reason, { cause: error });
    }
  }

  async #fetch(topic: string): Promise<number | null> {
    const { topics } = await within(this.#admin.describeTopics([topic]), ANSWER_WAIT_MS);
    const found = topics.get(topic);
    if (found === undefined) return null;
    const { error, partitions } = found;
    if (error === null) return partitions.length;
    if (UNUSABLE_TOPIC.includes(error)) return null;
    throw new Error(error);
  }
}
