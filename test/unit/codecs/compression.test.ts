import zlib from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compress, decompress } from '../../../src/codecs/compression.js';

/** A decoder that takes no bound counts each compressed block as what it may have. */
const BLOCK_BYTES = 128 * 1024;

it('is Zstandard, and gives back what it was given', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), (data) => {
      const compressed = compress(data);
      expect(compressed.readUInt32LE(0)).toBe(0xfd2fb528);
      expect(decompress(compressed, data.length + BLOCK_BYTES)).toEqual(Buffer.from(data));
    }),
  );
});

it('nothing is decompressed to more than is taken, however small it is', () => {
  const bomb = compress(Buffer.alloc(64 * 1024 * 1024));
  expect(bomb.length).toBeLessThan(10_000);
  const tooLarge = expect.objectContaining({ code: 'ERR_BUFFER_TOO_LARGE' }) as Error;
  expect(() => decompress(bomb, 8 * 1024 * 1024)).toThrow(tooLarge);
  // It is made of many frames.
  const frames = Buffer.concat(Array.from({ length: 100 }, () => compress(Buffer.alloc(1024 * 1024))));
  expect(() => decompress(frames, 8 * 1024 * 1024)).toThrow(tooLarge);
  expect(decompress(bomb, 65 * 1024 * 1024)).toHaveLength(64 * 1024 * 1024);
});

it.runIf('zstdDecompressSync' in zlib)('is read by Node’s own decoder', () => {
  const decode = (zlib as unknown as { zstdDecompressSync: (data: Buffer) => Buffer }).zstdDecompressSync;
  expect(decode(compress(Buffer.from('records'))).toString()).toBe('records');
});
