import fc from 'fast-check';
import { expect, it } from 'vitest';
import { numberTime } from '../../../../src/clickhouse/rows/numberTimes.js';

it.each([
  ['s', '1704164645', '2024-01-02T03:04:05Z'],
  ['s', '1704164645.678901234999', '2024-01-02T03:04:05.678901234Z'],
  ['ms', '1704164645678', '2024-01-02T03:04:05.678Z'],
  ['ms', '"1704164645678"', '2024-01-02T03:04:05.678Z'],
  ['ms', '1.704164645678e12', '2024-01-02T03:04:05.678Z'],
  ['ms', '1704164645678.25', '2024-01-02T03:04:05.67825Z'],
  ['us', '1704164645678901', '2024-01-02T03:04:05.678901Z'],
  ['ns', '1704164645678901234', '2024-01-02T03:04:05.678901234Z'],
  ['ms', '5', '1970-01-01T00:00:00.005Z'],
  ['ms', '-1', '1969-12-31T23:59:59.999Z'],
  ['ns', '-0.5', '1969-12-31T23:59:59.999999999Z'],
  ['s', '253402300799', '9999-12-31T23:59:59Z'],
] as const)('a number of %s, %s, is the time %s', (unit, json, time) => {
  expect(numberTime("Nullable(DateTime64(9, 'UTC'))", unit)(json)).toBe(`"${time}"`);
  expect(numberTime('Date', unit)(json)).toBe(`"${time.slice(0, 10)}"`);
});

it('what is no time of four digits of a year is none, however long the number is', () => {
  for (const json of ['253402300800', '-62167219201', '1e30', '1e99999999', '9'.repeat(5_000_000)])
    expect(numberTime('DateTime64(3)', 's')(json)).toBeNull();
});

it('what is no number stays, and so do numbers for columns that hold no times', () => {
  for (const json of ['"2024-01-02"', 'true', '{"a":1}', '[1]', '""', '"1 "'])
    expect(numberTime('DateTime64(3)', 'ms')(json)).toBe(json);
  expect(numberTime('Int64', 'ms')('1704164645678')).toBe('1704164645678');
});

it.each([
  ['SimpleAggregateFunction(max, DateTime64(3))', '1704164645678', '"2024-01-02T03:04:05.678Z"'],
  ['SimpleAggregateFunction(anyLast, Nullable(Date))', '1704164645678', '"2024-01-02"'],
  ['Array(DateTime64(3))', '[1704164645678, 5,null]', '["2024-01-02T03:04:05.678Z","1970-01-01T00:00:00.005Z",null]'],
  ['Array(Array(Nullable(Date)))', '[[5],[]]', '[["1970-01-01"],[]]'],
  ['Array(DateTime64(3))', '5', '5'],
  ['Variant(Date, DateTime64(3), UInt64)', '1704164645678', '"2024-01-02T03:04:05.678Z"'],
  ['Variant(Array(Date), DateTime64(3))', '[5]', '["1970-01-01"]'],
  ['Variant(DateTime64(3), String)', '[5]', '[5]'],
  ['Variant(UInt64, String)', '5', '5'],
  ['Array(UInt64)', '[5]', '[5]'],
] as const)('a time within %s is one, too: %s', (type, json, expected) => {
  expect(numberTime(type, 'ms')(json)).toBe(expected);
});

it('an array with a number that is no time is none', () => {
  expect(numberTime('Array(DateTime64(3))', 's')('[1,253402300800]')).toBeNull();
});

it('every nanosecond of a time keeps its digits', () => {
  const first = Date.UTC(1900, 0);
  fc.assert(
    fc.property(
      fc.integer({ min: first / 1000, max: 10_413_791_999 }),
      fc.integer({ min: 0, max: 999_999_999 }),
      (seconds, rest) => {
        const nanoseconds = BigInt(seconds) * 1_000_000_000n + BigInt(rest);
        const text = numberTime('DateTime64(9)', 'ns')(String(nanoseconds))?.slice(1, -1) ?? '';
        const [, whole = '', fraction = ''] = /^(.*?)(?:\.(\d+))?Z$/.exec(text) ?? [];
        expect(Date.parse(`${whole}Z`)).toBe(seconds * 1000);
        expect(fraction.padEnd(9, '0')).toBe(String(rest).padStart(9, '0'));
      },
    ),
  );
});
