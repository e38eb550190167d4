import fc from 'fast-check';
import { expect, it } from 'vitest';
import { writeDigits } from '../../../src/lib/digits.js';

it('writes the digits of any integer up to 2^53, and nothing else', () => {
  const edges = [0, 9, 10, 99, 100, 999_999_999, 1e9, 1e9 + 1, 1e15, 2 ** 31, 2 ** 32, Number.MAX_SAFE_INTEGER];
  fc.assert(
    fc.property(fc.oneof(fc.constantFrom(...edges), fc.maxSafeNat(), fc.nat({ max: 2_000 })), (value) => {
      const bytes = Buffer.alloc(20, '.');
      const end = writeDigits(bytes, 2, value);
      expect(bytes.toString()).toBe(`..${value}`.padEnd(20, '.'));
      expect(end).toBe(2 + String(value).length);
    }),
  );
});
