import { deadLetterHeaders, VALUE_OMITTED } from '../records/deadLetter.js';
import type { RejectedRecord } from '../records/rejectionCodec.js';
import type { OutgoingMessage, Publisher } from './publisher.js';

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
  await publisher.publish(
    topic,
    rejected.map((item) => toDeadLetter(item, pipeline)),
    withoutValue,
  );
}

function withoutValue(letter: OutgoingMessage): OutgoingMessage {
  return { ...letter, value: null, headers: { ...letter.headers, [VALUE_OMITTED]: String(letter.value?.length ?? 0) } };
}

function toDeadLetter({ source, record, rejection }: RejectedRecord, pipeline: string): OutgoingMessage {
  const { key, value, timestampMs } = record;
  return { key, value, timestampMs, headers: deadLetterHeaders(source, record, rejection, pipeline) };
}
