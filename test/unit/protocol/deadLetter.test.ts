import fc from 'fast-check';
import { expect, it } from 'vitest';
import { REJECTION_CODES } from '../../../src/protocol/ack.js';
import {
  deadLetterHeaders,
  markedHeaders,
  originalHeaders,
  originalKey,
  readDeadLetter,
} from '../../../src/protocol/deadLetter.js';
import type { HeaderValues, RecordHeader } from '../../../src/protocol/record.js';
import { record } from '../../support/records.js';

/** Headers as whoever reads the message gets them. */
const asRead = (headers: HeaderValues): RecordHeader[] =>
  Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value): RecordHeader => [name, value === null ? null : Buffer.from(value as string)]),
  );

const source = { topic: 'or"ders', partition: 3 };

it('adds Kafka Connect’s error headers to a dead letter, after those of the same name that the record has', () => {
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
  expect(headers['__connect.errors.topic']).toEqual([Buffer.from('first'), Buffer.from('or"ders')]);
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
  const headers = asRead(written);
  expect(readDeadLetter({ headers })).toEqual({
    pipeline: 'orders',
    source: { ...source, offset: 7 },
    code: 'not_json',
    message: 'the value is not JSON',
    omittedBytes: { value: null, key: null, headers: null },
    ownTimestampMs: 1_760_000_000_007,
  });
  const marks = { 'ktb.value.omitted.bytes': '1', 'ktb.key.omitted.bytes': '2' };
  const marked = [...headers, ...Object.entries(marks).map(([name, text]): RecordHeader => [name, Buffer.from(text)])];
  expect(readDeadLetter({ headers: marked })).toMatchObject({
    omittedBytes: { value: 1, key: 2, headers: null },
  });
  expect({ ...originalHeaders({ headers: marked }) }).toEqual({
    kafka_correlationId: [Buffer.from([0, 255])],
    a: [Buffer.from('1'), Buffer.from('2')],
  });
});

it.each([0, -1, 1.7e18, -2, -2_208_988_800_000, -(2 ** 63)])(
  'tells the time of a record that was written at %d',
  (timestampMs) => {
    const rejection = { code: REJECTION_CODES.notJson, message: 'why' };
    const headers = asRead(deadLetterHeaders(source, record(7, { timestampMs }), rejection, 'orders'));
    expect(readDeadLetter({ headers }).ownTimestampMs).toBe(timestampMs);
  },
);

it('a dead letter of version 0.1.0 has its record’s time as its own, and only the headers that it was given', () => {
  const added: RecordHeader[] = [['__connect.errors.topic', Buffer.from('orders')]];
  const refused: RecordHeader[] = [...added, ['ktb.timestamp', Buffer.from('7')]];
  expect(readDeadLetter({ headers: added }).ownTimestampMs).toBeNull();
  expect(readDeadLetter({ headers: refused }).ownTimestampMs).toBe(7);
  const own: RecordHeader = ['a', Buffer.from('1')];
  for (const headers of [added, refused])
    expect({ ...originalHeaders({ headers: [own, ...headers] }) }).toEqual({ a: [own[1]] });
  // Of a record that had a header of that name itself, it said by an empty one that it is none of its own.
  const ofThatName: RecordHeader = ['ktb.timestamp', Buffer.from('7')];
  const headers: RecordHeader[] = [ofThatName, ...added, ['ktb.timestamp', Buffer.alloc(0)]];
  expect(readDeadLetter({ headers }).ownTimestampMs).toBeNull();
  expect({ ...originalHeaders({ headers }) }).toEqual({ 'ktb.timestamp': [ofThatName[1]] });
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

const NAMES = [
  ...['topic', 'partition', 'offset', 'connector.name', 'exception.class.name', 'exception.message'].map(
    (name) => `__connect.errors.${name}`,
  ),
  'ktb.timestamp',
  ...['value', 'key', 'headers'].map((part) => `ktb.${part}.omitted.bytes`),
  'ktb.key.added',
];

it('reads its own headers and marks, whatever the record has of the same names, and gives all of those back', () => {
  const value = fc.option(
    fc.constantFrom('7', '1', '', 'elsewhere').map((text) => Buffer.from(text)),
    { nil: null },
  );
  const own = fc.array(fc.tuple(fc.constantFrom(...NAMES, 'a', '__proto__'), value));
  fc.assert(
    fc.property(own, fc.subarray(NAMES.slice(7)), (headers, marks) => {
      const rejected = record(7, { headers });
      const rejection = { code: REJECTION_CODES.notJson, message: 'why' };
      let written: HeaderValues = deadLetterHeaders(source, rejected, rejection, 'orders');
      for (const name of marks) written = markedHeaders(written, name, '1');
      const letter = { ...rejected, headers: asRead(written) };
      const mark = (name: string) => (marks.includes(name) ? 1 : null);
      expect(readDeadLetter(letter)).toEqual({
        pipeline: 'orders',
        source: { ...source, offset: 7 },
        code: 'not_json',
        message: 'why',
        omittedBytes: {
          value: mark('ktb.value.omitted.bytes'),
          key: mark('ktb.key.omitted.bytes'),
          headers: mark('ktb.headers.omitted.bytes'),
        },
        ownTimestampMs: rejected.timestampMs,
      });
      expect(originalKey(letter)).toEqual(marks.includes('ktb.key.added') ? null : rejected.key);
      const original = asRead(originalHeaders(letter));
      for (const name of new Set(headers.map(([own]) => own)))
        expect(original.filter(([own]) => own === name)).toEqual(headers.filter(([own]) => own === name));
      expect(original).toHaveLength(headers.length);
      // Replayed and rejected again, it grows no more.
      const again = deadLetterHeaders(source, { ...rejected, headers: original }, rejection, 'orders');
      expect(asRead(again)).toEqual(asRead(deadLetterHeaders(source, rejected, rejection, 'orders')));
    }),
  );
});

it('gives back a record’s own headers of Kafka Connect’s that no dead letter of ours adds', () => {
  const own: RecordHeader[] = [
    ['__connect.errors.exception.stacktrace', Buffer.from('at A')],
    ['__connect.errors.mine', Buffer.from('1')],
    ['__connect.errors.topic', Buffer.from('theirs')],
  ];
  const rejection = { code: REJECTION_CODES.notJson, message: 'why' };
  const headers = asRead(deadLetterHeaders(source, record(7, { headers: own }), rejection, 'orders'));
  expect(asRead(originalHeaders({ headers }))).toEqual(own);
});
