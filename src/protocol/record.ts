/**
 * A Kafka record as the bridge carries it: every byte kept as it is.
 *
 * Offsets and timestamps are JavaScript numbers: exact up to 2^53, which a partition that takes a million records a
 * second reaches after 285 years. Where a record enters (the consumer), larger offsets are refused. Timestamps are
 * whatever a producer wrote, up to 2^63: see `isTime`.
 */
export interface KafkaRecord {
  readonly offset: number;
  /** Milliseconds since 1970 as the record carries it; -1 where the producer gave none. */
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];
  /**
   * Set on a stub, which stands for a record too large for a signal: the payload bytes of the original, which lies on
   * the dead-letter topic already; 0 where it was not too large, but could not be encoded. A stub has no value.
   */
  readonly tooLargeBytes?: number;
  /** Set on a stub until it is sent: the checksum of the original, which is what the log has, for the mark of its chunk. */
  readonly originalCrc32?: number;
}

/** Name and value of one header. A name may occur several times; the order is kept. */
export type RecordHeader = readonly [name: string, value: Buffer | null];

/** Headers of a record to be published: what each name has, one value or several in their order; null is no value. */
export type HeaderValues = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>;
export type HeaderValue = Buffer | string | null;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** As it is said to people, and as a key of maps: `orders/3`. */
export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** A record by where it lies in Kafka, whatever its epoch. */
export interface RecordPlace extends TopicPartition {
  readonly offset: number;
}

/** As it is said to people and on the command line: `orders/3/12345`. */
export function placeName(place: RecordPlace): string {
  return `${partitionName(place)}/${place.offset}`;
}

/** One reading of one partition's log: see `startPosition`. A record's identity is its source and its offset. */
export interface RecordSource extends TopicPartition {
  readonly epoch: string;
}

export function sourceName({ topic, partition, epoch }: RecordSource): string {
  return `${topic}/${partition}/${epoch}`;
}

/** Names a record's identity, as a key of maps. */
export function identityName({
  source,
  record,
}: {
  source: RecordSource;
  record: Pick<KafkaRecord, 'offset'>;
}): string {
  return `${sourceName(source)}/${record.offset}`;
}

/** In place of a timestamp, where the producer gave none. */
export const NO_TIMESTAMP = -1;

/** Milliseconds since 1970 that a date can be, at most. */
export const DATE_MS_MAX = 8.64e15;

/** Whether a date can stand for a record's timestamp. It cannot where a producer counts in nanoseconds. */
function isTime(timestampMs: number): boolean {
  return timestampMs <= DATE_MS_MAX;
}

/** A record's timestamp for people and columns: ISO 8601, or the number where it is no time. Not for -1, which is none. */
export function timeText(timestampMs: number): string {
  return isTime(timestampMs) ? new Date(timestampMs).toISOString() : String(timestampMs);
}

/** The shared empty list of headers, so that records without headers cost nothing. */
export const NO_HEADERS: readonly RecordHeader[] = [];

/** Bytes a record counts in every limit and buffer: its payload, and a flat amount for offset, timestamp and lengths. */
export function recordBytes(record: KafkaRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0);
  for (const [name, value] of record.headers) {
    bytes += RECORD_OVERHEAD_BYTES + name.length + (value?.length ?? 0);
  }
  return bytes;
}

const RECORD_OVERHEAD_BYTES = 16;

/** Whether a record stands for one that is too large for a signal. */
export function isStub({ tooLargeBytes }: KafkaRecord): boolean {
  return tooLargeBytes !== undefined;
}

/** The last value under a header's name, as Kafka's `Headers.lastHeader` gives it; undefined where there is none. */
export function lastHeader(headers: readonly RecordHeader[], name: string): Buffer | null | undefined {
  for (let index = headers.length - 1; index >= 0; index--) {
    const header = headers[index];
    if (header?.[0] === name) return header[1];
  }
  return undefined;
}
