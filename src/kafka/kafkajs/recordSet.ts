import { setImmediate as immediate } from 'node:timers/promises';
import type { PackedRecord } from '../../protocol/packedRecord.js';
import { SHARED_ROOM_BATCH_MAX } from './batchRoom.js';
import { decompress, DECOMPRESSED_BYTES_MAX, TooLargeError } from './decompression.js';
import { crc32c } from './crc32c.js';
import { Cursor, isOffset, MalformedError, offsetOf, UnsupportedError } from './cursor.js';
import { errorOfCode } from './errorCodes.js';
import { RecordTooLargeError, type RecordContext } from './fetchedRecord.js';
import { openMessage, readMessage } from './messageSet.js';
import { APPEND_TIME_FLAG, CODEC_MASK, PART_BYTES_MAX, PART_RECORDS_MAX, type OpenBatch } from './openBatch.js';
import { BATCH_HEADER_BYTES, endsAborted, OpenRecords } from './recordBatch.js';

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

/** From an offset on, record batches were taken by one leader. Offsets without a record count with the batch after them. */
export interface EpochStart {
  /** Kafka counts the leaders of a partition. */
  readonly leaderEpoch: number;
  readonly from: number;
}

/** Some of a record set's records, in order. */
export interface RecordSetPart {
  /** The offset at which this part begins, even if there is no record at it. */
  readonly from: number;
  /** The offset at which the next part begins. */
  readonly next: number;
  readonly records: readonly PackedRecord[];
  /**
   * The leader epochs of its record batches, in order. The first one begins with the part, and may have begun before.
   * Missing if its format has none (before Kafka 0.11).
   */
  readonly leaderEpochs?: readonly EpochStart[];
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

/** Bytes of offset and length, which the length field does not count. */
const LOG_OVERHEAD_BYTES = 12;
const LEADER_EPOCH_AT = 12;
const MAGIC_AT = 16;
const TRANSACTIONAL_FLAG = 0x10;
const CONTROL_FLAG = 0x20;

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
  readonly #bytes: Buffer;
  #at = 0;
  /** Everything before it was handed out or left out. */
  #position: number;
  #current: OpenBatch | null = null;
  #failure: UnreadableBatchError | null = null;
  /** The present batch, if its checksum is right: its first offset, its end, and the offset after it. */
  #asWritten: { readonly first: number; readonly end: number; readonly next: number } | null = null;
  /** Of the batch that is being handed out, or of the last one. Null if its format has none. */
  #leaderEpoch: number | null = null;
  /** Of the batches of the next part. */
  #leaderEpochs: EpochStart[] = [];
  #bytesMax = 0;
  #neededBytes = 0;
  #openBytes = 0;
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
   * If the last part was null because the next batch decompresses to more than was allowed: how much has to be allowed.
   * Otherwise 0.
   */
  get neededBytes(): number {
    return this.#neededBytes;
  }

  /** Size of the decompressed batch that is being handed out. 0 if there is none. */
  get openBytes(): number {
    return this.#openBytes;
  }

  /**
   * The next part. Null at the end. After a part with a failure the set ends, unless its producer wrote the batch so.
   *
   * @param bytesMax to which a batch may be decompressed. At most {@link DECOMPRESSED_BYTES_MAX}
   */
  async next(bytesMax: number): Promise<RecordSetPart | null> {
    this.#bytesMax = bytesMax;
    this.#neededBytes = 0;
    if (this.#ended) return null;
    const from = this.#position;
    const records: PackedRecord[] = [];
    this.#leaderEpochs = [];
    if (this.#current !== null) this.#noteLeaderEpoch(from);
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
        if (error instanceof TooLargeError && this.#bytesMax < DECOMPRESSED_BYTES_MAX)
          this.#neededBytes = this.#bytesMax < SHARED_ROOM_BATCH_MAX ? SHARED_ROOM_BATCH_MAX : DECOMPRESSED_BYTES_MAX;
        else this.#noteFailure(error);
      }
    }
    if (this.#failure !== null && this.#position === from) return this.#fail(from, this.#failure);
    if (this.#position === from) return null;
    return this.#withLeaderEpochs({ from, next: this.#position, records, failure: null });
  }

  #withLeaderEpochs(part: RecordSetPart): RecordSetPart {
    // The batch after the part may have been opened already.
    const leaderEpochs = this.#leaderEpochs.filter(({ from }) => from < part.next);
    return leaderEpochs.length === 0 ? part : { ...part, leaderEpochs };
  }

  #noteLeaderEpoch(from: number): void {
    const leaderEpoch = this.#leaderEpoch;
    if (leaderEpoch !== null && leaderEpoch !== this.#leaderEpochs.at(-1)?.leaderEpoch)
      this.#leaderEpochs.push({ leaderEpoch, from });
  }

  /** What is before the record or batch that cannot be read is a part of its own: nothing is wrong with it. */
  #noteFailure(error: unknown): void {
    const first = error instanceof RecordTooLargeError ? error.offset : (this.#asWritten?.first ?? 0);
    this.#position = Math.max(this.#position, first);
    this.#failure = this.#describe(error);
  }

  #fail(from: number, failure: UnreadableBatchError): RecordSetPart {
    const { cause, isAsWritten } = failure;
    if (cause instanceof RecordTooLargeError) {
      this.#position = Math.max(from, cause.offset + 1);
      this.#failure = null;
    } else if (isAsWritten && this.#asWritten !== null) {
      this.#at = this.#asWritten.end;
      this.#position = Math.max(from, this.#asWritten.next);
      this.#closeBatch();
      this.#failure = null;
    } else this.#ended = true;
    if (isAsWritten) this.#noteLeaderEpoch(from);
    return this.#withLeaderEpochs({ from, next: this.#position, records: [], failure });
  }

  /** @returns whether there may be more in the set */
  async #read(records: PackedRecord[]): Promise<boolean> {
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
        this.#closeBatch();
      }
    }
    return true;
  }

  /** Hands out nothing more, and keeps nothing in memory. */
  end(): void {
    this.#ended = true;
    this.#closeBatch();
  }

  #closeBatch(): void {
    this.#current = null;
    this.#openBytes = 0;
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
    this.#leaderEpoch = null;
    const wrapper = readMessage(this.#bytes, at + LOG_OVERHEAD_BYTES, end);
    // A wrapper message has the offset of its last inner message. That of its first one is not known yet.
    this.#asWritten = { first: 0, end, next: baseOffset + 1 };
    return openMessage(wrapper, {
      offset: baseOffset,
      bytes: end - at,
      decompress: (codec, data) => this.#decompress(codec, data),
    });
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
    this.#asWritten = { first: baseOffset, end, next: lastOffset + 1 };
    const leaderEpoch = bytes.readInt32BE(at + LEADER_EPOCH_AT);
    this.#leaderEpoch = leaderEpoch < 0 ? null : leaderEpoch;
    if (lastOffset >= this.#position) this.#noteLeaderEpoch(this.#position);
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
    if (codec === 0) return new OpenRecords(new Cursor(bytes, recordsAt, end), count, context, false);
    return this.#decompress(codec, bytes.subarray(recordsAt, end)).then(
      (decompressed) => new OpenRecords(new Cursor(decompressed), count, context, true),
    );
  }

  async #decompress(codec: number, data: Buffer): Promise<Buffer> {
    if (this.#bytesMax === 0) throw new TooLargeError('nothing may be decompressed now');
    const decompressed = await decompress(codec, data, this.#bytesMax);
    this.#openBytes = decompressed.length;
    return decompressed;
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

  #describe(error: unknown): UnreadableBatchError {
    const { topic, partition } = this.#set;
    const isAsWritten =
      this.#asWritten !== null && error instanceof MalformedError && !(error instanceof UnsupportedError);
    const why = error instanceof MalformedError ? error.message : String(error);
    const what = error instanceof RecordTooLargeError ? 'record' : 'record batch';
    const message = `the ${what} at offset ${this.#position} of ${topic}/${partition} cannot be read: ${why}`;
    return new UnreadableBatchError(message, { cause: error, isAsWritten });
  }
}
