import fc from 'fast-check';
import { expect, it } from 'vitest';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';
import { decodeRejected, encodeRejected } from '../../../src/codecs/rejectionCodec.js';
import { anyRecords, plain, record } from '../../support/records.js';

const source = { topic: 'orders', partition: 3, epoch: 'e1' };

it('gives back records and verdicts', () => {
  fc.assert(
    fc.property(anyRecords, fc.string(), (records, message) => {
      const rejected = records.map((item) => ({
        source,
        record: item,
        rejection: { code: REJECTION_CODES.refused, message },
      }));
      const decoded = decodeRejected(encodeRejected(rejected));
      expect(decoded.map((item) => ({ ...item, record: plain(item.record) }))).toEqual(
        rejected.map((item) => ({ ...item, record: plain(item.record) })),
      );
    }),
  );
});

it('leaves the messages out, never a record or a code, where they would make a result too large', () => {
  const rejected = Array.from({ length: 500 }, (_, offset) => ({
    source,
    record: record(offset),
    rejection: { code: REJECTION_CODES.refused, message: `reason ${Math.random()} of ${offset}` },
  }));
  const whole = encodeRejected(rejected);
  const decoded = decodeRejected(encodeRejected(rejected, whole.length - 1));
  expect(decoded.map(({ record: { offset } }) => offset)).toEqual(rejected.map(({ record: { offset } }) => offset));
  expect(decoded.every(({ rejection: { code, message } }) => code === REJECTION_CODES.refused && message === '')).toBe(
    true,
  );
});
