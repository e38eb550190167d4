import { within } from '../../lib/within.js';
import { askTopicAfterFetch, UNKNOWN_TOPIC_CODE } from './cluster.js';
import type { TopicAnswer, TopicQuestion } from './fetchedBatch.js';
import { internalModule, type ConsumerGroup, type Repairable } from './internals.js';

/**
 * The handler of a batch waits for the answer, and kafkajs fetches nothing from the broker meanwhile. So a broker that
 * hangs must not be waited for long. But one that is slow, or whose quota holds the question back, would never be read
 * if each question were given up so soon. So the wait doubles with each fetch without an answer, and an answer ends that.
 */
const ANSWER_WAIT_MS = 1_000;

/** The longest `kafka.requestTimeout`. At the configured one, kafkajs gives a question up. */
const ANSWER_WAIT_MS_MAX = 600_000;

/**
 * Lets whoever gets a fetched batch ask for the id that its topic has now. The broker that gave the batch is asked, over
 * the same connection: another broker may hang, or may not know yet that the topic was created again. All batches of one
 * answer share a question for each topic. A connection is answered in order: after one question without an answer no
 * other is asked until the next fetch. To be called once.
 */
export function repairTopicAnswers(): void {
  const { prototype } = internalModule('consumer/consumerGroup') as Repairable<ConsumerGroup>;
  const { fetch } = prototype;
  prototype.fetch = async function (nodeId) {
    const batches = await fetch.call(this, nodeId);
    const waits = (this.topicAnswerWaits ??= new Map<string, number>());
    const waitMs = waits.get(nodeId) ?? ANSWER_WAIT_MS;
    let silent = false;
    // Another question of the same fetch may change it.
    const isSilent = (): boolean => silent;
    const ask = async (topic: string): Promise<TopicAnswer> => {
      if (isSilent()) return { type: 'noAnswer' };
      try {
        const answer = await within(askTopic(this.cluster, nodeId, topic), waitMs);
        if (!isSilent()) waits.delete(nodeId);
        return answer;
      } catch {
        silent = true;
        waits.set(nodeId, Math.min(2 * waitMs, ANSWER_WAIT_MS_MAX));
        return { type: 'noAnswer' };
      }
    };
    const questions = new Map<string, TopicQuestion>();
    for (const batch of batches) {
      const { topic } = batch;
      batch.askTopic = () => {
        const question = questions.get(topic) ?? { askedAtMs: performance.now(), answer: ask(topic) };
        questions.set(topic, question);
        return question;
      };
    }
    return batches;
  };
}

async function askTopic(cluster: ConsumerGroup['cluster'], nodeId: string, topic: string): Promise<TopicAnswer> {
  const { topicErrorCode, topicId } = await askTopicAfterFetch(await cluster.findBroker({ nodeId }), topic);
  if (topicErrorCode === UNKNOWN_TOPIC_CODE) return { type: 'noTopic' };
  return topicErrorCode === 0 ? { type: 'topic', topicId } : { type: 'noAnswer' };
}
