import { copyBytes } from '../lib/copyBytes.js';
import { ownBytes } from '../lib/ownBytes.js';
import { NULL_LENGTH, PackedRecord } from '../protocol/packedRecord.js';
import { bytesOfParts, isStub, NO_HEADERS, type KafkaRecord, type RecordHeader } from '../protocol/record.js';
import { COLUMNS_BYTES, memoryBytesOf, RECORD_MEMORY_BYTES_MAX } from '../protocol/recordLimit.js';
import { isEncodable } from './encodable.js';

interface Columns {
  readonly offsets: Float64Array;
  readonly timestampsMs: Float64Array;
  /** `NULL_LENGTH` for a record without a key. */
  readonly keyLengths: Int32Array;
  /** All keys, one after the other. */
  readonly keys: Buffer;
  /** `NULL_LENGTH` for a record without a value. */
  readonly valueLengths: Int32Array;
  /** All values, one after the other. */
  readonly values: Buffer;
  /** Null if no record has headers. */
  readonly headers: readonly (readonly RecordHeader[])[] | null;
  /** By index, the records that are more than their columns say: stubs, and those that cannot be packed. */
  readonly exceptions: ReadonlyMap<number, KafkaRecord>;
}

/**
 * Records of one partition in columns: all offsets together, all values together. So records wait for their signal
 * without an object for each, and a chunk is packed by copying whole columns.
 *
 * It has its own copy of all bytes. So it keeps nothing alive of what was fetched, but for {@link RecordColumns.sharing}.
 */
export class RecordColumns implements Columns {
  readonly offsets: Float64Array;
  readonly timestampsMs: Float64Array;
  readonly keyLengths: Int32Array;
  readonly keys: Buffer;
  readonly valueLengths: Int32Array;
  readonly values: Buffer;
  readonly headers: Columns['headers'];
  readonly exceptions: Columns['exceptions'];
  /** What `recordBytes` says of the records together. */
  readonly bytes: number;
  /** Bytes that the records take in this process's memory. */
  readonly memoryBytes: number;

  /** @param sharedBytes the memory that its bytes are parts of, if it shares that. Default: they are its own */
  private constructor(columns: Columns, sharedBytes = 0) {
    const { offsets, keys, values, headers } = columns;
    this.offsets = offsets;
    this.timestampsMs = columns.timestampsMs;
    this.keyLengths = columns.keyLengths;
    this.keys = keys;
    this.valueLengths = columns.valueLengths;
    this.values = values;
    this.headers = headers;
    this.exceptions = columns.exceptions;
    let bytes = keys.length + values.length;
    let headerCount = 0;
    if (headers === null) bytes += offsets.length * bytesOfParts(0, 0, NO_HEADERS);
    else
      for (const list of headers) {
        bytes += bytesOfParts(0, 0, list);
        headerCount += list.length;
      }
    this.bytes = bytes;
    const counts = { records: offsets.length, headers: headerCount };
    this.memoryBytes = COLUMNS_BYTES + memoryBytesOf(counts, Math.max(bytes, sharedBytes));
  }

  /** Copies records into columns. */
  static of(records: readonly KafkaRecord[]): RecordColumns {
    const count = records.length;
    let exceptions: Map<number, KafkaRecord> | undefined;
    const packed: PackedRecord[] = [];
    let keyBytes = 0;
    let valueBytes = 0;
    let hasHeaders = false;
    for (const record of records) {
      const own = packedOf(record);
      if (isStub(record) || !isEncodable(record)) (exceptions ??= new Map()).set(packed.length, record);
      packed.push(own);
      keyBytes += Math.max(0, own.keyLength);
      valueBytes += Math.max(0, own.valueLength);
      hasHeaders ||= own.headers.length > 0;
    }
    const offsets = new Float64Array(count);
    const timestampsMs = new Float64Array(count);
    const keyLengths = new Int32Array(count);
    const valueLengths = new Int32Array(count);
    const keys = Buffer.allocUnsafeSlow(keyBytes);
    const values = Buffer.allocUnsafeSlow(valueBytes);
    let keyEnd = 0;
    let valueEnd = 0;
    for (let index = 0; index < count; index++) {
      const record = packed[index] as PackedRecord;
      offsets[index] = record.offset;
      timestampsMs[index] = record.timestampMs;
      keyLengths[index] = record.keyLength;
      valueLengths[index] = record.valueLength;
      keyEnd = append(keys, keyEnd, record.keys, record.keyAt, record.keyLength);
      valueEnd = append(values, valueEnd, record.values, record.valueAt, record.valueLength);
    }
    const headers = hasHeaders ? packed.map((record) => record.headers.map(ownHeader)) : null;
    return new RecordColumns({
      offsets,
      timestampsMs,
      keyLengths,
      keys,
      valueLengths,
      values,
      headers,
      exceptions: exceptions ?? NONE,
    });
  }

  /**
   * A single record in columns that share its bytes. For one that is so large that a copy might not find the memory. It
   * counts all memory that it keeps alive: what was fetched, or decompressed, may be much larger.
   */
  static sharing(record: KafkaRecord): RecordColumns {
    const { offset, timestampMs, keyLength, valueLength, key, value, headers } = packedOf(record);
    const columns: Columns = {
      offsets: Float64Array.of(offset),
      timestampsMs: Float64Array.of(timestampMs),
      keyLengths: Int32Array.of(keyLength),
      keys: key ?? NOTHING,
      valueLengths: Int32Array.of(valueLength),
      values: value ?? NOTHING,
      headers: headers.length === 0 ? null : [headers],
      exceptions: isStub(record) || !isEncodable(record) ? new Map([[0, record]]) : NONE,
    };
    const shared = new Set([key, value, ...headers.map(([, bytes]) => bytes)].map((bytes) => bytes?.buffer));
    let sharedBytes = 0;
    for (const buffer of shared) sharedBytes += buffer?.byteLength ?? 0;
    return new RecordColumns(columns, sharedBytes);
  }

  get length(): number {
    return this.offsets.length;
  }

  /** Whether this is a single record over the limit for one. */
  get isOverLimit(): boolean {
    return this.length === 1 && this.memoryBytes - COLUMNS_BYTES > RECORD_MEMORY_BYTES_MAX;
  }

  get first(): KafkaRecord | undefined {
    return this.length === 0 ? undefined : this.#record(0, 0, 0);
  }

  get last(): KafkaRecord | undefined {
    const index = this.length - 1;
    if (index < 0) return undefined;
    const keyAt = this.keys.length - Math.max(0, this.keyLengths[index] as number);
    const valueAt = this.values.length - Math.max(0, this.valueLengths[index] as number);
    return this.#record(index, keyAt, valueAt);
  }

  /** How many of the first records fit: so many, with so many bytes together. */
  fitting(recordsMax: number, bytesMax: number): number {
    if (this.length <= recordsMax && this.bytes <= bytesMax) return this.length;
    let bytes = 0;
    for (let index = 0; index < this.length && index < recordsMax; index++) {
      const headers = this.headers?.[index] ?? NO_HEADERS;
      bytes += bytesOfParts(this.keyLengths[index] as number, this.valueLengths[index] as number, headers);
      if (bytes > bytesMax) return index;
    }
    return Math.min(this.length, recordsMax);
  }

  /** The records from one index up to another, not included. They share the memory of these. */
  slice(from: number, to = this.length): RecordColumns {
    if (from === 0 && to === this.length) return this;
    const keysFrom = bytesUpTo(this.keyLengths, 0, from);
    const valuesFrom = bytesUpTo(this.valueLengths, 0, from);
    const isTail = to === this.length;
    return new RecordColumns({
      offsets: this.offsets.subarray(from, to),
      timestampsMs: this.timestampsMs.subarray(from, to),
      keyLengths: this.keyLengths.subarray(from, to),
      keys: this.keys.subarray(keysFrom, isTail ? undefined : keysFrom + bytesUpTo(this.keyLengths, from, to)),
      valueLengths: this.valueLengths.subarray(from, to),
      values: this.values.subarray(
        valuesFrom,
        isTail ? undefined : valuesFrom + bytesUpTo(this.valueLengths, from, to),
      ),
      headers: this.headers?.slice(from, to) ?? null,
      exceptions: shifted(this.exceptions, from, to),
    });
  }

  #record(index: number, keyAt: number, valueAt: number): KafkaRecord {
    return (
      this.exceptions.get(index) ??
      new PackedRecord(
        this.offsets[index] as number,
        this.timestampsMs[index] as number,
        this.keys,
        keyAt,
        this.keyLengths[index] as number,
        this.values,
        valueAt,
        this.valueLengths[index] as number,
        this.headers?.[index] ?? NO_HEADERS,
      )
    );
  }
}

/** The record as a packed one. One that cannot be packed keeps only its place. */
function packedOf(record: KafkaRecord): PackedRecord {
  if (record instanceof PackedRecord) return record;
  const { offset, timestampMs, key, value, headers } = record;
  if (!isEncodable(record))
    return new PackedRecord(offset, timestampMs, NOTHING, 0, NULL_LENGTH, NOTHING, 0, NULL_LENGTH, NO_HEADERS);
  return new PackedRecord(
    offset,
    timestampMs,
    key ?? NOTHING,
    0,
    key?.length ?? NULL_LENGTH,
    value ?? NOTHING,
    0,
    value?.length ?? NULL_LENGTH,
    headers,
  );
}

const NOTHING = Buffer.alloc(0);
const NONE: Columns['exceptions'] = new Map();

function ownHeader([name, value]: RecordHeader): RecordHeader {
  return [name, ownBytes(value)];
}

/** Copies bytes to the end of those that a column has already. @returns its new end */
function append(column: Buffer, end: number, source: Buffer, at: number, length: number): number {
  if (length <= 0) return end;
  copyBytes(column, end, source, at, length);
  return end + length;
}

function bytesUpTo(lengths: Int32Array, from: number, to: number): number {
  let bytes = 0;
  for (let index = from; index < to; index++) bytes += Math.max(0, lengths[index] as number);
  return bytes;
}

function shifted(exceptions: Columns['exceptions'], from: number, to: number): Columns['exceptions'] {
  if (exceptions.size === 0) return exceptions;
  return new Map([...exceptions].filter(([at]) => at >= from && at < to).map(([at, record]) => [at - from, record]));
}
