import { setImmediate as immediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import lz4 from 'lz4-napi';
import snappy from 'snappy';
import { decompress as zstdDecompress } from '../../codecs/compression.js';
import { FrameError, zstdFrames } from '../../codecs/zstdFrames.js';
import { Cursor, MalformedError, UnsupportedError } from './cursor.js';

/**
 * The most bytes that one record batch may decompress to. The result is in memory as a whole, one such batch at a time
 * in the process (see `batchRoom.ts`). Batches of ordinary producers have some megabytes. A malicious producer can make
 * one that brokers accept and that decompresses to gigabytes.
 */
export const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024;

/** It decompresses to more bytes than allowed. A retry with the same limit does not help. */
export class TooLargeError extends MalformedError {}

/** Smaller data costs less on this thread than on another one. It stops this thread for some milliseconds at most. */
const SYNC_BYTES_MAX = 16 * 1024;

/**
 * Decompresses the content of a record batch or of a wrapper message.
 *
 * @param codec the lowest three bits of the attributes. 0 means no compression
 * @param bytesMax of the result. If a codec tells only an upper bound of its size, that bound must fit
 * @throws TooLargeError if the result may be larger
 * @throws UnsupportedError for an unknown codec, and for data that cannot be decompressed
 */
export async function decompress(codec: number, data: Buffer, bytesMax = DECOMPRESSED_BYTES_MAX): Promise<Buffer> {
  const decompressor = DECOMPRESSORS[codec];
  if (decompressor === undefined) throw new UnsupportedError(`codec ${codec} is unknown`);
  try {
    return await decompressor(data, bytesMax);
  } catch (error) {
    if (error instanceof TooLargeError) throw error;
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE')
      throw new TooLargeError(`it decompresses to more than ${bytesMax} bytes`, { cause: error });
    // Brokers decompress what they accept, so another version may be able to read it: also if it seems malformed.
    const why = error instanceof MalformedError || error instanceof FrameError ? `: ${error.message}` : '';
    throw new UnsupportedError(`it cannot be decompressed${why}`, { cause: error });
  }
}

type Decompressor = (data: Buffer, bytesMax: number) => Promise<Buffer> | Buffer;

const DECOMPRESSORS: Readonly<Record<number, Decompressor>> = {
  1: decompressGzip,
  2: decompressSnappy,
  3: (data, bytesMax) => {
    if (lz4BytesMax(data) > bytesMax) mustFit(lz4Bytes(data), bytesMax);
    return data.length <= SYNC_BYTES_MAX ? lz4.decompressFrameSync(data) : lz4.decompressFrame(data);
  },
  4: decompressZstd,
};

function mustFit(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) throw new TooLargeError(`it may decompress to ${bytes} bytes; ${bytesMax} are taken`);
}

// ── Gzip ───────────────────────────────────────────────────────────────────────────────────────────────────────────

const gunzip = promisify(zlib.gunzip);
const inflateRaw = promisify(zlib.inflateRaw) as unknown as (
  data: Buffer,
  options: zlib.ZlibOptions,
) => Promise<{ buffer: Buffer; engine: { bytesWritten: number } }>;

async function decompressGzip(data: Buffer, maxOutputLength: number): Promise<Buffer> {
  try {
    return data.length <= SYNC_BYTES_MAX
      ? zlib.gunzipSync(data, { maxOutputLength })
      : await gunzip(data, { maxOutputLength });
  } catch (error) {
    if ((error as { code?: string }).code !== 'Z_DATA_ERROR') throw error;
    return await gunzipMembers(data, maxOutputLength);
  }
}

/**
 * Decompresses member by member, up to the first bytes that are no member. Kafka's brokers and Java clients read so
 * (`java.util.zip.GZIPInputStream`), and accept a batch with something else after its last member.
 */
async function gunzipMembers(data: Buffer, bytesMax: number): Promise<Buffer> {
  const members: Buffer[] = [];
  let bytes = 0;
  for (let at = 0, body = gzipBody(data, at); body !== null; body = gzipBody(data, at)) {
    const maxOutputLength = Math.max(1, bytesMax - bytes);
    const { buffer, engine } = await inflateRaw(data.subarray(body), { maxOutputLength, info: true });
    bytes += buffer.length;
    members.push(buffer);
    at = body + engine.bytesWritten + GZIP_TRAILER_BYTES;
  }
  if (members.length === 0) throw new UnsupportedError('it has no member of gzip');
  return Buffer.concat(members);
}

const GZIP_TRAILER_BYTES = 8;

/**
 * The index of the deflated bytes of the member at `at`. Null if there is no member.
 *
 * Source: RFC 1952, 2.3.
 */
function gzipBody(data: Buffer, at: number): number | null {
  if (data.length < at + 10 || data.readUIntBE(at, 3) !== 0x1f8b08) return null;
  const cursor = new Cursor(data, at + 3);
  const flags = cursor.int8();
  cursor.skip(6);
  if (flags & 0x04) cursor.skip(data.readUInt16LE(cursor.skip(2)));
  for (const flag of [0x08, 0x10]) if (flags & flag) cursor.skip(data.indexOf(0, cursor.at) + 1 - cursor.at);
  if (flags & 0x02) cursor.skip(2);
  return cursor.at;
}

// ── Snappy ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Snappy has two formats. librdkafka writes one raw block. Kafka's Java clients write snappy-java's stream format: a
 * header (magic and two version numbers), then the length of a block and the block in turn, big-endian. Several such
 * streams may follow each other. Up to three bytes at the end are no length, and are passed over.
 *
 * Source: `SnappyInputStream.hasNextChunk` of snappy-java, with which brokers read what they accept.
 */
async function decompressSnappy(data: Buffer, bytesMax: number): Promise<Buffer> {
  if (!isXerialHeader(data, 0)) {
    mustFit(snappyBytes(data), bytesMax);
    return uncompressBlock(data);
  }
  const blocks: Buffer[] = [];
  let bytes = 0;
  for (const cursor = new Cursor(data); cursor.remaining >= XERIAL_LENGTH_BYTES;) {
    if (isXerialHeader(data, cursor.at)) {
      cursor.skip(XERIAL_HEADER_BYTES);
      continue;
    }
    const block = cursor.int32Bytes();
    if (block === null) throw new MalformedError('a block has no length');
    bytes += snappyBytes(block);
    mustFit(bytes, bytesMax);
    blocks.push(await uncompressBlock(block));
  }
  return Buffer.concat(blocks);
}

function isXerialHeader(data: Buffer, at: number): boolean {
  return data.subarray(at, at + XERIAL_MAGIC.length).equals(XERIAL_MAGIC);
}

async function uncompressBlock(block: Buffer): Promise<Buffer> {
  if (block.length <= SYNC_BYTES_MAX) return snappy.uncompressSync(block, { asBuffer: true }) as Buffer;
  return (await snappy.uncompress(block, { asBuffer: true })) as Buffer;
}

/** The decompressed size of a block. A block begins with it, as an unsigned varint. */
function snappyBytes(block: Buffer): number {
  let length = 0;
  for (let at = 0; at < 5; at++) {
    const byte = block[at];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (at * 7);
    if (byte < 0x80) return length;
  }
  throw new MalformedError('a block does not say its length');
}

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
const XERIAL_LENGTH_BYTES = 4;

// ── LZ4 ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * An upper bound of an LZ4 frame's decompressed size: the number of its blocks times the block size in its descriptor.
 *
 * Source: LZ4 frame format 1.6.
 */
function lz4BytesMax(data: Buffer): number {
  const blockBytesMax = 2 ** (8 + 2 * (((data[5] ?? 0) >> 4) & 7));
  let blocks = 0;
  for (const _ of lz4Blocks(data)) blocks++;
  return blocks * blockBytesMax;
}

/**
 * The decompressed size of an LZ4 frame, from the lengths in its blocks. Many blocks are small if a producer flushes
 * often.
 */
function lz4Bytes(data: Buffer): number {
  let bytes = 0;
  for (const { at, size, isCompressed } of lz4Blocks(data))
    bytes += isCompressed ? lz4BlockBytes(data, at, size) : size;
  return bytes;
}

function* lz4Blocks(data: Buffer): Generator<{ at: number; size: number; isCompressed: boolean }> {
  const cursor = new Cursor(data, 4); // After the magic number, which the decompressor checks.
  const flags = cursor.int8();
  cursor.skip(1 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0) + 1);
  while (cursor.remaining > 0) {
    const header = data.readUInt32LE(cursor.skip(4));
    const size = header & 0x7fffffff;
    if (size === 0) return;
    const at = cursor.skip(size);
    cursor.skip(flags & 0x10 ? 4 : 0);
    yield { at, size, isCompressed: header <= 0x7fffffff };
  }
}

/**
 * The decompressed size of one LZ4 block. A block is a list of sequences of a token, literals, and a match's offset. A
 * 15 in half of a token means that the length continues in the next bytes.
 *
 * Source: LZ4 block format.
 */
function lz4BlockBytes(data: Buffer, start: number, size: number): number {
  const cursor = new Cursor(data, start, start + size);
  const lengthOf = (half: number): number => {
    let length = half;
    for (let more = half === 15 ? 255 : 0; more === 255; length += more) more = data[cursor.skip(1)] as number;
    return length;
  };
  let bytes = 0;
  while (cursor.remaining > 0) {
    const token = data[cursor.skip(1)] as number;
    const literals = lengthOf(token >> 4);
    cursor.skip(literals);
    bytes += literals;
    if (cursor.remaining === 0) break; // The last sequence has no match.
    cursor.skip(2);
    bytes += lengthOf(token & 15) + 4;
  }
  return bytes;
}

// ── Zstandard ──────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Decompresses everything in one step if all frames together cannot be too large. Otherwise it goes frame by frame, and
 * counts the real size of each.
 */
async function decompressZstd(data: Buffer, bytesMax: number): Promise<Buffer> {
  const frames = zstdFrames(data);
  const sum = (of: 'bytesMin' | 'bytesMax'): number => frames.reduce((total, frame) => total + frame[of], 0);
  if (sum('bytesMax') <= bytesMax) return zstdDecompress(data, bytesMax);
  mustFit(sum('bytesMin'), bytesMax);
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const frame of frames) {
    mustFit(bytes + frame.bytesMax, bytesMax);
    // Lets other work run in between.
    if (parts.length > 0) await immediate();
    const part = zstdDecompress(data.subarray(frame.start, frame.end), bytesMax);
    bytes += part.length;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
