import { NO_HEADERS, type KafkaRecord, type RecordHeader } from '../../protocol/record.js';
import { MalformedError, type Cursor } from './cursor.js';

/** A record as it was fetched. Key, value and header values are views of the fetched bytes, or of what they decompressed to. */
export class FetchedRecord implements KafkaRecord {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly RecordHeader[];

  constructor(
    offset: number,
    timestampMs: number,
    key: Buffer | null,
    value: Buffer | null,
    headers: readonly RecordHeader[],
  ) {
    this.offset = offset;
    this.timestampMs = timestampMs;
    this.key = key;
    this.value = value;
    this.headers = headers;
  }

  /** As kafkajs names it. */
  get timestamp(): string {
    return String(this.timestampMs);
  }
}

/**
 * As many headers as the largest record has that brokers take by default (1 MiB), at two bytes each. In memory each takes a hundred, and some
 * kilobytes that are compressed may hold millions.
 */
export const HEADERS_MAX = 512 * 1024;

/** A record that takes too much memory to be read. It alone is passed over: its place and its length are known. */
export class RecordTooLargeError extends MalformedError {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

/** What the records of a batch of format 2 have in common. */
export interface RecordContext {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly baseTimestamp: bigint;
  /** Set where the broker's time counts, for all records of the batch. */
  readonly appendTimeMs: number | null;
}

/** The lengths of name and value, both empty. */
const HEADER_BYTES_MIN = 2;
/** Up to this, sums with a delta of seven bytes are exact as numbers. */
const EXACT_TIMESTAMP_MAX = 2 ** 52;

/**
 * Reads the record at the cursor.
 *
 * Source: `DefaultRecord.readFrom` of Apache Kafka, and what it refuses.
 *
 * @throws RecordTooLargeError for more headers than {@link HEADERS_MAX}; the cursor is then after the record
 * @throws MalformedError
 */
export function readRecord(cursor: Cursor, context: RecordContext): FetchedRecord {
  const length = cursor.varint();
  const start = cursor.at;
  if (length < 0 || length > cursor.remaining) throw new MalformedError(`a record has a length of ${length}`);
  cursor.at = start + 1; // Attributes, of which none is in use.
  const timestampDelta = cursor.varlong();
  const offset = context.baseOffset + cursor.varint();
  if (offset < context.baseOffset || offset > context.lastOffset)
    throw new MalformedError(`a record has offset ${offset}, which is not of its batch`);
  const key = cursor.varintBytes();
  const value = cursor.varintBytes();
  const headerCount = cursor.varint();
  if (headerCount > HEADERS_MAX && headerCount <= cursor.remaining / HEADER_BYTES_MIN) {
    cursor.at = start + length;
    throw new RecordTooLargeError(offset, `it has ${headerCount} headers; ${HEADERS_MAX} are taken`);
  }
  const headers = readHeaders(cursor, headerCount);
  if (cursor.at !== start + length) throw new MalformedError(`record ${offset} has not the length that it says`);
  return new FetchedRecord(offset, timestampOf(context, timestampDelta), key, value, headers);
}

/** A list, not an object: names may repeat, and be called `__proto__`; the order is theirs. */
function readHeaders(cursor: Cursor, count: number): readonly RecordHeader[] {
  if (count === 0) return NO_HEADERS;
  if (count < 0 || count > cursor.remaining / HEADER_BYTES_MIN)
    throw new MalformedError(`a record has ${count} headers`);
  const headers: RecordHeader[] = [];
  for (let index = 0; index < count; index++) {
    const length = cursor.varint();
    const at = cursor.skip(length);
    headers.push([cursor.bytes.toString('utf8', at, at + length), cursor.varintBytes()]);
  }
  return headers;
}

function timestampOf({ appendTimeMs, baseTimestamp }: RecordContext, delta: number | bigint): number {
  if (appendTimeMs !== null) return appendTimeMs;
  const base = Number(baseTimestamp);
  if (typeof delta === 'number' && Math.abs(base) <= EXACT_TIMESTAMP_MAX) return base + delta;
  return Number(BigInt.asIntN(64, baseTimestamp + BigInt(delta)));
}
