import type { KafkaMessage } from 'kafkajs';
import { expect, it } from 'vitest';
import { fromKafkaMessage, OffsetTooLargeError, toOffset } from '../../../src/kafka/fromKafka.js';
import { fetchedRecord } from '../../support/records.js';

it('takes the records of our decoder, and no message of kafkajs’s own', () => {
  const record = fetchedRecord(12, 1_760_000_000_000, null, Buffer.from('v'), [['h', null]]);
  expect(fromKafkaMessage(record as unknown as KafkaMessage)).toBe(record);
  const message = { key: null, value: null, timestamp: '1', attributes: 0, offset: '12', size: 1 };
  expect(() => fromKafkaMessage(message)).toThrow('not of our decoder');
});

it('refuses offsets that JavaScript numbers cannot tell apart', () => {
  expect(toOffset('9007199254740991')).toBe(Number.MAX_SAFE_INTEGER);
  expect(() => toOffset('9007199254740993')).toThrow(OffsetTooLargeError);
});
