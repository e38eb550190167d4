import { inputTopics, type TopicChoice } from '../config/topics.js';
import type { KafkaAdmin } from './admin.js';

/** The input topics of a pipeline that exist now. Asks Kafka only if a pattern has to be matched. */
export async function findInputTopics(admin: Pick<KafkaAdmin, 'listTopics'>, choice: TopicChoice): Promise<string[]> {
  return inputTopics(choice, choice.topicPatterns.length === 0 ? [] : await admin.listTopics());
}
