import { REJECTION_CODES, type Rejection } from './ack.js';
import type { BufferedChunk } from './chunk.js';
import type { ForeignSignal, ForeignSignalBatch } from './foreignSignal.js';
import {
  lastHeader,
  type HeaderValue,
  type HeaderValues,
  type KafkaRecord,
  type RecordHeader,
  type RecordPlace,
  type RecordSource,
} from './record.js';

/**
 * Kafka Connect's headers that say what went wrong with a record. Tools made for Kafka Connect can read our dead
 * letters.
 *
 * Source: `DeadLetterQueueReporter` in Apache Kafka.
 */
const ERROR_HEADERS = '__connect.errors.';

/** Those that {@link deadLetterHeaders} adds. Kafka Connect has more, which stay the record's own. */
const REASONS = [
  ...['topic', 'partition', 'offset', 'connector.name', 'task.id', 'stage', 'class.name'],
  ...['exception.class.name', 'exception.message'],
] as const;

/** A part of a record that may be left out if the dead letter is too large for the topic. */
export type RecordPart = 'value' | 'key' | 'headers';

/** Headers that say which part of the record was left out. Their values are that part's size in bytes. */
export const OMITTED_BYTES: Readonly<Record<RecordPart, string>> = {
  value: 'ktb.value.omitted.bytes',
  key: 'ktb.key.omitted.bytes',
  headers: 'ktb.headers.omitted.bytes',
};

/**
 * Header with the record's own timestamp, milliseconds since 1970, -1 if it has none. The dead letter's timestamp is the
 * time of its publication. One of version 0.1.0 has the record's timestamp, and this header only if the topic refused
 * that.
 */
const OWN_TIMESTAMP = 'ktb.timestamp';

/** Header that says that the key is not the record's. The record has no key, or one that the topic refuses. */
export const KEY_ADDED = 'ktb.key.added';

const MARKS: ReadonlySet<string> = new Set([...Object.values(OMITTED_BYTES), KEY_ADDED]);

/** All headers that a dead letter may have besides the record's own. */
const ADDED: ReadonlySet<string> = new Set([...REASONS.map((name) => ERROR_HEADERS + name), OWN_TIMESTAMP, ...MARKS]);

/**
 * Headers of a dead letter: first the record's own, then why it was rejected. The record itself may have headers of
 * these names, from another pipeline or to deceive. Of several headers of one name the last counts, so ours are always
 * written last.
 */
export function deadLetterHeaders(
  source: Pick<RecordSource, 'topic' | 'partition'>,
  record: KafkaRecord,
  rejection: Rejection,
  pipeline: string,
): Record<string, HeaderValue[]> {
  const headers = headerObject(record.headers);
  const reasons: Readonly<Record<(typeof REASONS)[number], string>> = {
    topic: source.topic,
    partition: String(source.partition),
    offset: String(record.offset),
    'connector.name': pipeline,
    'task.id': '0',
    stage: INSERT_CODES.has(rejection.code) ? 'TASK_PUT' : 'VALUE_CONVERTER',
    'class.name': CLASS_NAME,
    'exception.class.name': rejection.code,
    'exception.message': rejection.message,
  };
  for (const name of REASONS) (headers[ERROR_HEADERS + name] ??= []).push(Buffer.from(reasons[name]));
  (headers[OWN_TIMESTAMP] ??= []).push(String(record.timestampMs));
  for (const name of MARKS) headers[name]?.push(NO_MARK);
  return headers;
}

/** Written after a record's own header that has the name of a mark. It says that this is no mark. */
const NO_MARK = '';

/** Adds one of the marks to a dead letter's headers, after the record's own headers of the same name. */
export function markedHeaders(headers: HeaderValues, name: string, value: string): HeaderValues {
  const own = Object.hasOwn(headers, name) ? [headers[name] as HeaderValue | HeaderValue[]].flat() : [];
  const others = own.filter((text) => text !== NO_MARK);
  return { ...headers, [name]: others.length === 0 ? value : [...others, value] };
}

/** With these codes the record could have become a row, but was not inserted. */
const INSERT_CODES: ReadonlySet<string> = new Set([
  REJECTION_CODES.refused,
  REJECTION_CODES.retriesExhausted,
  REJECTION_CODES.parked,
]);

const CLASS_NAME = 'kafka-temporal-bridge';

/** The code of a dead letter that was no record, but a signal to a batcher that no part of this product sends. */
export const FOREIGN_SIGNAL = 'foreign_signal';

/** Headers of such a dead letter: the signal's name, and the workflow id of the batcher that got it. */
const SIGNAL_NAME = 'ktb.signal.name';
const SIGNAL_BATCHER = 'ktb.signal.batcher';

/** Headers of a dead letter that was a signal. */
export function foreignSignalHeaders(
  { name, value, size, atMs }: ForeignSignal,
  { pipeline, batcher }: Pick<ForeignSignalBatch, 'pipeline' | 'batcher'>,
): Record<string, string> {
  return {
    [SIGNAL_NAME]: name,
    [SIGNAL_BATCHER]: batcher,
    [OWN_TIMESTAMP]: String(atMs),
    ...errorHeaders(
      pipeline,
      FOREIGN_SIGNAL,
      `a batcher got a signal that no part of ktb sends; ${SIGNAL_NAME} has its name`,
    ),
    ...(value === null ? { [OMITTED_BYTES.value]: String(size) } : {}),
  };
}

/** The code of a dead letter that was no record, but a chunk that cannot be unpacked, of a batch that was given up. */
export const UNREADABLE_CHUNK = 'unreadable_chunk';

/**
 * Headers of such a dead letter: the segments of the chunk as JSON (see `Segment`: topic, partition, epoch, the range of
 * offsets, how many records), the workflow id of its batcher, and the id of its batch.
 */
const CHUNK_SEGMENTS = 'ktb.chunk.segments';
const CHUNK_BATCHER = 'ktb.chunk.batcher';
const CHUNK_BATCH = 'ktb.chunk.batch';

/** Headers of a dead letter that was a chunk. */
export function unreadableChunkHeaders(
  { segments, records }: BufferedChunk,
  message: string,
  { pipeline, batcher, batch, reason }: Readonly<Record<'pipeline' | 'batcher' | 'batch' | 'reason', string>>,
): Record<string, string> {
  const because = reason === '' ? '' : ` (${reason})`;
  return {
    [CHUNK_SEGMENTS]: JSON.stringify(segments),
    [CHUNK_BATCHER]: batcher,
    [CHUNK_BATCH]: batch,
    ...errorHeaders(
      pipeline,
      UNREADABLE_CHUNK,
      `an operator gave its batch up${because}: a chunk of ${records} records, which ${CHUNK_SEGMENTS} names, cannot be unpacked: ${message}`,
    ),
  };
}

/** The error headers of a dead letter that was no record. */
function errorHeaders(pipeline: string, code: string, message: string): Record<string, string> {
  return {
    [`${ERROR_HEADERS}connector.name`]: pipeline,
    [`${ERROR_HEADERS}class.name`]: CLASS_NAME,
    [`${ERROR_HEADERS}exception.class.name`]: code,
    [`${ERROR_HEADERS}exception.message`]: message,
  };
}

/** What a dead letter's headers say. What they do not say is null. */
export interface DeadLetter {
  readonly pipeline: string | null;
  /** Where the record came from. */
  readonly source: RecordPlace | null;
  readonly code: string;
  readonly message: string;
  /**
   * Bytes of each part of the record that was left out because it was too large for the topic. Null for the other
   * parts.
   */
  readonly omittedBytes: Readonly<Record<RecordPart, number | null>>;
  /** The record's own timestamp, milliseconds since 1970, -1 if it has none. Null if it is the dead letter's. */
  readonly ownTimestampMs: number | null;
}

/** Reads a dead letter's headers, also those of Kafka Connect's own dead letters. */
export function readDeadLetter({ headers }: Pick<KafkaRecord, 'headers'>): DeadLetter {
  const text = (name: string): string | null => lastHeader(headers, name)?.toString() ?? null;
  const error = (name: string): string | null => text(ERROR_HEADERS + name);
  const mark = (name: string): number | null => wholeNumber(text(name));
  const [topic, partition, offset] = [error('topic'), wholeNumber(error('partition')), wholeNumber(error('offset'))];
  return {
    pipeline: error('connector.name'),
    source: topic === null || partition === null || offset === null ? null : { topic, partition, offset },
    code: error('exception.class.name') ?? 'unknown',
    message: error('exception.message') ?? '',
    omittedBytes: {
      value: mark(OMITTED_BYTES.value),
      key: mark(OMITTED_BYTES.key),
      headers: mark(OMITTED_BYTES.headers),
    },
    ownTimestampMs: timestampIn(text(OWN_TIMESTAMP)),
  };
}

/** The record's own headers. Of each name that a dead letter adds, the last one is not the record's. */
export function originalHeaders({ headers }: Pick<KafkaRecord, 'headers'>): Record<string, HeaderValue[]> {
  const added = new Map<string, number>();
  for (const [index, [name]] of headers.entries()) {
    if (ADDED.has(name)) added.set(name, index);
  }
  return headerObject(headers.filter(([name], index) => added.get(name) !== index));
}

/** The record's own key. Null if the dead letter has another key in its place. */
export function originalKey({ key, headers }: Pick<KafkaRecord, 'key' | 'headers'>): Buffer | null {
  return Number(lastHeader(headers, KEY_ADDED)?.toString()) === 1 ? null : key;
}

function headerObject(list: readonly RecordHeader[]): Record<string, HeaderValue[]> {
  // Without a prototype: a header may be called __proto__.
  const headers = Object.create(null) as Record<string, HeaderValue[]>;
  for (const [name, value] of list) (headers[name] ??= []).push(value);
  return headers;
}

/** Fifteen digits are exact as a number. */
function wholeNumber(text: string | null): number | null {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** Any timestamp of Kafka's, in 64 bits. Those before 1970 are negative. */
function timestampIn(text: string | null): number | null {
  return text !== null && /^-?\d{1,19}$/.test(text) ? Number(text) : null;
}
