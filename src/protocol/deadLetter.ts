import { REJECTION_CODES, type Rejection } from './ack.js';
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
 * Kafka Connect's names for what went wrong with a record, so that tools made for those read these.
 *
 * Source: `DeadLetterQueueReporter` in Apache Kafka.
 */
const ERROR_HEADERS = '__connect.errors.';

/** What of a record may be left out of a dead letter that is too large for the topic. */
export type RecordPart = 'value' | 'key' | 'headers';

/** Mark a dead letter without a part of its record; their values are that part's size in bytes. */
export const OMITTED_BYTES: Readonly<Record<RecordPart, string>> = {
  value: 'ktb.value.omitted.bytes',
  key: 'ktb.key.omitted.bytes',
  headers: 'ktb.headers.omitted.bytes',
};

/** The record's own timestamp, milliseconds since 1970, where the topic refuses such and the dead letter has another. */
export const OWN_TIMESTAMP = 'ktb.timestamp';

/** Marks a dead letter whose key is not its record's: that one has none, or one that the topic refuses. */
export const KEY_ADDED = 'ktb.key.added';

const MARKS: ReadonlySet<string> = new Set([...Object.values(OMITTED_BYTES), OWN_TIMESTAMP, KEY_ADDED]);

/**
 * Headers of a dead letter: the record's own, then why it is here. A record may have such headers of its own, from another
 * pipeline or to deceive: of one name the last counts, so the last is always written here.
 */
export function deadLetterHeaders(
  source: Pick<RecordSource, 'topic' | 'partition'>,
  record: KafkaRecord,
  rejection: Rejection,
  pipeline: string,
): Record<string, HeaderValue[]> {
  const headers = headerObject(record.headers);
  const reasons: readonly [name: string, text: string][] = [
    ['topic', source.topic],
    ['partition', String(source.partition)],
    ['offset', String(record.offset)],
    ['connector.name', pipeline],
    ['task.id', '0'],
    ['stage', INSERT_CODES.has(rejection.code) ? 'TASK_PUT' : 'VALUE_CONVERTER'],
    ['class.name', CLASS_NAME],
    ['exception.class.name', rejection.code],
    ['exception.message', rejection.message],
  ];
  for (const [name, text] of reasons) (headers[ERROR_HEADERS + name] ??= []).push(Buffer.from(text));
  for (const name of MARKS) headers[name]?.push(NO_MARK);
  return headers;
}

/** Comes after a record's own header that is called like a mark, and says that it is none. */
const NO_MARK = '';

/** A dead letter's headers with one of the marks, after those that its record may have under the same name. */
export function markedHeaders(headers: HeaderValues, name: string, value: string): HeaderValues {
  const own = Object.hasOwn(headers, name) ? [headers[name] as HeaderValue | HeaderValue[]].flat() : [];
  const others = own.filter((text) => text !== NO_MARK);
  return { ...headers, [name]: others.length === 0 ? value : [...others, value] };
}

/** The record could have become a row: it is the insert that ended otherwise. */
const INSERT_CODES: ReadonlySet<string> = new Set([
  REJECTION_CODES.refused,
  REJECTION_CODES.retriesExhausted,
  REJECTION_CODES.parked,
]);

const CLASS_NAME = 'kafka-temporal-bridge';

/** The code of a dead letter that is no record: a signal to a batcher that no part of this product sends. */
export const FOREIGN_SIGNAL = 'foreign_signal';

/** Name of the signal that a dead letter was, and the workflow id of the batcher that got it. */
const SIGNAL_NAME = 'ktb.signal.name';
const SIGNAL_BATCHER = 'ktb.signal.batcher';

/** Headers of a dead letter that was a signal. */
export function foreignSignalHeaders(
  { name, value, size }: ForeignSignal,
  { pipeline, batcher }: Pick<ForeignSignalBatch, 'pipeline' | 'batcher'>,
): Record<string, string> {
  return {
    [SIGNAL_NAME]: name,
    [SIGNAL_BATCHER]: batcher,
    [`${ERROR_HEADERS}connector.name`]: pipeline,
    [`${ERROR_HEADERS}class.name`]: CLASS_NAME,
    [`${ERROR_HEADERS}exception.class.name`]: FOREIGN_SIGNAL,
    [`${ERROR_HEADERS}exception.message`]: `a batcher got a signal that no part of ktb sends; ${SIGNAL_NAME} has its name`,
    ...(value === null ? { [OMITTED_BYTES.value]: String(size) } : {}),
  };
}

/** What a dead letter says of itself. What a header does not say is null. */
export interface DeadLetter {
  readonly pipeline: string | null;
  /** Where the record was read. */
  readonly source: RecordPlace | null;
  readonly code: string;
  readonly message: string;
  /** Set for a part of the record that was left out because it was too large for the topic: its size. */
  readonly omittedBytes: Readonly<Record<RecordPart, number | null>>;
  /** Set where the record's own timestamp was refused by the topic, milliseconds since 1970. */
  readonly ownTimestampMs: number | null;
}

/** Reads a dead letter's headers; those of Kafka Connect's own dead letters, too. */
export function readDeadLetter({ headers }: Pick<KafkaRecord, 'headers'>): DeadLetter {
  const text = (name: string): string | null => lastHeader(headers, name)?.toString() ?? null;
  const error = (name: string): string | null => text(ERROR_HEADERS + name);
  const mark = (name: string, digitsMax?: number): number | null => wholeNumber(text(name), digitsMax);
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
    ownTimestampMs: mark(OWN_TIMESTAMP, 19),
  };
}

/** The record's own headers: of each name that a dead letter adds, all but the last. */
export function originalHeaders({ headers }: Pick<KafkaRecord, 'headers'>): Record<string, HeaderValue[]> {
  const added = new Map<string, number>();
  for (const [index, [name]] of headers.entries()) {
    if (name.startsWith(ERROR_HEADERS) || MARKS.has(name)) added.set(name, index);
  }
  return headerObject(headers.filter(([name], index) => added.get(name) !== index));
}

/** The record's own key; null where the dead letter has another in its place. */
export function originalKey({ key, headers }: Pick<KafkaRecord, 'key' | 'headers'>): Buffer | null {
  return Number(lastHeader(headers, KEY_ADDED)?.toString()) === 1 ? null : key;
}

function headerObject(list: readonly RecordHeader[]): Record<string, HeaderValue[]> {
  // Without a prototype: a header may be called __proto__.
  const headers = Object.create(null) as Record<string, HeaderValue[]>;
  for (const [name, value] of list) (headers[name] ??= []).push(value);
  return headers;
}

/** @param digitsMax 15: what is exact as a number */
function wholeNumber(text: string | null, digitsMax = 15): number | null {
  return text !== null && /^\d+$/.test(text) && text.length <= digitsMax ? Number(text) : null;
}
