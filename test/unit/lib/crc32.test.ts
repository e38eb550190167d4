import byPackage from 'crc-32';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { crc32 } from '../../../src/lib/crc32.js';

/** Bytes as buffers have them: empty ones may have no memory. */
const bytesOf = fc.oneof(
  fc.uint8Array(),
  fc.constantFrom(
    new Uint8Array(0),
    Buffer.alloc(0),
    Buffer.allocUnsafeSlow(0).subarray(0, 0),
    Buffer.from('ab').subarray(1, 1),
  ),
);

it('is the same integer that workflows compute, of all bytes at once or in two parts', () => {
  fc.assert(
    fc.property(bytesOf, bytesOf, (bytes, more) => {
      expect(crc32(bytes)).toBe(byPackage.buf(bytes));
      expect(crc32(more, crc32(bytes))).toBe(byPackage.buf(more, byPackage.buf(bytes)));
      expect(crc32(more, crc32(bytes))).toBe(byPackage.buf(Buffer.concat([bytes, more])));
    }),
  );
});
