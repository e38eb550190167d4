import { deadLetterHeaders } from '../records/ack.js';
import type { RejectedRecord } from '../records/rejectionCodec.js';
import type { OutgoingMessage, Publisher } from './publisher.js';

/** Header that marks a dead letter without its value, which was too large for the topic; its value is the size in bytes. */
const VALUE_OMITTED = 'ktb.value.omitted.bytes';

/**
 * Publishes rejected records as they were (value, key, headers, timestamp), with the reasons in the headers. One that is
 * too large even for the dead-letter topic goes there without its value.
 */
export async function publishDeadLetters(
  publisher: Publisher,
  topic: string,
  pipeline: string,
  rejected: readonly RejectedRecord[],
): Promise<void> {
  const letters = rejected.map((item) => toDeadLetter(item, pipeline));
  try {
    await publisher.publish(topic, letters);
  } catch (error) {
    if (!isMessageTooLarge(error)) throw error;
    for (const letter of letters) await publishEvenIfTooLarge(publisher, topic, letter);
  }
}

async function publishEvenIfTooLarge(publisher: Publisher, topic: string, letter: OutgoingMessage): Promise<void> {
  try {
    await publisher.publish(topic, [letter]);
  } catch (error) {
    if (!isMessageTooLarge(error)) throw error;
    const headers = { ...letter.headers, [VALUE_OMITTED]: String(letter.value?.length ?? 0) };
    await publisher.publish(topic, [{ ...letter, value: null, headers }]);
  }
}

function toDeadLetter({ source, record, rejection }: RejectedRecord, pipeline: string): OutgoingMessage {
  const { key, value, timestampMs } = record;
  return { key, value, timestampMs, headers: deadLetterHeaders(source, record, rejection, pipeline) };
}

/** kafkajs may wrap the broker's answer in its own error for exhausted retries. */
function isMessageTooLarge(error: unknown): boolean {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ((current as Error & { type?: string }).type === 'MESSAGE_TOO_LARGE') return true;
  }
  return false;
}
