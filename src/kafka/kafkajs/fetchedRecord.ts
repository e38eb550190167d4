import { PackedRecord } from '../../protocol/packedRecord.js';
import { NO_HEADERS, type RecordHeader } from '../../protocol/record.js';
import { MalformedError, type Cursor } from './cursor.js';

/**
 * The most headers of one record. The largest record that brokers accept by default (1 MiB) can have so many, at two
 * bytes each. In memory a header takes a hundred bytes, and some compressed kilobytes may contain millions.
 */
export const HEADERS_MAX = 512 * 1024;

/** A record that would take too much memory. Only this record is skipped, because its place and length are known. */
export class RecordTooLargeError extends MalformedError {
  readonly offset: number;

  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

/** What all records of a batch of format 2 share. */
export interface RecordContext {
  readonly baseOffset: number;
  readonly lastOffset: number;
  readonly baseTimestamp: bigint;
  /** The broker's time for all records of the batch, if the topic uses that. Otherwise null. */
  readonly appendTimeMs: number | null;
}

/** An empty name and an empty value: only their lengths. */
const HEADER_BYTES_MIN = 2;
/** Up to this timestamp, the sum with a delta of seven bytes is exact as a number. */
const EXACT_TIMESTAMP_MAX = 2 ** 52;

/**
 * Reads the record at the cursor. Its key, value and header values are parts of the cursor's bytes.
 *
 * Source: `DefaultRecord.readFrom` of Apache Kafka. It refuses the same records.
 *
 * @throws RecordTooLargeError for more headers than {@link HEADERS_MAX}. The cursor is then after the record
 * @throws MalformedError
 */
export function readRecord(cursor: Cursor, context: RecordContext): PackedRecord {
  const length = cursor.varint();
  const start = cursor.at;
  if (length < 0 || length > cursor.remaining) throw new MalformedError(`a record has a length of ${length}`);
  cursor.at = start + 1; // Attributes. None is in use.
  const timestampDelta = cursor.varlong();
  const offset = context.baseOffset + cursor.varint();
  if (offset < context.baseOffset || offset > context.lastOffset)
    throw new MalformedError(`a record has offset ${offset}, which is not of its batch`);
  const keyLength = cursor.skipVarintBytes();
  const keyAt = cursor.at - keyLength;
  const valueLength = cursor.skipVarintBytes();
  const valueAt = cursor.at - valueLength;
  const headerCount = cursor.varint();
  if (headerCount > HEADERS_MAX && headerCount <= cursor.remaining / HEADER_BYTES_MIN) {
    cursor.at = start + length;
    throw new RecordTooLargeError(offset, `it has ${headerCount} headers; ${HEADERS_MAX} are taken`);
  }
  const headers = readHeaders(cursor, headerCount);
  if (cursor.at !== start + length) throw new MalformedError(`record ${offset} has not the length that it says`);
  const { bytes } = cursor;
  const timestampMs = timestampOf(context, timestampDelta);
  return new PackedRecord(offset, timestampMs, bytes, keyAt, keyLength, bytes, valueAt, valueLength, headers);
}

/** A list, not an object, because names may repeat or be `__proto__`, and the order counts. */
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
