import type { KafkaMessage } from 'kafkajs';
import { expect, it } from 'vitest';
import { fromKafkaMessage, OffsetTooLargeError, toOffset } from '../../../src/kafka/fromKafka.js';

const message = {
  key: null,
  value: Buffer.from('v'),
  timestamp: '1760000000000',
  attributes: 0,
  offset: '12',
  size: 1,
};

it('keeps nulls, repeated headers and their order', () => {
  const headers = { a: [Buffer.from('1'), Buffer.from('2')], b: Buffer.from([0xff]) };
  expect(fromKafkaMessage({ ...message, headers } as unknown as KafkaMessage)).toEqual({
    offset: 12,
    timestampMs: 1760000000000,
    key: null,
    value: Buffer.from('v'),
    headers: [
      ['a', Buffer.from('1')],
      ['a', Buffer.from('2')],
      ['b', Buffer.from([0xff])],
    ],
  });
});

it('refuses offsets that JavaScript numbers cannot tell apart', () => {
  expect(toOffset('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => toOffset('9007199254740993')).toThrow(OffsetTooLargeError);
});
