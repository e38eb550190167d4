import { expect, it } from 'vitest';
import { both, shapeOf, typeOfShape, type FieldShape } from '../../../src/clickhouse/evolve/fieldShape.js';
import { checkOfType } from '../../../src/clickhouse/values/checkOfType.js';

function typeOf(values: readonly string[]): string | undefined {
  let shape: FieldShape | null = null;
  for (const value of values) shape = both(shape, shapeOf(value, 0, value.length));
  return shape === null ? undefined : typeOfShape(shape);
}

it('values of one kind get its type', () => {
  expect(typeOf(['5', 'null', '-7'])).toBe('Nullable(Int64)');
  expect(typeOf(['true', 'false'])).toBe('Nullable(Bool)');
  expect(typeOf(['1.5', '2', '1e5', '-0.0', '0.30000000000000004'])).toBe('Nullable(Float64)');
  expect(typeOf(['"a"', '""'])).toBe('Nullable(String)');
  expect(typeOf(['[]', '[1, null]', '[2.5]'])).toBe('Array(Nullable(Float64))');
  expect(typeOf(['[["a"]]', '[[], []]'])).toBe('Array(Array(Nullable(String)))');
  expect(typeOf(['null', 'null'])).toBe(undefined);
  expect(typeOf(['[]', '[[null]]'])).toBe(undefined);
});

it('texts stay texts, also those that look like dates, times and numbers', () => {
  for (const text of ['2026-01-31', '2026-01-31T10:00:00Z', '01/02/2024', '2024-01-02-03', '2026-02-30', '01234'])
    expect([text, typeOf([`"${text}"`]), typeOf([`["${text}"]`])]).toEqual([
      ...[text, 'Nullable(String)', 'Array(Nullable(String))'],
    ]);
});

it('an integer type holds all integers, of both signs', () => {
  const [max63, max64, max128] = [2n ** 63n - 1n, 2n ** 64n - 1n, 2n ** 127n - 1n];
  const types: readonly [(bigint | number)[], string][] = [
    [[-(2n ** 63n), max63], 'Int64'],
    [[0, max64], 'UInt64'],
    [[-1, max64], 'Int128'],
    [[-1, 2n ** 63n], 'Int128'],
    [[max64 + 1n], 'Int128'],
    [[max128 + 1n], 'Int256'],
    [[2n ** 256n - 1n], 'UInt256'],
    [[-1, 2n ** 256n - 1n], 'String'],
    [[2n ** 256n], 'String'],
  ];
  for (const [integers, type] of types)
    expect([integers, typeOf(integers.map(String))]).toEqual([integers, `Nullable(${type})`]);
  expect(typeOf(['9'.repeat(1_000_000)])).toBe('Nullable(String)');
});

it('what no type holds exactly becomes a text of its JSON', () => {
  const mixed = [
    ['5', '"a"'],
    ['5', 'true'],
    ['5', '[5]'],
    ['[]', '5'],
    ['[1, "a"]'],
    ['[1, [1]]'],
    ['[1]', '["a"]'],
    ['[1, 18446744073709551616, "a"]'],
    ['{}'],
    ['[{"a":1}]'],
    ['1e400'],
    ['1e-400'],
    // A Float64 would have other digits.
    ['0.5', '9007199254740993'],
    ['9007199254740993', '0.5'],
    ['[0.5, 9007199254740993]'],
    ['123456789012345678.91'],
  ];
  for (const values of mixed) expect([values, typeOf(values)]).toEqual([values, 'Nullable(String)']);
});

it('no type refuses any of the values that it was chosen for', () => {
  const scalars = ['0', '-1', '1e400', '1e-400', '-0.5', '1E5', '9007199254740993', '9223372036854775808', '"x"', '""'];
  const dates = [
    '"2024-01-02-03"',
    '"2026-02-30"',
    '"2024-01-31T25:00:00Z"',
    '"2024-01-31 10:00:00+99"',
    '"1800-01-01"',
  ];
  const inner = [...scalars, ...dates, `${2n ** 64n}`, `${2n ** 255n}`, 'true', 'null', '{}', '[]'];
  const values = [...inner, ...inner.map((value) => `[${value}]`), ...inner.map((value) => `[1,${value}]`)];
  for (const one of values)
    for (const other of values) {
      const type = typeOf([one, other]);
      const check = type === undefined ? undefined : checkOfType(type);
      const refused = [one, other].filter((value) => check?.(value, 0, value.length) === false);
      expect({ one, other, type, refused }).toEqual({ one, other, type, refused: [] });
      expect({ one, other, type: typeOf([other, one]) }).toEqual({ one, other, type });
    }
});
