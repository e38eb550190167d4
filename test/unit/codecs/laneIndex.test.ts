import fc from 'fast-check';
import { expect, it } from 'vitest';
import { keylessIndex, laneIndex } from '../../../src/codecs/laneIndex.js';
import type { KeyFunction } from '../../../src/protocol/layout.js';
import { RECORD_MEMORY_BYTES_MAX } from '../../../src/protocol/recordLimit.js';
import { murmur2 } from '../../../src/lib/murmur2.js';
import { record } from '../../support/records.js';

const BATCHERS = 1_009;
const PARTITION = 77;
const laneOf = (keyFunction: KeyFunction, overrides: Parameters<typeof record>[1]) =>
  laneIndex(record(1, overrides), PARTITION, { batchers: BATCHERS, keyFunction });
const hash = (text: string) => murmur2(Buffer.from(text)) % BATCHERS;
const json = (value: unknown) => Buffer.from(JSON.stringify(value));
const key = Buffer.from('key');

it('goes by the key, by a header, or by the partition, and without them by the partition', () => {
  expect(laneOf('key', { key })).toBe(hash('key'));
  expect(laneOf('key', { key: null })).toBe(PARTITION);
  expect(laneOf('partition', { key })).toBe(PARTITION);
  expect(laneOf('header:tenant', { key, headers: [['tenant', Buffer.from('t')]] })).toBe(hash('t'));
  expect(laneOf('header:tenant', { key, headers: [] })).toBe(PARTITION);
});

it('goes by what a JSON pointer leads to, however it is written', () => {
  for (const text of [
    '{"customer":{"id":42}}',
    ' { "x": [1], "customer" : {"id": 42.0 } } ',
    '{"customer":{"id":"42"}}',
    '\ufeff{"customer":{"id":42}}',
  ])
    expect(laneOf('/customer/id', { key, value: Buffer.from(text) })).toBe(hash('42'));
  expect(laneOf('/ok', { key, value: json({ ok: false }) })).toBe(hash('false'));
  expect(laneOf('/name', { key, value: json({ name: '' }) })).toBe(hash(''));
  expect(laneOf('/list/1', { key, value: json({ list: ['a', 'ü'] }) })).toBe(hash('ü'));
});

it('goes by what a pointer leads to in the key, and else by the whole key', () => {
  const value = json({ id: 'by value' });
  for (const text of ['{"id":42,"line":1}', '{"line":2,"id":"42"}', '{"id":42.0}'])
    expect(laneOf('key:/id', { key: Buffer.from(text), value })).toBe(hash('42'));
  for (const text of ['{"line":1}', '{"id":null}', 'no JSON', '42'])
    expect(laneOf('key:/id', { key: Buffer.from(text), value })).toBe(hash(text));
  expect(laneOf('key:/id', { key: Buffer.from('{"id":7}'), value: null })).toBe(hash('7'));
  expect(laneOf('key:/id', { key: null, value })).toBe(PARTITION);
});

it('goes by a part of the key where Kafka Connect has written a schema around it, too', () => {
  const lane = (text: string, by: KeyFunction = 'key:/id') => laneOf(by, { key: Buffer.from(text), value: null });
  expect(lane('{"schema":{"type":"struct"},"payload":{"id":42}}')).toBe(hash('42'));
  expect(lane('{"payload":{"id":42},"schema":null}')).toBe(hash('42'));
  expect(lane('{"schema":"s","payload":{"id":42}}', 'key:/payload/id')).toBe(hash('42'));
  expect(lane('{"schema":7,"payload":{"id":42}}', 'key:/schema')).toBe(hash('7'));
  // These are members of a key like any other.
  const other = '{"schema":{},"payload":{"id":42},"x":1}';
  expect(lane(other)).toBe(hash(other));
  const value = json({ schema: {}, payload: { id: 42 } });
  expect(laneOf('/id', { key, value })).toBe(hash('key'));
});

it('goes by the key, without parsing, where a value is larger than a record may be', () => {
  const of = (bytes: number) => Buffer.from(JSON.stringify({ id: 'by value' }).padEnd(bytes, ' '));
  expect(laneOf('/id', { key, value: of(RECORD_MEMORY_BYTES_MAX) })).toBe(hash('by value'));
  expect(laneOf('/id', { key, value: of(RECORD_MEMORY_BYTES_MAX + 1) })).toBe(hash('key'));
});

it.each([
  ['nothing at the pointer', json({ customer: {} })],
  ['null', json({ customer: { id: null } })],
  ['an object', json({ customer: { id: { a: 1 } } })],
  ['an array', json({ customer: { id: [1] } })],
  ['no JSON', Buffer.from('{"customer":{"id":42}')],
  ['no text', Buffer.from([0xff, 0xfe, 0])],
  ['a tombstone', null],
])('falls back to the key, then to the partition: %s', (_what, value) => {
  expect(laneOf('/customer/id', { key, value })).toBe(hash('key'));
  expect(laneOf('/customer/id', { key: null, value })).toBe(PARTITION);
});

it('any value has one lane, the same each time, and records of one customer share it', () => {
  const pointed = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
  );
  fc.assert(
    fc.property(pointed, fc.json(), fc.json(), (id, one, other) => {
      const lanes = [one, other].map((rest) =>
        laneOf('/id', { key, value: json({ rest: JSON.parse(rest) as unknown, id }) }),
      );
      expect(lanes[0]).toBe(lanes[1]);
      expect(lanes[0]).toBeGreaterThanOrEqual(0);
      expect(lanes[0]).toBeLessThan(BATCHERS);
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const value = Buffer.from(bytes);
      expect(laneOf('/a/0/b', { key, value })).toBe(laneOf('/a/0/b', { key, value }));
    }),
  );
});

it('keyless records of many topics with one partition each are spread evenly, and those of one topic’s partitions too', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 32 }), fc.string({ minLength: 1, maxLength: 20 }), (batchers, prefix) => {
      const layout = { batchers, keyFunction: 'key', keyless: 'topic' } as const;
      const topics = 100 * batchers;
      const counts = new Array<number>(batchers).fill(0);
      for (let topic = 0; topic < topics; topic++) {
        counts[keylessIndex({ topic: `${prefix}.${topic}`, partition: 0 }, layout)]!++;
      }
      // 100 each on average: seven standard deviations to either side.
      expect(Math.min(...counts)).toBeGreaterThan(30);
      expect(Math.max(...counts)).toBeLessThan(170);
      const partitions = Array.from({ length: batchers }, (_, partition) => {
        return keylessIndex({ topic: prefix, partition }, layout);
      });
      expect(new Set(partitions).size).toBe(batchers);
    }),
  );
});

it('by the layout of version 0.1.0 only the number of the partition counts', () => {
  for (const topic of ['a', 'b']) {
    expect(keylessIndex({ topic, partition: 11 }, { batchers: 8, keyFunction: 'key' })).toBe(3);
  }
});
