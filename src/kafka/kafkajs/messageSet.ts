import { crc32 } from '../../lib/crc32.js';
import { NULL_LENGTH, PackedRecord } from '../../protocol/packedRecord.js';
import { NO_HEADERS, NO_TIMESTAMP } from '../../protocol/record.js';
import { Cursor, MalformedError, offsetOf } from './cursor.js';
import { APPEND_TIME_FLAG, CODEC_MASK, type OpenBatch } from './openBatch.js';

/** A message of format 0 or 1. Kafka wrote these before record batches. */
interface Message {
  readonly magic: number;
  readonly attributes: number;
  readonly timestampMs: number;
  /** The bytes that it was read from. */
  readonly bytes: Buffer;
  readonly keyAt: number;
  /** `NULL_LENGTH` if there is no key. */
  readonly keyLength: number;
  readonly valueAt: number;
  /** `NULL_LENGTH` if there is no value. */
  readonly valueLength: number;
}

/** Opens a message, or a wrapper whose value is a compressed set of messages. */
export async function openMessage(
  wrapper: Message,
  {
    offset,
    bytes,
    decompress,
  }: {
    readonly offset: number;
    readonly bytes: number;
    readonly decompress: (codec: number, data: Buffer) => Promise<Buffer>;
  },
): Promise<OpenBatch> {
  const { magic } = wrapper;
  const codec = wrapper.attributes & CODEC_MASK;
  if (codec === 0) return new OpenMessages([toRecord(offset, wrapper)], bytes);
  const { valueAt, valueLength } = wrapper;
  if (valueLength === NULL_LENGTH) throw new MalformedError('it holds no messages');
  const inner = await decompress(codec, wrapper.bytes.subarray(valueAt, valueAt + valueLength));
  const records: PackedRecord[] = [];
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

/**
 * @param start index after offset and length
 * @throws MalformedError
 */
export function readMessage(bytes: Buffer, start: number, end: number): Message {
  const cursor = new Cursor(bytes, start, end);
  const crc = cursor.int32();
  if (crc32(bytes.subarray(cursor.at, end)) !== crc) throw new MalformedError('its checksum is wrong');
  const magic = cursor.int8();
  const attributes = cursor.int8();
  // Format 0 has no timestamps.
  const timestampMs = magic === 0 ? NO_TIMESTAMP : Number(cursor.int64());
  const keyLength = cursor.skipInt32Bytes();
  const keyAt = cursor.at - keyLength;
  const valueLength = cursor.skipInt32Bytes();
  const valueAt = cursor.at - valueLength;
  return { magic, attributes, timestampMs, bytes, keyAt, keyLength, valueAt, valueLength };
}

function toRecord(offset: number, message: Message, timestampMs = message.timestampMs): PackedRecord {
  const { bytes, keyAt, keyLength, valueAt, valueLength } = message;
  return new PackedRecord(offset, timestampMs, bytes, keyAt, keyLength, bytes, valueAt, valueLength, NO_HEADERS);
}

/** Messages of a wrapper, or a single one. */
class OpenMessages implements OpenBatch {
  readonly lastOffset: number;
  readonly #records: readonly PackedRecord[];
  readonly #bytesEach: number;
  #at = 0;

  constructor(records: readonly PackedRecord[], bytes: number) {
    const last = records.at(-1);
    if (last === undefined) throw new MalformedError('it holds no messages');
    if (records.some(({ offset }, index) => offset <= (records[index - 1]?.offset ?? -1)))
      throw new MalformedError('the offsets of its messages do not ascend');
    this.#records = records;
    this.#bytesEach = Math.ceil(bytes / records.length);
    this.lastOffset = last.offset;
  }

  take(recordsMax: number, bytesMax: number): { records: PackedRecord[]; bytes: number; ended: boolean } {
    const count = Math.max(1, Math.min(recordsMax, Math.floor(bytesMax / this.#bytesEach)));
    const records = this.#records.slice(this.#at, this.#at + count);
    this.#at += records.length;
    return { records, bytes: records.length * this.#bytesEach, ended: this.#at === this.#records.length };
  }
}
