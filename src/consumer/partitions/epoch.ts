import { randomBytes } from 'node:crypto';

const RANDOM_BYTES = 6;
const TOPIC_DIGITS = 6;

/**
 * A random id of 48 bits for one reading of one partition's log, and the beginning of the id of its topic after a dot. A
 * topic that is deleted and created again has another id, so the epoch says which of the two logs was read.
 *
 * @param topicId null if Kafka does not tell it. Then the epoch does not say it either
 */
export function newEpoch(topicId: string | null): string {
  const random = randomBytes(RANDOM_BYTES).toString('hex');
  return topicId === null ? random : `${random}.${topicId.slice(0, TOPIC_DIGITS)}`;
}

/** Whether an epoch says that it read another topic of this name. Epochs of version 0.1.0 say nothing. */
export function isOfOtherTopic(epoch: string, topicId: string | null): boolean {
  const [, of] = epoch.split('.');
  return of !== undefined && topicId !== null && of !== topicId.slice(0, TOPIC_DIGITS);
}
