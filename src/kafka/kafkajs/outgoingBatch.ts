import { copyBytes } from '../../lib/copyBytes.js';
import { SpareBuffers } from '../../lib/spareBuffers.js';
import { NULL_LENGTH } from '../../protocol/packedRecord.js';
import type { HeaderValues } from '../../protocol/record.js';
import type { PackedMessage } from '../packedMessage.js';
import { crc32c } from './crc32c.js';
import { BATCH_HEADER_BYTES } from './recordBatch.js';

/** Bytes of a batch before those that its length counts, and before those that its checksum covers. */
const LENGTH_END = 12;
const CRC_END = 21;
const MAGIC = 2;
/** Bytes of the longest length of a record. */
const LENGTH_BYTES_MAX = 5;
/** Records of fewer bytes have a buffer of their own: of a topic with many partitions, most get only a few at a time. */
const FEW_BYTES_MAX = 16 * 1024;
const FIRST_BYTES = 1024;
/** Buffers for more records. A request has 128 KiB at most, so nearly every batch fits. Below 128 KiB: see `RowBlocks`. */
const SPARE = new SpareBuffers(120 * 1024, 32);

type Header = readonly [name: string, value: Buffer | string | null];

/**
 * A record batch of format 2 for one partition. Each message is written once, as it is added. All have the same
 * timestamp, which is not known before the batch is sent.
 *
 * @see https://kafka.apache.org/documentation/#recordbatch
 */
export class OutgoingBatch {
  /** The records. Null after {@link release}. */
  #records: Buffer | null = NOTHING;
  #end = 0;
  #count = 0;

  /** Of the whole batch. */
  get bytes(): number {
    return BATCH_HEADER_BYTES + this.#end;
  }

  add({ keys, keyAt, keyLength, value, headers }: PackedMessage): void {
    const listed = headers === undefined ? NO_HEADERS : listOf(headers);
    let recordBytes = 2 + varintBytes(this.#count) + lengthBytes(keyLength) + contentBytes(value);
    recordBytes += varintBytes(listed.length);
    for (const [name, content] of listed) recordBytes += contentBytes(name) + contentBytes(content);
    const out = this.#reserve(LENGTH_BYTES_MAX + recordBytes);
    let at = writeVarint(out, this.#end, recordBytes);
    out[at++] = 0; // Attributes.
    out[at++] = 0; // Milliseconds after the batch's first timestamp.
    at = writeVarint(out, at, this.#count);
    at = writePart(out, at, keys, keyAt, keyLength);
    at = writeContent(out, at, value);
    at = writeVarint(out, at, listed.length);
    for (const [name, content] of listed) at = writeContent(out, writeContent(out, at, name), content);
    this.#end = at;
    this.#count++;
  }

  /**
   * @returns the place after it
   * @throws Error after {@link release}
   */
  writeTo(out: Buffer, start: number, nowMs: number): number {
    const time = BigInt(nowMs);
    out.fill(0, start, start + BATCH_HEADER_BYTES);
    out.writeInt32BE(this.bytes - LENGTH_END, start + 8);
    out.writeInt8(MAGIC, start + 16);
    out.writeInt32BE(this.#count - 1, start + 23);
    out.writeBigInt64BE(time, start + 27); // Of the first record.
    out.writeBigInt64BE(time, start + 35); // The latest.
    out.writeBigInt64BE(-1n, start + 43); // No producer id.
    out.writeInt32BE(this.#count, start + 57);
    this.#written().copy(out, start + BATCH_HEADER_BYTES, 0, this.#end);
    const end = start + this.bytes;
    out.writeUInt32BE(crc32c(out, start + CRC_END, end), start + 17);
    return end;
  }

  /**
   * Lets another batch use the memory, after the brokers have this one. It cannot be written any more: kafkajs may still
   * try to, for an attempt that was slower than the one that succeeded.
   */
  release(): void {
    if (this.#records !== null) SPARE.give(this.#records);
    this.#records = null;
  }

  #written(): Buffer {
    if (this.#records === null) throw new Error('the brokers have this batch already');
    return this.#records;
  }

  #reserve(bytes: number): Buffer {
    const records = this.#written();
    const needed = this.#end + bytes;
    if (needed <= records.length) return records;
    const wanted = Math.max(needed, 2 * this.#end, FIRST_BYTES);
    const grown = wanted <= FEW_BYTES_MAX ? Buffer.allocUnsafe(wanted) : SPARE.take(wanted);
    records.copy(grown, 0, 0, this.#end);
    SPARE.give(records);
    this.#records = grown;
    return grown;
  }
}

const NOTHING = Buffer.alloc(0);
const NO_HEADERS: readonly Header[] = [];

/** One entry for each value of a name. */
function listOf(headers: HeaderValues): readonly Header[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    (values instanceof Array ? values : [values]).map((value) => [name, value] as const),
  );
}

type Content = Buffer | string | null;

/** Bytes of a key, value, or name or value of a header, with its length. */
function contentBytes(content: Content): number {
  return lengthBytes(lengthOf(content));
}

function lengthOf(content: Content): number {
  if (content === null) return NULL_LENGTH;
  return typeof content === 'string' ? Buffer.byteLength(content) : content.length;
}

function lengthBytes(length: number): number {
  return length === NULL_LENGTH ? 1 : varintBytes(length) + length;
}

function writeContent(out: Buffer, start: number, content: Content): number {
  const length = lengthOf(content);
  const at = writeVarint(out, start, length);
  if (content === null) return at;
  if (typeof content === 'string') out.write(content, at);
  else out.set(content, at);
  return at + length;
}

/** Writes content that is a part of a larger buffer. */
function writePart(out: Buffer, start: number, bytes: Buffer, from: number, length: number): number {
  const at = writeVarint(out, start, length);
  if (length === NULL_LENGTH) return at;
  copyBytes(out, at, bytes, from, length);
  return at + length;
}

/** Bytes of an Int32, zigzag-encoded, seven bits in each byte. */
function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest >>>= 7) bytes++;
  return bytes;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let at = start;
  let rest = zigzag(value);
  for (; rest >= 0x80; rest >>>= 7) out[at++] = (rest & 0x7f) | 0x80;
  out[at++] = rest;
  return at;
}

function zigzag(value: number): number {
  return ((value << 1) ^ (value >> 31)) >>> 0;
}
