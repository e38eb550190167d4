import { PackedRecord } from './packedRecord.js';

/**
 * A Kafka record as the bridge carries it. Every byte is kept as it is.
 *
 * Offsets and timestamps are JavaScript numbers, which are exact up to 2^53. A partition that takes a million records a
 * second reaches that after 285 years. The consumer refuses larger offsets. A timestamp is whatever a producer wrote,
 * up to 2^63: see `isTime`.
 */
export interface KafkaRecord {
  readonly offset: number;
  /** Milliseconds since 1970, as the record has it. -1 if the producer gave none. Other negative ones are before 1970. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  /**
   * Set in a stub, which takes the place of a record that is too large for a signal. It is the payload bytes of the
   * original, which is on the dead-letter topic already. 0 if the original was not too large, but could not be encoded.
   * A stub has no value.
   */
  readonly tooLargeBytes?: number;
  /**
   * Set in a stub until it is sent: the checksum of the original. The chunk's mark needs it, because it is compared
   * with the log.
   */
  readonly originalCrc32?: number;
}

/** Name and value of one header. A name may occur several times; the order is kept. */
export type RecordHeader = readonly [name: string, value: Buffer | null];

/** Headers of a record to be published. A name has one value, or several in order. Null is no value. */
export type HeaderValues = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>;
export type HeaderValue = Buffer | string | null;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A partition's name for people and as a key of maps: `orders/3`. */
export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** A record's place in Kafka, whatever its epoch. */
export interface RecordPlace extends TopicPartition {
  readonly offset: number;
}

/** A record's place for people and on the command line: `orders/3/12345`. */
export function placeName(place: RecordPlace): string {
  return `${partitionName(place)}/${place.offset}`;
}

/** One reading of one partition's log, see `startPosition.ts`. Source and offset are a record's identity. */
export interface RecordSource extends TopicPartition {
  readonly epoch: string;
}

/** A record and its source. */
export interface SourcedRecord {
  readonly source: RecordSource;
  readonly record: KafkaRecord;
}

export function sourceName({ topic, partition, epoch }: RecordSource): string {
  return `${topic}/${partition}/${epoch}`;
}

/** Names a record's identity, as a key of maps. */
export function identityName({ source, record }: SourcedRecord): string {
  return `${sourceName(source)}/${record.offset}`;
}

/** The timestamp of a record whose producer gave none. */
export const NO_TIMESTAMP = -1;

/** The latest date that JavaScript knows, in milliseconds since 1970. The earliest is as long before 1970. */
export const DATE_MS_MAX = 8.64e15;

/** Whether a timestamp can be written as a date. It cannot if, for example, the producer counts in nanoseconds. */
function isTime(timestampMs: number): boolean {
  return Math.abs(timestampMs) <= DATE_MS_MAX;
}

/**
 * A record's timestamp for people and columns: ISO 8601, or the number if it is no date. Not for -1, which is no
 * timestamp.
 */
export function timeText(timestampMs: number): string {
  return isTime(timestampMs) ? new Date(timestampMs).toISOString() : String(timestampMs);
}

/** The shared empty list of headers. Records without headers need no list of their own. */
export const NO_HEADERS: readonly RecordHeader[] = [];

/**
 * The bytes that a record counts in every limit and buffer: its payload, and a fixed amount for offset, timestamp and
 * lengths.
 */
export function recordBytes(record: KafkaRecord): number {
  return record instanceof PackedRecord
    ? bytesOfParts(record.keyLength, record.valueLength, record.headers)
    : bytesOfParts(record.key?.length ?? 0, record.value?.length ?? 0, record.headers);
}

/** {@link recordBytes} of a record with these parts. A length may be `NULL_LENGTH`. */
export function bytesOfParts(keyLength: number, valueLength: number, headers: readonly RecordHeader[]): number {
  let bytes = RECORD_OVERHEAD_BYTES + Math.max(0, keyLength) + Math.max(0, valueLength);
  for (const [name, value] of headers) bytes += RECORD_OVERHEAD_BYTES + name.length + (value?.length ?? 0);
  return bytes;
}

const RECORD_OVERHEAD_BYTES = 16;

/** Whether a record is a stub, see `tooLargeBytes`. */
export function isStub({ tooLargeBytes }: KafkaRecord): boolean {
  return tooLargeBytes !== undefined;
}

/** The last value of a header, as in Kafka's `Headers.lastHeader`. Undefined if there is none. */
export function lastHeader(headers: readonly RecordHeader[], name: string): Buffer | null | undefined {
  for (let index = headers.length - 1; index >= 0; index--) {
    const header = headers[index];
    if (header?.[0] === name) return header[1];
  }
  return undefined;
}
