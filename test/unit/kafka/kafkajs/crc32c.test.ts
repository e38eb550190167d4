import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { crc32c } from '../../../../src/kafka/kafkajs/crc32c.js';

const ofKafkajs = createRequire(import.meta.url)('kafkajs/src/protocol/recordBatch/crc32C') as (
  bytes: Buffer,
) => number;

it('gives the checksums of RFC 3720', () => {
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, index) => index)))).toBe(0x46dd794e);
});

it('gives the checksum of kafkajs for any part of a buffer, wherever that lies in its memory', () => {
  const places = fc.tuple(fc.nat(100), fc.nat(100), fc.nat(20));
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 100, maxLength: 100 }), places, (bytes, [one, other, shift]) => {
      const memory = Buffer.concat([Buffer.alloc(shift, 7), bytes]);
      const part = memory.subarray(shift);
      const start = Math.min(one, other, bytes.length);
      const end = Math.min(Math.max(one, other), bytes.length);
      expect(crc32c(part, start, end)).toBe(ofKafkajs(part.subarray(start, end)) >>> 0);
    }),
  );
});
