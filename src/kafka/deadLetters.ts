import { deadLetterHeaders, foreignSignalHeaders, TIMESTAMP_OMITTED, VALUE_OMITTED } from '../records/deadLetter.js';
import type { ForeignSignalBatch } from '../records/foreignSignal.js';
import type { RejectedRecord } from '../records/rejectionCodec.js';
import type { OutgoingMessage, Publisher } from './publisher.js';

/**
 * A dead letter's timestamp lies in the future by this much, at most. Beyond an hour a topic refuses it unless its
 * `message.timestamp.after.max.ms` says otherwise (Kafka 4, KIP-1030); the rest is for clocks that differ.
 */
const AHEAD_MAX_MS = 30 * 60 * 1000;

/**
 * Publishes rejected records as they were (value, key, headers, timestamp), with the reasons in the headers. One that is
 * too large even for the dead-letter topic goes there without its value, one from the future with the time of now.
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
  const headers = deadLetterHeaders(source, record, rejection, pipeline);
  if (timestampMs <= Date.now() + AHEAD_MAX_MS) return { key, value, timestampMs, headers };
  return { key, value, headers: { ...headers, [TIMESTAMP_OMITTED]: String(timestampMs) } };
}
