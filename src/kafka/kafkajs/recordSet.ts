import { setImmediate as immediate } from 'node:timers/promises';
import crc32 from 'crc-32';
import { decompress, DECOMPRESSED_BYTES_MAX, TooLargeError } from './codecs.js';
import { crc32c } from './crc32c.js';
import { Cursor, MalformedError, UnsupportedError } from './cursor.js';
import { errorOfCode } from './errorCodes.js';
import { FetchedRecord, readRecord, RecordTooLargeError, type RecordContext } from './fetchedRecord.js';
import { NO_HEADERS } from '../../protocol/record.js';

/** The fetched bytes of one partition. */
export interface RecordSet {
  readonly topic: string;
  readonly partition: number;
  /** Kafka's error for the partition. 0 means none. */
  readonly errorCode: number;
  /** Record batches, one after the other. The last one may be cut off. */
  readonly bytes: Buffer;
  /** Whether the first batch is always whole. Brokers promise that since KIP-74 (version 3 of the request). */
  readonly beginsWhole?: boolean;
  /** Aborted transactions with records in this set, in any order. */
  readonly aborted: readonly AbortedTransaction[];
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: number;
}

/** Some of a record set's records, in order. */
export interface RecordSetPart {
  /** The offset at which this part begins, even if there is no record at it. */
  readonly from: number;
  /** The offset at which the next part begins. */
  readonly next: number;
  readonly records: readonly FetchedRecord[];
  /**
   * Set if the batch or record at `from` cannot be read. Such a part has no records. Reading continues after it only if
   * its producer wrote it so.
   */
  readonly failure: UnreadableBatchError | null;
}

/**
 * After this many fetches, a part that may be damaged counts as unreadable: its partition is not read any more under this
 * assignment, and a command that reads it fails.
 */
export const UNREADABLE_FETCHES_MAX = 3;

/** A record batch, or a record, that cannot be read. */
export class UnreadableBatchError extends Error {
  override readonly name = 'UnreadableBatchError';
  /**
   * True if its checksum is right: its producer wrote it so, and another fetch or replica has the same bytes. Then it
   * decompresses to more than {@link DECOMPRESSED_BYTES_MAX}, has too many headers, or does not follow the protocol.
   * False if the log may be damaged, or a later version of ktb can read it.
   */
  readonly isAsWritten: boolean;

  constructor(message: string, { cause, isAsWritten = false }: { cause?: unknown; isAsWritten?: boolean } = {}) {
    super(message, { cause });
    this.isAsWritten = isAsWritten;
  }
}

/**
 * Every partition may have one batch open that decompresses to this size or less. For larger ones see
 * {@link RecordSetReader.waitsForRoom}.
 */
const BATCH_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Limits of a part. Nothing else runs while a part is decoded, and its memory is not counted before. A part has at
 * least one record, whatever its size.
 */
const PART_RECORDS_MAX = 4_096;
const PART_BYTES_MAX = 256 * 1024;

/**
 * A part of a larger buffer than this gets its own copy. Otherwise a record that waits long would keep the whole buffer
 * alive.
 */
const SHARED_BYTES_MAX = 2 * PART_BYTES_MAX;

/** Bytes of a record batch before its records. The length field counts those from the leader epoch on. */
const BATCH_HEADER_BYTES = 61;
/** Bytes of offset and length, which the length field does not count. */
const LOG_OVERHEAD_BYTES = 12;
const MAGIC_AT = 16;
const CODEC_MASK = 0x07;
const APPEND_TIME_FLAG = 0x08;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;
const ABORT_MARKER = 0;

/**
 * Reads a record set in parts. Only what the next part needs is decompressed and decoded.
 *
 * Records of aborted transactions and control records are left out. The broker lists the aborted transactions, and a
 * control batch ends each of them. Formats 0, 1 and 2 may follow each other in one set.
 *
 * Source: `ConsumerRecords` reading in `CompletedFetch` of Apache Kafka.
 */
export class RecordSetReader {
  readonly #set: RecordSet;
  readonly #aborted: AbortedTransaction[];
  /** Producers whose transaction is an aborted one at this place of the log. */
  readonly #aborting = new Set<bigint>();
  #bytes: Buffer;
  #at = 0;
  /** Everything before it was handed out or left out. */
  #position: number;
  #current: OpenBatch | null = null;
  #failure: UnreadableBatchError | null = null;
  /** The present batch, if its checksum is right: its end, and the offset after it. */
  #asWritten: { readonly end: number; readonly next: number } | null = null;
  #bytesMax = BATCH_BYTES_MAX;
  #waitsForRoom = false;
  #ended = false;

  /** @param position the requested offset. A batch may begin before it */
  constructor(set: RecordSet, position: number) {
    this.#set = set;
    this.#bytes = set.bytes;
    this.#position = position;
    this.#aborted = [...set.aborted].sort((one, other) => other.firstOffset - one.firstOffset);
    if (set.errorCode !== 0)
      this.#failure = this.#describe(new MalformedError(`the broker says ${errorOfCode(set.errorCode).type}`));
  }

  /**
   * Whether the last part was null because the next batch takes more memory than is allowed for each partition, see
   * {@link giveRoom}.
   */
  get waitsForRoom(): boolean {
    return this.#waitsForRoom;
  }

  /**
   * From now on reads batches of up to {@link DECOMPRESSED_BYTES_MAX}. To be called for one reader of the process at a
   * time.
   */
  giveRoom(): void {
    this.#bytesMax = DECOMPRESSED_BYTES_MAX;
    this.#waitsForRoom = false;
  }

  /**
   * The next part. Null at the end. After a part with a failure the set ends, unless its producer wrote the batch so.
   */
  async next(): Promise<RecordSetPart | null> {
    if (this.#ended) return null;
    const from = this.#position;
    const records: FetchedRecord[] = [];
    let goesOn = this.#failure === null;
    for (let rounds = 0; goesOn; rounds++) {
      // There may be much before the position, and other work has to run.
      if (rounds > 0) await immediate();
      try {
        goesOn = (await this.#read(records)) && this.#position === from;
      } catch (error) {
        // It is before the requested offset.
        if (error instanceof RecordTooLargeError && error.offset < this.#position) continue;
        goesOn = false;
        this.#waitsForRoom = error instanceof TooLargeError && this.#bytesMax < DECOMPRESSED_BYTES_MAX;
        if (!this.#waitsForRoom) this.#failure = this.#describe(error);
      }
    }
    if (this.#failure !== null && this.#position === from) return this.#fail(from, this.#failure);
    return this.#position === from ? null : { from, next: this.#position, records, failure: null };
  }

  #fail(from: number, failure: UnreadableBatchError): RecordSetPart {
    const { cause, isAsWritten } = failure;
    if (cause instanceof RecordTooLargeError) {
      this.#position = Math.max(from, cause.offset + 1);
      this.#failure = null;
    } else if (isAsWritten && this.#asWritten !== null) {
      this.#at = this.#asWritten.end;
      this.#position = Math.max(from, this.#asWritten.next);
      this.#current = null;
      this.#failure = null;
    } else this.#ended = true;
    return { from, next: this.#position, records: [], failure };
  }

  /** @returns whether there may be more in the set */
  async #read(records: FetchedRecord[]): Promise<boolean> {
    let bytes = 0;
    while (records.length < PART_RECORDS_MAX && bytes < PART_BYTES_MAX) {
      this.#current ??= await this.#open();
      if (this.#current === null) {
        this.#ended = true;
        return false;
      }
      const { lastOffset } = this.#current;
      const taken = this.#current.take(PART_RECORDS_MAX - records.length, PART_BYTES_MAX - bytes);
      for (const record of taken.records) {
        if (record.offset < this.#position) continue;
        records.push(record);
        this.#position = record.offset + 1;
      }
      bytes += taken.bytes;
      if (taken.ended) {
        this.#position = Math.max(this.#position, lastOffset + 1);
        this.#current = null;
      }
    }
    return true;
  }

  /** The next batch with records to hand out. Null at the end. */
  async #open(): Promise<OpenBatch | null> {
    for (;;) {
      const bytes = this.#bytes;
      const at = this.#at;
      const rest = bytes.length - at;
      this.#asWritten = null;
      if (rest <= MAGIC_AT) return null;
      const baseOffset = offsetOf(bytes.readBigInt64BE(at));
      const end = at + LOG_OVERHEAD_BYTES + bytes.readInt32BE(at + 8);
      const magic = bytes[at + MAGIC_AT] as number;
      if (end <= at + MAGIC_AT) throw new MalformedError('its length is too small');
      if (end > bytes.length) {
        // Without this error the partition would stop here silently.
        if (at === 0 && this.#set.beginsWhole === true)
          throw new MalformedError(`it says that it has ${end} bytes, and ${rest} were given`);
        return null; // Brokers cut off the last batch.
      }
      const opened = await this.#openAt(at, end, baseOffset, magic);
      this.#at = end;
      if (typeof opened !== 'number') return opened;
      this.#position = Math.max(this.#position, opened + 1);
    }
  }

  async #openAt(at: number, end: number, baseOffset: number, magic: number): Promise<OpenBatch | number> {
    if (magic === 2) return this.#openBatch(at, end, baseOffset);
    if (magic !== 0 && magic !== 1) throw new UnsupportedError(`its format ${magic} is unknown`);
    const wrapper = readMessage(this.#bytes, at + LOG_OVERHEAD_BYTES, end);
    // A wrapper message has the offset of its last inner message.
    this.#asWritten = { end, next: baseOffset + 1 };
    return openMessage(wrapper, { offset: baseOffset, bytes: end - at, bytesMax: this.#bytesMax });
  }

  /** @returns the last offset, if the batch has nothing to hand out */
  #openBatch(at: number, end: number, baseOffset: number): Promise<OpenBatch> | OpenBatch | number {
    const bytes = this.#bytes;
    if (end - at < BATCH_HEADER_BYTES) throw new MalformedError('its length is too small');
    const attributes = bytes.readInt16BE(at + 21);
    const lastOffset = baseOffset + bytes.readInt32BE(at + 23);
    if (lastOffset < baseOffset || !isOffset(lastOffset))
      throw new MalformedError('its last offset lies before its first');
    if (crc32c(bytes, at + 21, end) !== bytes.readUInt32BE(at + 17)) throw new MalformedError('its checksum is wrong');
    this.#asWritten = { end, next: lastOffset + 1 };
    const producerId = bytes.readBigInt64BE(at + 43);
    this.#enterAborted(lastOffset);
    if (attributes & CONTROL_FLAG) {
      if (endsAborted(bytes, at, end)) this.#aborting.delete(producerId);
      return lastOffset;
    }
    if (attributes & TRANSACTIONAL_FLAG && this.#aborting.has(producerId)) return lastOffset;
    const count = bytes.readInt32BE(at + 57);
    if (lastOffset < this.#position || count === 0) return lastOffset;
    if (count < 0) throw new MalformedError(`it has ${count} records`);
    const context: RecordContext = {
      baseOffset,
      lastOffset,
      baseTimestamp: bytes.readBigInt64BE(at + 27),
      appendTimeMs: attributes & APPEND_TIME_FLAG ? Number(bytes.readBigInt64BE(at + 35)) : null,
    };
    const codec = attributes & CODEC_MASK;
    const recordsAt = at + BATCH_HEADER_BYTES;
    if (codec === 0) {
      this.#ownBytes();
      return new OpenRecords(new Cursor(this.#bytes, recordsAt, end), count, context);
    }
    return decompress(codec, bytes.subarray(recordsAt, end), this.#bytesMax).then(
      (decompressed) => new OpenRecords(new Cursor(decompressed), count, context),
    );
  }

  /** Begins the aborted transactions up to this offset. Records of their producers are left out from now on. */
  #enterAborted(lastOffset: number): void {
    for (
      let next = this.#aborted.at(-1);
      next !== undefined && next.firstOffset <= lastOffset;
      next = this.#aborted.at(-1)
    ) {
      this.#aborting.add(next.producerId);
      this.#aborted.pop();
    }
  }

  /**
   * Records that are not compressed are views of the broker's whole answer, with all partitions. After this they are
   * views of this set only.
   */
  #ownBytes(): void {
    if (this.#bytes !== this.#set.bytes || this.#bytes.buffer.byteLength <= SHARED_BYTES_MAX) return;
    this.#bytes = ownCopy(this.#bytes);
  }

  #describe(error: unknown): UnreadableBatchError {
    const { topic, partition } = this.#set;
    const isAsWritten =
      this.#asWritten !== null && error instanceof MalformedError && !(error instanceof UnsupportedError);
    const why = error instanceof MalformedError ? error.message : String(error);
    const message = `the record batch at offset ${this.#position} of ${topic}/${partition} cannot be read: ${why}`;
    return new UnreadableBatchError(message, { cause: error, isAsWritten });
  }
}

/** A batch whose records are being handed out. */
interface OpenBatch {
  readonly lastOffset: number;
  /** The next records: at least one, unless the batch has ended. `bytes`: their size in the batch. */
  take(recordsMax: number, bytesMax: number): { records: FetchedRecord[]; bytes: number; ended: boolean };
}

/** A batch of format 2. */
class OpenRecords implements OpenBatch {
  readonly #context: RecordContext;
  readonly #cursor: Cursor;
  #left: number;
  #lastOffset: number;
  /** Why the next record cannot be read. The records before it are handed out first. */
  #error: MalformedError | null = null;

  constructor(cursor: Cursor, count: number, context: RecordContext) {
    this.#cursor = cursor;
    this.#left = count;
    this.#context = context;
    this.#lastOffset = context.baseOffset - 1;
  }

  get lastOffset(): number {
    return this.#context.lastOffset;
  }

  take(recordsMax: number, bytesMax: number): { records: FetchedRecord[]; bytes: number; ended: boolean } {
    this.#throwError();
    // The last record was too large, and has been told already.
    if (this.#left === 0 && this.#cursor.remaining === 0) return { records: [], bytes: 0, ended: true };
    const { count, bytes } = this.#measure(recordsMax, bytesMax);
    const all = this.#cursor;
    const own = all.bytes.buffer.byteLength > SHARED_BYTES_MAX && bytes < all.bytes.length / 2;
    const cursor = own ? new Cursor(ownCopy(all.bytes.subarray(all.at, all.at + bytes))) : all;
    const start = cursor.at;
    const records: FetchedRecord[] = [];
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

  #read(cursor: Cursor): FetchedRecord {
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
function endsAborted(bytes: Buffer, at: number, end: number): boolean {
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

// ── Formats 0 and 1 ────────────────────────────────────────────────────────────────────────────────────────────────

interface Message {
  readonly magic: number;
  readonly attributes: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** Opens a message, or a wrapper whose value is a compressed set of messages. */
async function openMessage(
  wrapper: Message,
  { offset, bytes, bytesMax }: { readonly offset: number; readonly bytes: number; readonly bytesMax: number },
): Promise<OpenBatch> {
  const { magic } = wrapper;
  const codec = wrapper.attributes & CODEC_MASK;
  if (codec === 0) return new OpenMessages([toRecord(offset, wrapper)], bytes);
  if (wrapper.value === null) throw new MalformedError('it holds no messages');
  const inner = await decompress(codec, wrapper.value, bytesMax);
  const records: FetchedRecord[] = [];
  // In format 1 the inner offsets are relative, and the wrapper has the offset of the last one.
  const shift = magic === 0 ? 0 : offset - lastInnerOffset(inner);
  const appendTimeMs = magic === 1 && wrapper.attributes & APPEND_TIME_FLAG ? wrapper.timestampMs : undefined;
  for (const cursor = new Cursor(inner); cursor.remaining > 0;) {
    const own = offsetOf(cursor.int64());
    const length = cursor.int32();
    const start = cursor.skip(length);
    const message = readMessage(inner, start, start + length);
    if (message.attributes & CODEC_MASK) throw new MalformedError('it holds messages that are compressed again');
    records.push(toRecord(own + shift, message, appendTimeMs));
  }
  return new OpenMessages(records, inner.length);
}

function lastInnerOffset(inner: Buffer): number {
  let last = -1;
  for (const cursor = new Cursor(inner); cursor.remaining > 0;) {
    last = offsetOf(cursor.int64());
    cursor.skip(cursor.int32());
  }
  return last;
}

/** @param start index after offset and length */
function readMessage(bytes: Buffer, start: number, end: number): Message {
  const cursor = new Cursor(bytes, start, end);
  const crc = cursor.int32();
  if (crc32.buf(bytes.subarray(cursor.at, end)) !== crc) throw new MalformedError('its checksum is wrong');
  const magic = cursor.int8();
  const attributes = cursor.int8();
  const timestampMs = magic === 0 ? NO_TIMESTAMP : Number(cursor.int64());
  const key = cursor.int32Bytes();
  return { magic, attributes, timestampMs, key, value: cursor.int32Bytes() };
}

/** Format 0 has no timestamps. */
const NO_TIMESTAMP = -1;

function toRecord(offset: number, message: Message, appendTimeMs = message.timestampMs): FetchedRecord {
  return new FetchedRecord(offset, appendTimeMs, message.key, message.value, NO_HEADERS);
}

/** Messages of a wrapper, or a single one. */
class OpenMessages implements OpenBatch {
  readonly lastOffset: number;
  readonly #records: readonly FetchedRecord[];
  readonly #bytesEach: number;
  #at = 0;

  constructor(records: readonly FetchedRecord[], bytes: number) {
    const last = records.at(-1);
    if (last === undefined) throw new MalformedError('it holds no messages');
    if (records.some(({ offset }, index) => offset <= (records[index - 1]?.offset ?? -1)))
      throw new MalformedError('the offsets of its messages do not ascend');
    this.#records = records;
    this.#bytesEach = Math.ceil(bytes / records.length);
    this.lastOffset = last.offset;
  }

  take(recordsMax: number, bytesMax: number): { records: FetchedRecord[]; bytes: number; ended: boolean } {
    const count = Math.max(1, Math.min(recordsMax, Math.floor(bytesMax / this.#bytesEach)));
    const records = this.#records.slice(this.#at, this.#at + count);
    this.#at += records.length;
    return { records, bytes: records.length * this.#bytesEach, ended: this.#at === this.#records.length };
  }
}

// ── Offsets and bytes ──────────────────────────────────────────────────────────────────────────────────────────────

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/**
 * An offset over 2^53 - 1 is not exact as a JavaScript number. The partition is not read beyond it, so nothing is lost.
 */
function offsetOf(value: bigint): number {
  const offset = Number(value);
  if (!isOffset(offset)) throw new MalformedError(`it has offset ${value}, which is none between 0 and 2^53 - 1`);
  return offset;
}

function ownCopy(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
