import { deadLetterHeaders, foreignSignalHeaders, VALUE_OMITTED } from '../records/deadLetter.js';
import type { ForeignSignalBatch } from '../records/foreignSignal.js';
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

/** Publishes signals that no part of this product sends; the value is the JSON array of their arguments. */
export async function publishForeignSignals(publisher: Publisher, batch: ForeignSignalBatch): Promise<void> {
  const letters = batch.signals.map((signal) => {
    return { key: null, value: signal.value, timestampMs: signal.atMs, headers: foreignSignalHeaders(signal, batch) };
  });
  await publisher.publish(batch.deadLetterTopic, letters, withoutValue);
}

function withoutValue(letter: OutgoingMessage): OutgoingMessage {
  return { ...letter, value: null, headers: { ...letter.headers, [VALUE_OMITTED]: String(letter.value?.length ?? 0) } };
}

function toDeadLetter({ source, record, rejection }: RejectedRecord, pipeline: string): OutgoingMessage {
  const { key, value, timestampMs } = record;
  return { key, value, timestampMs, headers: deadLetterHeaders(source, record, rejection, pipeline) };
}
