import byPackage from 'crc-32';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { crc32 } from '../../../src/lib/crc32.js';

it('is the same integer that workflows compute, of all bytes at once or in two parts', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (bytes, more) => {
      expect(crc32(bytes)).toBe(byPackage.buf(bytes));
      expect(crc32(more, crc32(bytes))).toBe(byPackage.buf(more, byPackage.buf(bytes)));
      expect(crc32(more, crc32(bytes))).toBe(byPackage.buf(Buffer.concat([bytes, more])));
    }),
  );
});
