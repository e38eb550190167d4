import { expect, it } from 'vitest';
import { keyNames } from '../../../../src/clickhouse/values/mapKeys.js';

it.each<[type: string, same: readonly string[], others: readonly string[]]>([
  ['UInt8', ['1', '01', '+1'], ['10', '0']],
  ['Int8', ['0', '-0', '00'], ['1']],
  ['LowCardinality(Int8)', ['-1', '-01'], ['1']],
  ['Decimal(9, 2)', ['10', '10.0', '10.001', '1e1', '100E-1', '+010'], ['1', '-10', '10.01', '1e300']],
  ['Float64', ['0.5', '.5', '5e-1'], ['0.25', 'nan']],
  ['Float32', ['16777217', '16777216'], ['16777218']],
  ['Bool', ['true', 'TRUE', '1'], ['false']],
  ['Date', ['2024-01-02', '2024/1/2', '20240102'], ['2024-02-01']],
  [
    "DateTime('UTC')",
    ['2024-01-02 03:04:05', '2024-01-02T03:04:05Z', '1704164645', '2024-01-02T05:04:05+02:00'],
    ['1704164646'],
  ],
  ["DateTime('Europe/Vienna')", ['2024-01-02 04:04:05', '2024-01-02T03:04:05Z'], ['2024-01-02 03:04:05']],
  ['DateTime', ['2024-01-02 04:04:05', '2024-01-02T03:04:05Z'], ['2024-01-02 03:04:05']],
  [
    "DateTime64(3, 'UTC')",
    ['1704164645678', '2024-01-02 03:04:05.678', '2024-01-02 03:04:05.6789'],
    ['2024-01-02 03:04:05'],
  ],
  ["DateTime('localtime')", ['2024-01-02 03:04:05'], ['2024-01-02 03:04:06']],
  ['Time64(3)', ['1:02:03.5', '01:02:03.5000'], ['-1:02:03.5', '1:02:03']],
  ['UUID', ['61F0C4045CB311E7907BA6006AD3DBA0', '61f0c404-5cb3-11e7-907b-a6006ad3dba0'], ['x']],
  ['IPv4', ['1.2.3.4', '001.02.3.4'], ['1.2.3.5']],
  ['IPv6', ['::ffff:1.2.3.4', '1.2.3.4', '::FFFF:102:304'], ['::1', 'no address']],
  ['FixedString(4)', ['a', 'a\0'], ['b']],
  ["Enum8('a' = 1, 'b' = 2)", ['a', '1'], ['b', '3']],
  ['String', ['01'], ['1', '1.0', 'A', 'a']],
])('%s: texts of one key have one name, others another', (type, same, others) => {
  const nameOf = keyNames(type, 'Europe/Vienna');
  expect(new Set(same.map(nameOf)).size).toBe(1);
  expect(new Set([same[0] as string, ...others].map(nameOf)).size).toBe(1 + others.length);
});

it('all times around a change of the clock that are no times of each other have names of their own', () => {
  const nameOf = keyNames("DateTime('Europe/Vienna')", 'UTC');
  const quarters = (day: string, skip: (hour: number) => boolean) =>
    Array.from({ length: 96 }, (_, quarter) => [Math.floor(quarter / 4), (quarter % 4) * 15] as const)
      .filter(([hour]) => !skip(hour))
      .map(([hour, minute]) => `${day} ${String(hour).padStart(2, '0')}:${String(minute).padStart(2, '0')}:00`);
  // From two to three there is nothing.
  const spring = quarters('2024-03-31', (hour) => hour === 2);
  const autumn = quarters('2024-10-27', () => false);
  for (const times of [spring, autumn]) expect(new Set(times.map(nameOf)).size).toBe(times.length);
});

it('ends with keys of as many digits or zero bytes as a record can have', () => {
  const after = (character: string): string => `${character.repeat(1_000_000)}x`;
  const [zeros, ones, bytes] = [after('0'), after('1'), after('\0')];
  for (const key of [zeros, ones]) expect(keyNames('Int64', 'UTC')(key)).toBe(key);
  expect(keyNames('Decimal(9, 2)', 'UTC')(ones.slice(0, -1))).toBe(`${ones.slice(0, -1)}.`);
  expect(keyNames('FixedString(3)', 'UTC')(bytes)).toBe(bytes);
});
