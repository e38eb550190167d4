import fc from 'fast-check';
import { expect, it } from 'vitest';
import { encodeColumns, encodeRecords } from '../../../src/codecs/encodeColumns.js';
import { decodeColumns } from '../../../src/codecs/decodeColumns.js';
import { RecordColumns } from '../../../src/codecs/recordColumns.js';
import { Scratch } from '../../../src/codecs/scratch.js';
import { recordBytes, type KafkaRecord } from '../../../src/protocol/record.js';
import { COLUMNS_BYTES, memoryBytes } from '../../../src/protocol/recordLimit.js';
import { anyRecords, fetchedRecord, plain, record } from '../../support/records.js';

/** As they are, or as our decoder makes them. */
const anySource = fc.tuple(anyRecords, fc.boolean()).map(([records, isFetched]): KafkaRecord[] =>
  records.map((one) => {
    const { offset, timestampMs, key, value, headers, tooLargeBytes } = one;
    return isFetched && tooLargeBytes === undefined ? fetchedRecord(offset, timestampMs, key, value, headers) : one;
  }),
);

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

it('any part of the columns holds its records to the byte, and counts them as alone', () => {
  fc.assert(
    fc.property(anySource, fc.nat(30), fc.nat(30), (records, one, other) => {
      const [from, to] = [one, other].map((at) => Math.min(at, records.length)).sort((a, b) => a - b) as [
        number,
        number,
      ];
      const own = records.slice(from, to);
      const part = RecordColumns.of(records).slice(from, to);
      expect(decodeColumns(encodeColumns([part], new Scratch())).map(plain)).toEqual(own.map(plain));
      expect(part.length).toBe(own.length);
      expect(part.bytes).toBe(sum(own.map(recordBytes)));
      expect(part.memoryBytes - COLUMNS_BYTES).toBe(sum(own.map((each) => memoryBytes(each, recordBytes(each)))));
      expect([part.first, part.last].map((each) => each && plain(each))).toEqual(
        [own[0], own.at(-1)].map((each) => each && plain(each)),
      );
    }),
  );
});

it('what is packed does not depend on how many columns its records came in', () => {
  fc.assert(
    fc.property(anySource, fc.nat(30), (records, at) => {
      const whole = RecordColumns.of(records);
      const cut = Math.min(at, records.length);
      const parts = [whole.slice(0, cut), whole.slice(cut)];
      expect(encodeColumns(parts, new Scratch())).toEqual(encodeRecords(records));
      const alone = records.map((one) => RecordColumns.sharing(one));
      expect(encodeColumns(alone, new Scratch())).toEqual(encodeRecords(records));
    }),
  );
});

it('as many records fit as have so many bytes together', () => {
  fc.assert(
    fc.property(anySource, fc.nat(35), fc.nat(1_000), (records, recordsMax, bytesMax) => {
      let expected = 0;
      while (
        expected < Math.min(records.length, recordsMax) &&
        sum(records.slice(0, expected + 1).map(recordBytes)) <= bytesMax
      )
        expected++;
      expect(RecordColumns.of(records).fitting(recordsMax, bytesMax)).toBe(expected);
    }),
  );
});

it('a stub is the same object again, with the checksum of its original', () => {
  const stub = record(1, { value: null, tooLargeBytes: 5, originalCrc32: 7 });
  const columns = RecordColumns.of([record(0), stub, record(2)]).slice(1, 2);
  expect(columns.first).toBe(stub);
  expect(columns.last).toBe(stub);
});

it('a record that shares what was decompressed counts all that it keeps alive, once', () => {
  const fetched = Buffer.alloc(100_000);
  const [key, value] = [fetched.subarray(0, 10), fetched.subarray(10, 60_000)];
  const one = record(0, { key, value, headers: [['trace', fetched.subarray(60_000, 60_010)]] });
  const own = memoryBytes(one, 0) + COLUMNS_BYTES;
  expect(RecordColumns.sharing(one).memoryBytes).toBe(own + fetched.length);
  expect(RecordColumns.of([one]).memoryBytes).toBe(own + recordBytes(one));
});
