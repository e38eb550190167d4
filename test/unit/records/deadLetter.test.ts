import { expect, it } from 'vitest';
import { REJECTION_CODES } from '../../../src/records/ack.js';
import { deadLetterHeaders, originalHeaders, readDeadLetter } from '../../../src/records/deadLetter.js';
import type { RecordHeader } from '../../../src/records/record.js';
import { record } from '../../support/records.js';

const source = { topic: 'or"ders', partition: 3 };

it('adds Kafka Connect’s error headers to a dead letter and overwrites none of the record’s', () => {
  const headers = deadLetterHeaders(
    source,
    record(7, {
      headers: [
        ['__connect.errors.topic', Buffer.from('first')],
        ['a', Buffer.from('1')],
        ['a', Buffer.from('2')],
        ['__proto__', Buffer.from('odd')],
      ],
    }),
    { code: REJECTION_CODES.refused, message: 'why' },
    'orders',
  );
  expect(headers['__connect.errors.topic']).toEqual([Buffer.from('first')]);
  expect(headers['a']).toEqual([Buffer.from('1'), Buffer.from('2')]);
  expect(Object.keys(headers)).toContain('__proto__');
  expect(String(headers['__connect.errors.offset']?.[0])).toBe('7');
  expect(String(headers['__connect.errors.exception.class.name']?.[0])).toBe('refused_by_clickhouse');
});

it('reads from a dead letter what was written into it, and gives the record’s own headers back', () => {
  const own: RecordHeader[] = [
    ['kafka_correlationId', Buffer.from([0, 255])],
    ['a', Buffer.from('1')],
    ['a', Buffer.from('2')],
  ];
  const rejection = { code: REJECTION_CODES.notJson, message: 'the value is not JSON' };
  const written = deadLetterHeaders(source, record(7, { headers: own }), rejection, 'orders');
  const headers = Object.entries(written).flatMap(([name, values]) =>
    values.map((value): RecordHeader => [name, Buffer.from(value)]),
  );
  expect(readDeadLetter({ headers })).toEqual({
    pipeline: 'orders',
    source: { ...source, offset: 7 },
    code: 'not_json',
    message: 'the value is not JSON',
    omittedBytes: { value: null, key: null, headers: null },
    ownTimestampMs: null,
  });
  const marks = {
    'ktb.value.omitted.bytes': '1',
    'ktb.key.omitted.bytes': '2',
    'ktb.timestamp': '1700000000000000000',
  };
  const marked = [...headers, ...Object.entries(marks).map(([name, text]): RecordHeader => [name, Buffer.from(text)])];
  expect(readDeadLetter({ headers: marked })).toMatchObject({
    omittedBytes: { value: 1, key: 2, headers: null },
    ownTimestampMs: 1.7e18,
  });
  expect({ ...originalHeaders({ headers: marked }) }).toEqual({
    kafka_correlationId: [Buffer.from([0, 255])],
    a: [Buffer.from('1'), Buffer.from('2')],
  });
});

it('takes a message that is no dead letter for one of unknown origin', () => {
  const headers: RecordHeader[] = [['__connect.errors.offset', Buffer.from('x')]];
  expect(readDeadLetter({ headers })).toEqual({
    pipeline: null,
    source: null,
    code: 'unknown',
    message: '',
    omittedBytes: { value: null, key: null, headers: null },
    ownTimestampMs: null,
  });
});
