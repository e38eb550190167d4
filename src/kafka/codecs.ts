import kafkajs from 'kafkajs';
import lz4 from 'lz4-napi';
import snappy from 'snappy';
import { compress as zstdCompress, decompress as zstdDecompress } from '../records/compression.js';

const { CompressionCodecs, CompressionTypes } = kafkajs;

interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>;
  decompress(data: Buffer): Promise<Buffer>;
}

/**
 * Teaches kafkajs the codecs it lacks: without them a consumer crashes at the first record batch that a producer
 * compressed with Snappy, LZ4 or Zstandard. Idempotent.
 */
export function registerCodecs(): void {
  CompressionCodecs[CompressionTypes.Snappy] = () => snappyCodec;
  CompressionCodecs[CompressionTypes.LZ4] = () => lz4Codec;
  CompressionCodecs[CompressionTypes.ZSTD] = () => zstdCodec;
}

/** Kafka's LZ4 is the LZ4 frame format. */
const lz4Codec: Codec = {
  compress: async ({ buffer }) => lz4.compressFrame(buffer),
  decompress: async (data) => lz4.decompressFrame(data),
};

const zstdCodec: Codec = {
  compress: ({ buffer }) => Promise.resolve(zstdCompress(buffer)),
  decompress: (data) => Promise.resolve(zstdDecompress(data)),
};

const snappyCodec: Codec = {
  compress: async ({ buffer }) => snappy.compress(buffer),
  decompress: decompressSnappy,
};

/**
 * Snappy comes in two shapes: as one raw block (librdkafka), or as blocks behind a header (snappy-java's stream format,
 * which Kafka's Java clients write): magic, two version numbers, then length and block by turns, big-endian.
 */
async function decompressSnappy(data: Buffer): Promise<Buffer> {
  if (!data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) return uncompressBlock(data);
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER_BYTES; at < data.length;) {
    const length = data.readUInt32BE(at);
    const start = at + 4;
    blocks.push(await uncompressBlock(data.subarray(start, start + length)));
    at = start + length;
  }
  return Buffer.concat(blocks);
}

async function uncompressBlock(block: Buffer): Promise<Buffer> {
  return (await snappy.uncompress(block, { asBuffer: true })) as Buffer;
}

const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER_BYTES = 16;
