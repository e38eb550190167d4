import { ownBytes } from '../../lib/ownBytes.js';
import type { PackedRecord } from '../../protocol/packedRecord.js';
import { Cursor, MalformedError } from './cursor.js';
import { readRecord, type RecordContext } from './fetchedRecord.js';
import { SHARED_BYTES_MAX, type OpenBatch } from './openBatch.js';

/** Bytes of a record batch before its records. The length field counts those from the leader epoch on. */
export const BATCH_HEADER_BYTES = 61;

/** The records of a record batch, which is format 2. */
export class OpenRecords implements OpenBatch {
  readonly #context: RecordContext;
  readonly #cursor: Cursor;
  readonly #isDecompressed: boolean;
  #left: number;
  #lastOffset: number;
  /** Why the next record cannot be read. The records before it are handed out first. */
  #error: MalformedError | null = null;

  constructor(cursor: Cursor, count: number, context: RecordContext, isDecompressed: boolean) {
    this.#cursor = cursor;
    this.#left = count;
    this.#context = context;
    this.#isDecompressed = isDecompressed;
    this.#lastOffset = context.baseOffset - 1;
  }

  get lastOffset(): number {
    return this.#context.lastOffset;
  }

  take(recordsMax: number, bytesMax: number): { records: PackedRecord[]; bytes: number; ended: boolean } {
    this.#throwError();
    // The last record was too large, and has been told already.
    if (this.#left === 0 && this.#cursor.remaining === 0) return { records: [], bytes: 0, ended: true };
    const { count, bytes } = this.#measure(recordsMax, bytesMax);
    const all = this.#cursor;
    const own = this.#isDecompressed && all.bytes.length > SHARED_BYTES_MAX && bytes < all.bytes.length / 2;
    const cursor = own ? new Cursor(ownBytes(all.bytes.subarray(all.at, all.at + bytes))) : all;
    const start = cursor.at;
    const records: PackedRecord[] = [];
    try {
      while (records.length < count) records.push(this.#read(cursor));
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#error = error;
      this.#left--;
    }
    if (own) all.skip(cursor.at - start);
    this.#left -= records.length;
    if (this.#left === 0 && this.#error === null && all.remaining > 0)
      this.#error = new MalformedError('it has more records than it says');
    if (records.length === 0) this.#throwError();
    return { records, bytes, ended: this.#left === 0 && this.#error === null };
  }

  #read(cursor: Cursor): PackedRecord {
    const record = readRecord(cursor, this.#context);
    if (record.offset <= this.#lastOffset)
      throw new MalformedError(`record ${record.offset} comes after ${this.#lastOffset}`);
    this.#lastOffset = record.offset;
    return record;
  }

  #throwError(): void {
    const error = this.#error;
    this.#error = null;
    if (error !== null) throw error;
  }

  /**
   * Counts the next records by their lengths alone. If a record has no valid length or is missing, the records before
   * it are handed out first.
   *
   * @throws MalformedError if there is no record before it
   */
  #measure(recordsMax: number, bytesMax: number): { count: number; bytes: number } {
    const { bytes, at, end } = this.#cursor;
    if (at === end) throw new MalformedError(`${this.#left} of its records are missing: it ends before them`);
    const cursor = new Cursor(bytes, at, end);
    let count = 0;
    let measured = 0;
    try {
      while (count < this.#left && count < recordsMax && (count === 0 || measured < bytesMax)) {
        const length = cursor.varint();
        if (length < 0 || length > cursor.remaining) throw new MalformedError(`a record has a length of ${length}`);
        cursor.skip(length);
        measured = cursor.at - at;
        count++;
      }
    } catch (error) {
      if (count === 0 || !(error instanceof MalformedError)) throw error;
    }
    return { count, bytes: measured };
  }
}

/**
 * Whether a control batch ends an aborted transaction. The key of its record is a version, then a type. An empty
 * control batch, which compaction leaves, ends nothing.
 */
export function endsAborted(bytes: Buffer, at: number, end: number): boolean {
  if (bytes.readInt32BE(at + 57) <= 0) return false;
  const cursor = new Cursor(bytes, at + BATCH_HEADER_BYTES, end);
  cursor.varint();
  cursor.int8();
  cursor.varlong();
  cursor.varint();
  const key = cursor.varintBytes();
  if (key === null || key.length < 4) throw new MalformedError('its control record has no type');
  return key.readInt16BE(2) === ABORT_MARKER;
}

const ABORT_MARKER = 0;
