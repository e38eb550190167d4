import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { murmur2 } from '../../../src/lib/murmur2.js';

// kafkajs's own implementation, which its producers choose partitions by.
const ofKafkajs = createRequire(import.meta.url)('kafkajs/src/producer/partitioners/default/murmur2') as (
  key: Buffer,
) => number;

it('gives the values of Apache Kafka’s own test (UtilsTest.testMurmur2), without their sign', () => {
  const expected: [string, number][] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ];
  for (const [key, hash] of expected) expect(murmur2(Buffer.from(key))).toBe(hash & 0x7fffffff);
});

it('agrees with kafkajs on any key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (key) => {
      expect(murmur2(key)).toBe(ofKafkajs(Buffer.from(key)) & 0x7fffffff);
    }),
  );
});
