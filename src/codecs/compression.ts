import { createRequire } from 'node:module';
import zlib from 'node:zlib';
import type { Decoder, Encoder } from '@toondepauw/node-zstd';
import { asBuffer } from '../lib/asBuffer.js';
import { zstdFrames } from './zstdFrames.js';

const LEVEL = 1;

/**
 * Zstandard, level 1. Of the codecs measured on chunks of JSON records it costs least in total, because Temporal's
 * costs depend on the bytes that it stores. Node has it from 22.15 on. For older versions of Node a prebuilt package
 * provides it.
 */
export const compress: (data: Uint8Array) => Buffer = zstd().compress;

/**
 * The opposite of {@link compress}. A few kilobytes can decompress to gigabytes, so it takes a bound.
 *
 * @throws Error with the code `ERR_BUFFER_TOO_LARGE` if there are, or might be, more than `bytesMax`; another Error if the data is
 *   not a whole Zstandard frame
 */
export const decompress: (data: Uint8Array, bytesMax: number) => Buffer = zstd().decompress;

interface Zstd {
  readonly compress: (data: Uint8Array) => Buffer;
  readonly decompress: (data: Uint8Array, bytesMax: number) => Buffer;
}

/** The part of `node:zlib` that is missing in the type definitions for the oldest supported Node. */
interface ZlibWithZstd {
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
  readonly zstdCompressSync?: (data: Uint8Array, options: { params: Record<number, number> }) => Buffer;
  readonly zstdDecompressSync?: (data: Uint8Array, options: { maxOutputLength: number }) => Buffer;
}

function zstd(): Zstd {
  const { constants, zstdCompressSync, zstdDecompressSync } = zlib as unknown as ZlibWithZstd;
  if (zstdCompressSync !== undefined && zstdDecompressSync !== undefined) {
    const options = { params: { [constants.ZSTD_c_compressionLevel]: LEVEL } };
    return {
      compress: (data) => zstdCompressSync(data, options),
      decompress: (data, bytesMax) => zstdDecompressSync(data, { maxOutputLength: Math.max(1, bytesMax) }),
    };
  }
  const { Encoder: ZstdEncoder, Decoder: ZstdDecoder } = createRequire(import.meta.url)('@toondepauw/node-zstd') as {
    Encoder: typeof Encoder;
    Decoder: typeof Decoder;
  };
  const encoder = new ZstdEncoder(LEVEL);
  const decoder = new ZstdDecoder();
  return {
    compress: (data) => encoder.encodeSync(asBuffer(data)),
    decompress: (data, bytesMax) => {
      const bytes = asBuffer(data);
      mustFit(bytes, bytesMax);
      return decoder.decodeSync(bytes);
    },
  };
}

/** This decoder takes no bound. So the sizes count that frames state, and those that their blocks may have. */
function mustFit(data: Buffer, bytesMax: number): void {
  let bytes = 0;
  for (const frame of zstdFrames(data)) bytes += Math.max(frame.bytesMin, frame.bytesMax);
  if (bytes > bytesMax)
    throw Object.assign(new RangeError(`it may decompress to ${bytes} bytes; ${bytesMax} are taken`), {
      code: 'ERR_BUFFER_TOO_LARGE',
    });
}
