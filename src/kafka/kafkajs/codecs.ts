import { promisify } from 'node:util';
import zlib from 'node:zlib';
import lz4 from 'lz4-napi';
import snappy from 'snappy';
import { decompress as zstdDecompress } from '../../records/compression.js';
import { Cursor, MalformedError } from './cursor.js';

/**
 * What one record batch may decompress to, in bytes. It is in memory as a whole, one such batch at a time in the process (see
 * `runner.ts`). Batches of producers that are not malicious have some megabytes; a malicious one makes gigabytes of what a broker takes.
 */
export const DECOMPRESSED_BYTES_MAX = 256 * 1024 * 1024;

/** More than may be taken: decompressing it again with the same bound does not help. */
export class TooLargeError extends MalformedError {}

/** What is smaller costs less here than on another thread, and stops this one for some milliseconds at the worst. */
const SYNC_BYTES_MAX = 16 * 1024;

/**
 * Decompresses what a record batch or a wrapper message of one of Kafka's codecs holds.
 *
 * @param codec the lowest three bits of the attributes; 0 is none
 * @param bytesMax how many bytes it may become; some codecs tell only a bound, which counts
 * @throws TooLargeError for more
 * @throws MalformedError for an unknown codec, and for what is not of it
 */
export async function decompress(codec: number, data: Buffer, bytesMax = DECOMPRESSED_BYTES_MAX): Promise<Buffer> {
  const decompressor = DECOMPRESSORS[codec];
  if (decompressor === undefined) throw new MalformedError(`codec ${codec} is unknown`);
  try {
    return await decompressor(data, bytesMax);
  } catch (error) {
    if (error instanceof MalformedError) throw error;
    if ((error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE')
      throw new TooLargeError(`it decompresses to more than ${bytesMax} bytes`, { cause: error });
    throw new MalformedError('it cannot be decompressed', { cause: error });
  }
}

const gunzip = promisify(zlib.gunzip);

type Decompressor = (data: Buffer, bytesMax: number) => Promise<Buffer> | Buffer;

const DECOMPRESSORS: Readonly<Record<number, Decompressor>> = {
  1: (data, maxOutputLength) =>
    data.length <= SYNC_BYTES_MAX ? zlib.gunzipSync(data, { maxOutputLength }) : gunzip(data, { maxOutputLength }),
  2: decompressSnappy,
  3: (data, bytesMax) => {
    mustFit(lz4BytesMax(data), bytesMax);
    return data.length <= SYNC_BYTES_MAX ? lz4.decompressFrameSync(data) : lz4.decompressFrame(data);
  },
  4: (data, bytesMax) => {
    mustFit(zstdBytesMax(data), bytesMax);
    return zstdDecompress(data);
  },
};

function mustFit(bytes: number, bytesMax: number): void {
  if (bytes > bytesMax) throw new TooLargeError(`it may decompress to ${bytes} bytes; ${bytesMax} are taken`);
}

// ── Snappy ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Snappy comes in two shapes: as one raw block (librdkafka), or as blocks behind a header (snappy-java's stream format,
 * which Kafka's Java clients write): magic, two version numbers, then length and block by turns, big-endian.
 */
async function decompressSnappy(data: Buffer, bytesMax: number): Promise<Buffer> {
  if (!data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    mustFit(snappyBytes(data), bytesMax);
    return uncompressBlock(data);
  }
  const blocks: Buffer[] = [];
  let bytes = 0;
  for (const cursor = new Cursor(data, XERIAL_HEADER_BYTES); cursor.remaining > 0;) {
    const block = cursor.int32Bytes();
    if (block === null) throw new MalformedError('a block has no length');
    bytes += snappyBytes(block);
    mustFit(bytes, bytesMax);
    blocks.push(await uncompressBlock(block));
  }
  return Buffer.concat(blocks);
}

async function uncompressBlock(block: Buffer): Promise<Buffer> {
  if (block.length <= SYNC_BYTES_MAX) return snappy.uncompressSync(block, { asBuffer: true }) as Buffer;
  return (await snappy.uncompress(block, { asBuffer: true })) as Buffer;
}

/** A block begins with the length of what it holds, as an unsigned varint. */
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

// ── LZ4 ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What an LZ4 frame holds at most: its blocks times the size that its descriptor allows them.
 *
 * Source: LZ4 frame format 1.6.
 */
function lz4BytesMax(data: Buffer): number {
  const cursor = new Cursor(data, 4); // Behind the magic number, which the decompressor looks at.
  const flags = cursor.int8();
  const blockBytesMax = 2 ** (8 + 2 * ((cursor.int8() >> 4) & 7));
  cursor.skip((flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0) + 1);
  let bytes = 0;
  while (cursor.remaining > 0) {
    const size = data.readUInt32LE(cursor.skip(4)) & 0x7fffffff;
    if (size === 0) break;
    cursor.skip(size + (flags & 0x10 ? 4 : 0));
    bytes += blockBytesMax;
  }
  return bytes;
}

// ── Zstandard ──────────────────────────────────────────────────────────────────────────────────────────────────────

const ZSTD_MAGIC = 0xfd2fb528;
const ZSTD_BLOCK_BYTES_MAX = 128 * 1024;

/**
 * What Zstandard frames hold at most, by the headers of their blocks: raw and repeated ones say it, a compressed one is of 128 KiB
 * at most.
 *
 * Source: RFC 8878, 3.1.1.
 */
function zstdBytesMax(data: Buffer): number {
  const cursor = new Cursor(data);
  let bytes = 0;
  while (cursor.remaining >= 4) {
    const magic = data.readUInt32LE(cursor.skip(4));
    if ((magic & 0xfffffff0) >>> 0 === 0x184d2a50) {
      cursor.skip(data.readUInt32LE(cursor.skip(4)));
      continue;
    }
    if (magic !== ZSTD_MAGIC) throw new MalformedError('a frame does not begin as one of Zstandard');
    const descriptor = cursor.int8();
    const singleSegment = (descriptor & 0x20) !== 0;
    const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][(descriptor >> 6) & 3] as number;
    cursor.skip((singleSegment ? 0 : 1) + ([0, 1, 2, 4][descriptor & 3] as number) + contentSizeBytes);
    for (let last = false; !last;) {
      const header = data.readUIntLE(cursor.skip(3), 3);
      last = (header & 1) !== 0;
      const size = header >>> 3;
      const type = (header >>> 1) & 3;
      cursor.skip(type === 1 ? 1 : size);
      bytes += type === 2 ? ZSTD_BLOCK_BYTES_MAX : size;
    }
    if (descriptor & 0x04) cursor.skip(4);
  }
  return bytes;
}
