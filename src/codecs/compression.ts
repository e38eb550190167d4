import { createRequire } from 'node:module';
import zlib from 'node:zlib';
import type { Decoder, Encoder } from '@toondepauw/node-zstd';
import { asBuffer } from '../lib/asBuffer.js';

const LEVEL = 1;

/**
 * Zstandard, level 1. Of the codecs measured on chunks of JSON records it costs least in total, because Temporal's
 * costs depend on the bytes that it stores. Node has it from 22.15 on. For older versions of Node a prebuilt package
 * provides it.
 */
export const compress: (data: Uint8Array) => Buffer = zstd().compress;

/** The opposite of {@link compress}. Throws if the data is not a whole Zstandard frame. */
export const decompress: (data: Uint8Array) => Buffer = zstd().decompress;

interface Zstd {
  readonly compress: (data: Uint8Array) => Buffer;
  readonly decompress: (data: Uint8Array) => Buffer;
}

/** The part of `node:zlib` that is missing in the type definitions for the oldest supported Node. */
interface ZlibWithZstd {
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
  readonly zstdCompressSync?: (data: Uint8Array, options: { params: Record<number, number> }) => Buffer;
  readonly zstdDecompressSync?: (data: Uint8Array) => Buffer;
}

function zstd(): Zstd {
  const { constants, zstdCompressSync, zstdDecompressSync } = zlib as unknown as ZlibWithZstd;
  if (zstdCompressSync !== undefined && zstdDecompressSync !== undefined) {
    const options = { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } };
    return { compress: (data) => zstdCompressSync(data, options), decompress: zstdDecompressSync };
  }
  const { Encoder: ZstdEncoder, Decoder: ZstdDecoder } = createRequire(import.meta.url)('@toondepauw/node-zstd') as {
    Encoder: typeof Encoder;
    Decoder: typeof Decoder;
  };
  const encoder = new ZstdEncoder(LEVEL);
  const decoder = new ZstdDecoder();
  return {
    compress: (data) => encoder.encodeSync(asBuffer(data)),
    decompress: (data) => decoder.decodeSync(asBuffer(data)),
  };
}
