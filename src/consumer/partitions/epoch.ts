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

/**
 * Whether an epoch read another topic of this name, by what it says or by what this member remembers. Epochs of version
 * 0.1.0 say nothing.
 *
 * @param topicId the id that the topic has now. Absent if Kafka does not tell it
 * @param formerEpoch the epoch under which this member has read another topic of this name. Null if it has not
 */
export function hasReadOtherTopic(epoch: string, topicId: string | undefined, formerEpoch: string | null): boolean {
  return epoch === formerEpoch || isOfTopic(epoch, topicId) === false;
}

/** Whether Kafka's ids prove that an epoch has read the topic that is there now. */
export function hasReadThisTopic(epoch: string, topicId: string | undefined): boolean {
  return isOfTopic(epoch, topicId) === true;
}

/** Null if the epoch or Kafka does not say it. */
function isOfTopic(epoch: string, topicId: string | undefined): boolean | null {
  const [, of] = epoch.split('.');
  return of === undefined || topicId === undefined ? null : of === topicId.slice(0, TOPIC_DIGITS);
}
