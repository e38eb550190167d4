import zlib from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compress, decompress } from '../../../src/codecs/compression.js';

it('is Zstandard, and gives back what it was given', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 5_000 }), (data) => {
      const compressed = compress(data);
      expect(compressed.readUInt32LE(0)).toBe(0xfd2fb528);
      expect(decompress(compressed)).toEqual(Buffer.from(data));
    }),
  );
});

it.runIf('zstdDecompressSync' in zlib)('is read by Node’s own decoder', () => {
  const decode = (zlib as unknown as { zstdDecompressSync: (data: Buffer) => Buffer }).zstdDecompressSync;
  expect(decode(compress(Buffer.from('records'))).toString()).toBe('records');
});
