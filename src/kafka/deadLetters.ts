import {
  deadLetterHeaders,
  foreignSignalHeaders,
  KEY_ADDED,
  markedHeaders,
  OMITTED_BYTES,
  unreadableChunkHeaders,
  type RecordPart,
} from '../protocol/deadLetter.js';
import type { ChunkWithBody } from '../protocol/chunkBodies.js';
import type { ForeignSignalBatch } from '../protocol/foreignSignal.js';
import { NO_HEADERS, placeName, recordBytes, type HeaderValues, type KafkaRecord } from '../protocol/record.js';
import { isOverLimit } from '../protocol/recordLimit.js';
import type { RejectedRecord } from '../codecs/rejectionCodec.js';
import { asBuffer } from '../lib/asBuffer.js';
import { headersBytes, type OutgoingMessage } from './outgoingMessage.js';
import type { Publisher } from './publisher.js';
import type { MessageRefusal } from './messageRefusal.js';

/**
 * Publishes rejected records as they were (value, key, headers), with the reasons in further headers. A dead letter is
 * changed only if it has to be, and headers say how:
 *
 * - If it is too large for the dead-letter topic, or takes more memory than a record may, its largest parts are left
 *   out.
 * - If the topic wants a key and it has none, it gets one.
 *
 * Its timestamp is the present time, and a header has the record's. Kafka deletes by timestamps: with the record's own,
 * the dead letter of a record older than the topic's retention would be gone within minutes.
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

/** Publishes foreign signals, which no part of this product sends. The value is the JSON array of their arguments. */
export async function publishForeignLetters(publisher: Publisher, batch: ForeignSignalBatch): Promise<void> {
  const letters = batch.signals.map((signal, index): Letter => {
    const headers = foreignSignalHeaders(signal, batch);
    const name = `${batch.batcher}/${signal.atMs}/${index}`;
    return { name, key: null, value: signal.value, headers, reasons: () => headers };
  });
  await publisher.publish(batch.deadLetterTopic, letters, amend);
}

/** A chunk that cannot be unpacked, and why. */
export interface UnreadableChunk extends ChunkWithBody {
  readonly message: string;
}

/** Chunks of a batch that a person has given up, on their way to the dead-letter topic. */
export interface UnreadableChunks {
  readonly pipeline: string;
  /** Workflow id of the batcher. */
  readonly batcher: string;
  /** Id of the batch, as in acknowledgements. */
  readonly batch: string;
  readonly deadLetterTopic: string;
  /** The reason that the person gave. */
  readonly reason: string;
  readonly chunks: readonly UnreadableChunk[];
}

/** Publishes chunks that cannot be unpacked. The value is the chunk's body as it is, headers have its metadata. */
export async function publishUnreadableChunks(publisher: Publisher, batch: UnreadableChunks): Promise<void> {
  const letters = batch.chunks.map(({ chunk, body, message }, index): Letter => {
    const headers = unreadableChunkHeaders(chunk, message, batch);
    return {
      name: `${batch.batcher}/${batch.batch}/${index}`,
      key: null,
      value: asBuffer(body),
      headers,
      reasons: () => headers,
    };
  });
  await publisher.publish(batch.deadLetterTopic, letters, amend);
}

interface Letter extends OutgoingMessage {
  /** Its key if the topic does not take the record's own. Each letter has another name. */
  readonly name: string;
  /** Set if its key is its name. */
  readonly isNamed?: true;
  readonly headers: HeaderValues;
  /** The headers without the record's own. */
  readonly reasons: () => HeaderValues;
}

function toDeadLetter({ source, record, rejection }: RejectedRecord, pipeline: string): Letter {
  const { fitting, omitted } = withinLimit(record);
  const { offset, key, value } = fitting;
  const letter: Letter = {
    name: placeName({ ...source, offset }),
    key,
    value,
    headers: deadLetterHeaders(source, fitting, rejection, pipeline),
    reasons: () => deadLetterHeaders(source, { ...fitting, headers: NO_HEADERS }, rejection, pipeline),
  };
  return omitted.reduce((rest, [part, bytes]) => marked(rest, OMITTED_BYTES[part], bytes), letter);
}

/** A part of a record, and its size in bytes. */
type PartSize = readonly [part: RecordPart, bytes: number];

/**
 * Leaves out the largest parts of a record that takes more memory than a record may. kafkajs copies a message several
 * times, and a broker closes the connection after a request of 100 MiB (`socket.request.max.bytes`). That would look as
 * if the topic were away. Other records are not changed.
 */
function withinLimit(record: KafkaRecord): { readonly fitting: KafkaRecord; readonly omitted: readonly PartSize[] } {
  const omitted: PartSize[] = [];
  let fitting = record;
  while (isOverLimit(fitting)) {
    // Each field by name: a decoded record has getters, which a spread leaves out.
    const { offset, timestampMs, key, value, headers } = fitting;
    const [part, bytes] = largestOf([
      ['value', value?.length ?? 0],
      ['key', key?.length ?? 0],
      ['headers', recordBytes({ offset, timestampMs, key: null, value: null, headers })],
    ]);
    fitting = { offset, timestampMs, key, value, headers, [part]: part === 'headers' ? NO_HEADERS : null };
    omitted.push([part, bytes]);
  }
  return { fitting, omitted };
}

function largestOf(sizes: readonly PartSize[]): PartSize {
  return sizes.reduce((largest, size) => (size[1] > largest[1] ? size : largest));
}

function amend(letter: Letter, refusal: MessageRefusal): Letter | undefined {
  switch (refusal) {
    case 'size':
      return withoutLargestPart(letter);
    case 'record':
      // A compacted topic wants a key. If a message with a key is refused, the broker may check its value, headers or
      // key.
      return letter.key === null ? named(letter) : withoutLargestPart(letter);
  }
}

function named(letter: Letter): Letter {
  return { ...marked(letter, KEY_ADDED, 1), key: Buffer.from(letter.name), isNamed: true };
}

/** Undefined if nothing of the record is left. */
function withoutLargestPart(letter: Letter): Letter | undefined {
  const [part, bytes] = largestOf([
    ['value', letter.value === null ? 0 : Buffer.byteLength(letter.value)],
    ['key', letter.isNamed === true ? 0 : (letter.key?.length ?? 0)],
    ['headers', headersBytes(letter.headers) - headersBytes(letter.reasons())],
  ]);
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
