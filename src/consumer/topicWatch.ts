import type { PipelineConfig } from '../config/config.js';
import { inputTopics, passedOverTopics } from '../config/topics.js';
import type { KafkaAdmin } from '../kafka/admin.js';

/** Knows which topics a pipeline reads: those that it names, and those that match its patterns now. */
export class TopicWatch {
  readonly #admin: Pick<KafkaAdmin, 'listTopics'>;
  readonly #pipeline: PipelineConfig;
  /** The topics that existed at the first check. */
  #first: ReadonlySet<string> | null = null;
  #topics: readonly string[] = [];
  /** Topics that were missing at the last check. */
  #missed: ReadonlySet<string> = new Set();
  #passedOver: readonly string[] = [];

  constructor(admin: Pick<KafkaAdmin, 'listTopics'>, pipeline: PipelineConfig) {
    this.#admin = admin;
    this.#pipeline = pipeline;
  }

  /** False if the topics can never change. */
  get changes(): boolean {
    return this.#pipeline.topicPatterns.length > 0;
  }

  /** Topics that matched at the last check, and that cannot be read. */
  get passedOver(): readonly string[] {
    return this.#passedOver;
  }

  /**
   * Checks which topics have to be read now, and returns them sorted. A topic is given up only if it is missing at two
   * checks in a row, because a broker that has just started may not know all topics yet. Rejects if Kafka does not
   * answer.
   */
  async check(): Promise<readonly string[]> {
    const existing = this.changes ? await this.#admin.listTopics() : [];
    this.#passedOver = passedOverTopics(this.#pipeline, existing);
    const found = new Set(inputTopics(this.#pipeline, existing));
    const missed = this.#topics.filter((topic) => !found.has(topic) && !this.#missed.has(topic));
    this.#missed = new Set(missed);
    this.#topics = [...found, ...missed].sort();
    this.#first ??= found;
    return this.#topics;
  }

  /** Whether a topic existed at the first check. */
  wasThere(topic: string): boolean {
    return this.#first?.has(topic) === true;
  }
}
