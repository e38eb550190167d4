import type { IHeaders } from 'kafkajs';
import {
  deadLetterHeaders,
  foreignSignalHeaders,
  OMITTED_BYTES,
  OWN_TIMESTAMP,
  type RecordPart,
} from '../records/deadLetter.js';
import type { ForeignSignalBatch } from '../records/foreignSignal.js';
import { NO_HEADERS } from '../records/record.js';
import type { RejectedRecord } from '../records/rejectionCodec.js';
import { headersBytes, type OutgoingMessage, type Publisher, type Refusal } from './publisher.js';

/**
 * Publishes rejected records as they were (value, key, headers, timestamp), with the reasons in the headers. What is too
 * large even for the dead-letter topic goes there without its largest parts, and with the time of now where the topic
 * refuses timestamps; headers say so.
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
  const letters = batch.signals.map((signal): Letter => {
    const headers = foreignSignalHeaders(signal, batch);
    return { key: null, value: signal.value, timestampMs: signal.atMs, headers, reasons: () => headers };
  });
  await publisher.publish(batch.deadLetterTopic, letters, amend);
}

interface Letter extends OutgoingMessage {
  readonly headers: IHeaders;
  /** The headers without the record's own. */
  readonly reasons: () => IHeaders;
}

function toDeadLetter({ source, record, rejection }: RejectedRecord, pipeline: string): Letter {
  const { key, value, timestampMs } = record;
  return {
    key,
    value,
    timestampMs,
    headers: deadLetterHeaders(source, record, rejection, pipeline),
    reasons: () => deadLetterHeaders(source, { ...record, headers: NO_HEADERS }, rejection, pipeline),
  };
}

function amend(letter: Letter, refusal: Refusal): Letter | undefined {
  return refusal === 'timestamp' ? withoutTimestamp(letter) : withoutLargestPart(letter);
}

function withoutTimestamp({ timestampMs = -1, ...letter }: Letter): Letter {
  return timestampMs < 0 ? letter : marked(letter, OWN_TIMESTAMP, timestampMs);
}

/** Undefined where nothing of the record is left in it. */
function withoutLargestPart(letter: Letter): Letter | undefined {
  const sizes: readonly (readonly [RecordPart, number])[] = [
    ['value', letter.value === null ? 0 : Buffer.byteLength(letter.value)],
    ['key', letter.key?.length ?? 0],
    ['headers', headersBytes(letter.headers) - headersBytes(letter.reasons())],
  ];
  const [part, bytes] = sizes.reduce((largest, size) => (size[1] > largest[1] ? size : largest));
  if (bytes <= 0) return undefined;
  const rest = part === 'headers' ? { ...letter, headers: letter.reasons() } : { ...letter, [part]: null };
  return marked(rest, OMITTED_BYTES[part], bytes);
}

function marked(letter: Letter, name: string, number: number): Letter {
  const mark = { [name]: String(number) };
  return {
    ...letter,
    headers: { ...letter.headers, ...mark },
    reasons: () => ({ ...letter.reasons(), ...mark }),
  };
}
