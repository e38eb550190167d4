import { within } from '../../lib/within.js';
import { askTopicAfterFetch, UNKNOWN_TOPIC, type Cluster } from './cluster.js';
import type { KafkajsBatch } from './fetchedBatch.js';
import { internalModule, type Repairable } from './internals.js';

/** What a broker says of a topic after it has answered a fetch. */
export type TopicAnswer =
  /** The id is absent if the broker does not tell it (Kafka before 2.8). */
  | { readonly type: 'topic'; readonly topicId?: string | undefined }
  | { readonly type: 'noTopic' }
  /** None came in time. */
  | { readonly type: 'noAnswer' };

export interface TopicQuestion {
  /** By `performance.now()`. */
  readonly askedAtMs: number;
  /** Never rejects, and takes a second at most. */
  readonly answer: Promise<TopicAnswer>;
}

/** The handler of a batch waits for the answer, and kafkajs fetches nothing from the broker meanwhile. */
const ANSWER_WAIT_MS = 1_000;

interface ConsumerGroup {
  readonly cluster: Pick<Cluster, 'findBroker'>;
  fetch: (this: ConsumerGroup, nodeId: string) => Promise<KafkajsBatch[]>;
}

/**
 * Lets whoever gets a fetched batch ask for the id that its topic has now. The broker that gave the batch is asked, over
 * the same connection: another broker may hang, or may not know yet that the topic was created again. All batches of one
 * answer share a question for each topic. To be called once.
 */
export function repairTopicAnswers(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { fetch } = prototype;
  prototype.fetch = async function (nodeId) {
    const batches = await fetch.call(this, nodeId);
    const questions = new Map<string, TopicQuestion>();
    for (const batch of batches) {
      const { topic } = batch;
      batch.askTopic = () => {
        const question = questions.get(topic) ?? {
          askedAtMs: performance.now(),
          answer: askTopic(this.cluster, nodeId, topic),
        };
        questions.set(topic, question);
        return question;
      };
    }
    return batches;
  };
}

async function askTopic(cluster: ConsumerGroup['cluster'], nodeId: string, topic: string): Promise<TopicAnswer> {
  try {
    const ask = cluster.findBroker({ nodeId }).then((broker) => askTopicAfterFetch(broker, topic));
    const { topicErrorCode, topicId } = await within(ask, ANSWER_WAIT_MS);
    if (topicErrorCode === UNKNOWN_TOPIC) return { type: 'noTopic' };
    return topicErrorCode === 0 ? { type: 'topic', topicId } : { type: 'noAnswer' };
  } catch {
    return { type: 'noAnswer' };
  }
}
