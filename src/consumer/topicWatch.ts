import type { PipelineConfig } from '../config/config.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { findInputTopics } from '../kafka/existingTopics.js';

/** Which topics a pipeline reads: those that it names, and those that come to match its patterns, or cease to be. */
export class TopicWatch {
  readonly #admin: Pick<KafkaAdmin, 'listTopics'>;
  readonly #pipeline: PipelineConfig;
  /** What was there at the first look. */
  #first: ReadonlySet<string> | null = null;
  #topics: readonly string[] = [];
  /** Of these the last look has seen nothing. */
  #missed: ReadonlySet<string> = new Set();

  constructor(admin: Pick<KafkaAdmin, 'listTopics'>, pipeline: PipelineConfig) {
    this.#admin = admin;
    this.#pipeline = pipeline;
  }

  /** False where no look will ever find anything new. */
  get changes(): boolean {
    return this.#pipeline.topicPatterns.length > 0;
  }

  /**
   * The topics to be read, sorted. One that was read before is given up when two looks in turn have not seen it: a broker
   * that has just started may not know all topics yet. Rejects where Kafka does not answer.
   */
  async look(): Promise<readonly string[]> {
    const found = new Set(await findInputTopics(this.#admin, this.#pipeline));
    const missed = this.#topics.filter((topic) => !found.has(topic) && !this.#missed.has(topic));
    this.#missed = new Set(missed);
    this.#topics = [...found, ...missed].sort();
    this.#first ??= found;
    return this.#topics;
  }

  /** Whether a topic was there at the first look. */
  wasThere(topic: string): boolean {
    return this.#first?.has(topic) === true;
  }
}
