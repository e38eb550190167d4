import {
  deadLetterHeaders,
  foreignSignalHeaders,
  KEY_ADDED,
  markedHeaders,
  OMITTED_BYTES,
  OWN_TIMESTAMP,
  type RecordPart,
} from '../protocol/deadLetter.js';
import type { ForeignSignalBatch } from '../protocol/foreignSignal.js';
import { NO_HEADERS, placeName, type HeaderValues } from '../protocol/record.js';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { headersBytes, type OutgoingMessage, type Publisher, type Refusal } from './publisher.js';

/**
 * Publishes rejected records as they were (value, key, headers, timestamp), with the reasons in the headers. What is too
 * large even for the dead-letter topic goes there without its largest parts, with the time of now where the topic
 * refuses timestamps, and with a key where it wants one; headers say so.
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
    amend,
  );
}

/** Publishes signals that no part of this product sends; the value is the JSON array of their arguments. */
export async function publishForeignSignals(publisher: Publisher, batch: ForeignSignalBatch): Promise<void> {
  const letters = batch.signals.map((signal, index): Letter => {
    const headers = foreignSignalHeaders(signal, batch);
    const name = `${batch.batcher}/${signal.atMs}/${index}`;
    return { name, key: null, value: signal.value, timestampMs: signal.atMs, headers, reasons: () => headers };
  });
  await publisher.publish(batch.deadLetterTopic, letters, amend);
}

interface Letter extends OutgoingMessage {
  /** Its key where the topic wants another than the record's. No two letters have the same. */
  readonly name: string;
  /** Set once its key is its name. */
  readonly isNamed?: true;
  readonly headers: HeaderValues;
  /** The headers without the record's own. */
  readonly reasons: () => HeaderValues;
}

function toDeadLetter({ source, record, rejection }: RejectedRecord, pipeline: string): Letter {
  const { key, value, timestampMs } = record;
  return {
    name: placeName({ ...source, offset: record.offset }),
    key,
    value,
    timestampMs,
    headers: deadLetterHeaders(source, record, rejection, pipeline),
    reasons: () => deadLetterHeaders(source, { ...record, headers: NO_HEADERS }, rejection, pipeline),
  };
}

function amend(letter: Letter, refusal: Refusal): Letter | undefined {
  switch (refusal) {
    case 'timestamp':
      return withoutTimestamp(letter);
    case 'size':
      return withoutLargestPart(letter);
    case 'record':
      // A compacted topic wants a key. What is refused with one may have a value, headers or a key that the broker checks.
      return letter.key === null ? named(letter) : withoutLargestPart(letter);
  }
}

function named(letter: Letter): Letter {
  return { ...marked(letter, KEY_ADDED, 1), key: Buffer.from(letter.name), isNamed: true };
}

function withoutTimestamp({ timestampMs = -1, ...letter }: Letter): Letter {
  return timestampMs < 0 ? letter : marked(letter, OWN_TIMESTAMP, timestampMs);
}

/** Undefined where nothing of the record is left in it. */
function withoutLargestPart(letter: Letter): Letter | undefined {
  const sizes: readonly (readonly [RecordPart, number])[] = [
    ['value', letter.value === null ? 0 : Buffer.byteLength(letter.value)],
    ['key', letter.isNamed === true ? 0 : (letter.key?.length ?? 0)],
    ['headers', headersBytes(letter.headers) - headersBytes(letter.reasons())],
  ];
  const [part, bytes] = sizes.reduce((largest, size) => (size[1] > largest[1] ? size : largest));
  if (bytes <= 0) return undefined;
  const rest = part === 'headers' ? { ...letter, headers: letter.reasons() } : { ...letter, [part]: null };
  return marked(rest, OMITTED_BYTES[part], bytes);
}

function marked(letter: Letter, name: string, number: number): Letter {
  return {
    ...letter,
    headers: markedHeaders(letter.headers, name, String(number)),
    reasons: () => markedHeaders(letter.reasons(), name, String(number)),
  };
}
