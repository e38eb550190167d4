import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { checkOfType } from '../../../../src/clickhouse/values/checkOfType.js';
import { DEFAULT_LIMITS, type ValueLimits } from '../../../../src/clickhouse/values/valueCheck.js';

/** Whether a value, given as JSON, passes a column of a type. */
function passes(type: string, json: string, limits?: ValueLimits): boolean {
  // Within a row, so that nothing is taken from beyond the value.
  const text = Buffer.from(`{"before":1,"v": ${json} ,"after":2}`).toString('latin1');
  const start = text.indexOf('"v": ') + 5;
  return checkOfType(type, limits)?.(text, start, start + Buffer.byteLength(json)) ?? true;
}

it('lets just the integers pass that the column can hold, to the last digit, wherever they are', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.constantFrom(8, 16, 32, 64, 128, 256),
      fc.constantFrom(0n, 1n, -1n),
      fc.bigInt({ min: -(2n ** 257n), max: 2n ** 257n }),
      fc.integer({ min: -3, max: 3 }),
      (signed, bits, edge, anywhere, distance) => {
        const max = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
        const min = signed ? -max - 1n : 0n;
        const integer = edge === 0n ? anywhere : (edge > 0n ? max : min) + BigInt(distance);
        const type = `${signed ? '' : 'U'}Int${bits}`;
        const fits = integer >= min && integer <= max;
        const shapes: [string, string][] = [
          [type, `${integer}`],
          [type, `"${integer}"`],
          [`Nullable(${type})`, `${integer}`],
          [`Array(Array(${type}))`, `[[0], [${integer}]]`],
          [`Map(String, ${type})`, `{"a": {"b": 1}, "c/~": ${integer}}`],
          [`Tuple(a String, b Tuple(\`c d\` ${type}))`, `{"b": {"c d": ${integer}}}`],
          [`Tuple(String, ${type})`, `["x", ${integer}]`],
          [`SimpleAggregateFunction(max, ${type})`, `${integer}`],
        ];
        for (const [shape, json] of shapes) expect([shape, json, passes(shape, json)]).toEqual([shape, json, fits]);
      },
    ),
  );
});

it('reads the digits of a value once, however many of its integers are at a limit', () => {
  const many = Array.from({ length: 50_000 }, () => '18446744073709551615');
  const map = `{${many.map((integer, index) => `"k${index}":${integer}`).join(',')}}`;
  // Were each looked up in the text by itself, these would take minutes.
  expect(passes('Array(UInt64)', `[${many.join(',')}]`)).toBe(true);
  expect(passes('Map(String, UInt64)', map)).toBe(true);
  expect(passes('Array(UInt64)', `[${many.join(',')},18446744073709551616]`)).toBe(false);
});

it('leaves to ClickHouse what is of another kind than the column', () => {
  for (const json of ['"x"', '[]', '{}', 'true', '1.5', '1e3', '"1e3"', 'null'])
    for (const type of [
      'Int32',
      'Array(Int8)',
      'Map(String, Int8)',
      'Tuple(a Int8)',
      'LowCardinality(Nullable(Int16))',
    ])
      expect([type, json, passes(type, json)]).toEqual([type, json, true]);
  for (const type of ['String', 'Array(IPv4)', 'Tuple(String, IPv4)', 'Variant(String, IPv4)', 'Nullable(Bool)'])
    expect(checkOfType(type)).toBeUndefined();
});

it('finds the empty text that would be 0 among the types of a variant', () => {
  expect(passes('Variant(Int8, String)', '""')).toBe(false);
  expect(passes('Variant(Int8, String)', '"x"')).toBe(true);
  expect(passes('Variant(Int8, String)', '300')).toBe(true);
});

it('finds days that are none', () => {
  for (const type of ['Date', 'Date32', 'DateTime', "DateTime64(3, 'Europe/Vienna')", 'Nullable(Date)']) {
    expect(passes(type, '"2024-02-29"')).toBe(true);
    expect(passes(type, '"2023-02-29"')).toBe(false);
    expect(passes(type, '"2023-04-31 10:00:00"')).toBe(false);
  }
});

it('finds times that have too many digits for 64 bits', () => {
  const limits = { ...DEFAULT_LIMITS, years: [1, 9999] as const, keepsEarlyFractions: true };
  const fits = (type: string, time: string) => passes(type, JSON.stringify(time), limits);
  for (const zone of ['UTC', 'Asia/Tokyo', 'America/New_York']) {
    const nine = `DateTime64(9, '${zone}')`;
    for (const time of ['0001-01-01T00:00:00Z', '1677-09-21 00:12:42Z', '2262-04-11 23:47:17Z', '9999-12-31 00:00:00'])
      expect([nine, time, fits(nine, time)]).toEqual([nine, time, false]);
    for (const time of ['1677-09-21 00:12:45Z', '1678-01-01 00:00:00.123456789', '2262-04-11 23:47:14.999999999Z'])
      expect([nine, time, fits(nine, time)]).toEqual([nine, time, true]);
    // Without a zone, it is the column's.
    expect(fits(nine, '2262-04-11 23:47:16')).toBe(zone === 'Asia/Tokyo');
    const six = `DateTime64(6, '${zone}')`;
    for (const time of ['0001-01-02T00:00:00.5Z', '2262-04-11 23:47:17Z', '9999-12-30 00:00:00'])
      expect([six, time, fits(six, time)]).toEqual([six, time, true]);
  }
});

it('finds null in an enum that has no zero', () => {
  expect(passes("Enum8('a' = 1, 'b = 0' = 2)", 'null')).toBe(false);
  expect(passes("Nullable(Enum8('a' = 1))", 'null')).toBe(true);
  expect(passes("Enum16('a' = 1, 'none' = 0)", 'null')).toBe(true);
});

it('finds the paths that an object in a Dynamic would have twice, in linear time', () => {
  for (const type of ['Dynamic', 'Array(Dynamic)', 'Map(String, Dynamic)']) {
    const wrap = (json: string) =>
      type.startsWith('A') ? `[1, ${json}]` : type.startsWith('M') ? `{"m": ${json}}` : json;
    for (const json of ['{"a":{"b":1},"a.b":2}', '{"a.b.c":2,"x":"a","a.b":{"c":1}}', '[{"a":[1]},{"a.size0":2}]'])
      expect([type, json, passes(type, wrap(json))]).toEqual([type, json, false]);
    for (const json of ['{"a.b":1,"a.c":2}', '{"ab":1,"a":2.5,"b":"a.b"}', '["a","a.b"]', '{"a":1,"a-b":1,"a.":1.5}'])
      expect([type, json, passes(type, wrap(json))]).toEqual([type, json, !json.includes('"a."')]);
  }
  const names = Array.from({ length: 20_000 }, (_, index) => `"a.${'b'.repeat(2_000)}${index}":1`);
  expect(passes('Dynamic', `{${names.slice(0, 500).join(',')}}`)).toBe(true);
  // Too many, whether or not one is there twice.
  expect(passes('Dynamic', `{${names.slice(0, 501).join(',')}}`)).toBe(false);
  expect(passes('Dynamic', `{${names.join(',')}}`)).toBe(false);
  expect(passes('Dynamic', `[${Array.from({ length: 20_000 }, () => '{"a.b":1}').join(',')}]`)).toBe(true);
  expect(passes('Dynamic', `{"${'a.'.repeat(200_000)}":1,"b":2}`)).toBe(true);
});

/** Characters that were searched for others. */
function searched(work: () => void): number {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called on what it was called on
  const { indexOf } = String.prototype;
  let characters = 0;
  const spy = vi.spyOn(String.prototype, 'indexOf').mockImplementation(function (this: string, sought, from = 0) {
    const at = indexOf.call(this, sought, from);
    characters += (at < 0 ? this.length : at) - from;
    return at;
  });
  try {
    work();
  } finally {
    spy.mockRestore();
  }
  return characters;
}

it('searches no item of an array of Dynamic beyond its end', () => {
  const check = checkOfType('Array(Dynamic)');
  for (const item of ['1', '[1]', '{"a":1}', '"x"']) {
    const text = `[${Array.from({ length: 2_000 }, () => item).join(',')}]`;
    expect(searched(() => expect(check?.(text, 0, text.length)).toBe(true))).toBeLessThan(10 * text.length);
  }
});

it('ends with a text of as many digits as a record can have', () => {
  const digits = '1'.repeat(1_000_000);
  for (const type of ['Float64', 'Decimal(9, 2)', 'Int64', 'JSON(a Int64)', 'Variant(Float64, Int128)']) {
    const text = type.startsWith('JSON') ? `{"a":"${digits}x"}` : `"${digits}x"`;
    expect([type, checkOfType(type)?.(text, 0, text.length)]).toEqual([type, !/^(?:Decimal|Float)/.test(type)]);
  }
});

it('a zone that only ClickHouse knows fails no record: what is within a day of the range’s ends is refused', () => {
  for (const zone of ['localtime', 'Fixed/UTC+02:00:00']) {
    expect(passes(`DateTime('${zone}')`, '"2024-01-02 03:04:05"')).toBe(true);
    expect(passes(`DateTime('${zone}')`, '"2106-02-06 00:00:00"')).toBe(true);
    expect(passes(`DateTime('${zone}')`, '"2106-02-07 00:00:00"')).toBe(false);
    expect(passes(`DateTime('${zone}')`, '"2106-02-07 06:28:15Z"')).toBe(true);
    expect(passes(`DateTime64(3, '${zone}')`, '"2024-01-02 03:04:05"')).toBe(true);
  }
});

it('nothing leaves a zero in an enum that has none, at any depth: nobody could read the column again', () => {
  const without = "Enum8('new' = 1)";
  const with0 = "Enum8('new' = 1, 'no' = 0)";
  for (const [type, json, passing] of [
    [`Tuple(a ${without})`, 'null', false],
    [`Tuple(a ${with0})`, 'null', true],
    [`Tuple(a Tuple(b ${without}), c UInt8)`, '{"c":1}', false],
    [`Tuple(a Tuple(b ${without}), c UInt8)`, '{"a":{"b":"new"}}', true],
    [`Array(Tuple(a ${without}))`, '[{"a":"new"},null]', false],
    [`Nested(a ${without}, b UInt8)`, '[{"b":1}]', false],
    [`Nullable(Tuple(a ${without}))`, 'null', true],
    [`Tuple(UInt8, ${without})`, 'null', false],
    [`Tuple(a Array(${without}), b Map(String, ${without}), c Nullable(${without}))`, '{}', true],
    [`JSON(a.b ${without})`, 'null', false],
    [`JSON(a.b ${without})`, '{}', true],
    [`Tuple(j JSON(a ${without}))`, '{}', false],
  ] as const)
    expect([type, json, passes(type, json)]).toEqual([type, json, passing]);
});

it('rejects a fraction at a path of a Variant just where nothing in it takes fractions', () => {
  for (const [types, number, passing] of [
    ['UInt8, Float64', '1.5', true],
    ['UInt8, Float64', '"nan"', true],
    ['Bool, UInt16, String', '"1.5"', true],
    ['UInt8, UInt16', '300', true],
    ['UInt8, UInt16', '1.5', false],
    ['UInt8, UInt16', '"nan"', false],
    ['UInt8, Date', '"2024-01-02"', true],
    ['Bool, Array(UInt8)', '5', false],
  ] as const)
    expect([types, number, passes(`JSON(a Variant(${types}))`, `{"a":${number}}`)]).toEqual([types, number, passing]);
});

it('rejects at a path of a Variant what Bool or a text would change, and nothing that another type takes as it is', () => {
  for (const [types, passing, failing] of [
    ['Bool, String', ['0', '1', 'true', '256', '-1', '0.5', '"256"', '"x"', '"-5"'], ['5', '2.0', '-0', '255']],
    ['Bool, String', ['""', '" 5"', '"0.5"'], ['"5"', '"0"', '"1"', '"+7"', '"007"', '1.50', '1e3']],
    ['Bool, Float64', ['256', '1.50', '1e3', '"0"', '"1"', '"1.5"', '-1'], ['5', '5e0', '"5"', '"00"']],
    ['Array(UInt8), String', ['5', '"5"', '0.5'], ['5.0', '1.50']],
    ['Array(UInt8), Bool', ['0', 'true', '[5]'], ['5', '"5"', '0.5']],
  ] as const) {
    for (const json of passing)
      expect([types, json, passes(`JSON(p Variant(${types}))`, `{"p":${json}}`)]).toEqual([types, json, true]);
    for (const json of failing)
      expect([types, json, passes(`JSON(p Variant(${types}))`, `{"p":${json}}`)]).toEqual([types, json, false]);
  }
  // In a column of its own, a Variant takes them as they are.
  for (const json of ['5', '"5"', '1.50']) expect(passes('Variant(Bool, String)', json)).toBe(true);
});

it('does not judge what a JSON column leaves out', () => {
  const type = 'JSON(t UInt8, SKIP `a.b`, SKIP `q w`, SKIP k)';
  for (const [json, passing] of [
    ['{"k":[null],"a":{"b":[null]},"q w":[true,1]}', true],
    ['{"k":{"x":[1e999]},"k.x":[true,1],"a.b":[null],"a":{"b.c":[null]}}', true],
    ['{"kk":[null]}', false],
    ['{"a":{"bb":[true,1]}}', false],
    ['{"a":[{"b":[null]}]}', false],
    ['{"a":{"c":1e999}}', false],
    ['{"t":256}', false],
    ['{"k":1,"t":5}', true],
  ] as const)
    expect([json, passes(type, json)]).toEqual([json, passing]);
});

it('finds the check of a path wherever a name continues it, with dots in names, types and what is left out', () => {
  const part = fc.constantFrom('a', 'b', '');
  const name = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.'));
  const named = name.filter((path) => path !== '');
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 3 },
      fc.constantFrom<unknown>(1, 300, 'x', null),
      fc.dictionary(name, tie('value'), { maxKeys: 3 }),
    ),
  }));
  const object = fc.dictionary(name, value, { maxKeys: 4 });
  fc.assert(
    fc.property(
      fc.uniqueArray(named, { maxLength: 4 }),
      fc.array(named, { maxLength: 4 }),
      object,
      (typed, skipped, row) => {
        const holds = (outer: object, prefix: string): boolean =>
          Object.entries(outer).every(([key, inner]: [string, unknown]) => {
            const path = prefix + key;
            if (skipped.some((one) => path === one || path.startsWith(`${one}.`))) return true;
            if (typed.includes(path)) return inner !== 300;
            const leads = [...typed, ...skipped].some((one) => one.startsWith(`${path}.`));
            return !leads || typeof inner !== 'object' || inner === null || holds(inner, `${path}.`);
          });
        const parameters = [...typed.map((path) => `\`${path}\` UInt8`), ...skipped.map((path) => `SKIP \`${path}\``)];
        expect(passes(`JSON(${parameters.join(', ')})`, JSON.stringify(row))).toBe(holds(row, ''));
      },
    ),
    { numRuns: 2_000 },
  );
});

it('a member of JSON is not compared with each path that the type names', () => {
  const members = Array.from({ length: 200 }, (_, index) => `"m${index}":{"a":${index}}`);
  const row = `{${members.join(',')}}`;
  const compared = (paths: number): number => {
    const names = Array.from({ length: paths }, (_, index) => [`p${index} UInt8`, `SKIP s${index}`]).flat();
    const check = checkOfType(`JSON(${names.join(', ')})`);
    const spies = (['startsWith', 'slice'] as const).map((method) => vi.spyOn(String.prototype, method));
    expect(check?.(row, 0, row.length)).toBe(true);
    const calls = spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
    vi.restoreAllMocks();
    return calls;
  };
  expect(compared(50)).toBe(compared(1));
});

it('makes no map and no list for each scalar, or each object without members, in an array of Dynamic', () => {
  const check = checkOfType('Array(Dynamic)');
  const row = `[${Array.from({ length: 300 }, (_, index) => ['{}', '[]', String(index), '"x"'][index % 4]).join(',')}]`;
  const slice = vi.spyOn(String.prototype, 'slice');
  let maps = 0;
  class CountedMap<K, V> extends Map<K, V> {
    constructor(entries?: Iterable<readonly [K, V]> | null) {
      super(entries);
      maps++;
    }
  }
  vi.stubGlobal('Map', CountedMap);
  const fits = check?.(row, 0, row.length);
  vi.unstubAllGlobals();
  const cuts = slice.mock.calls.length;
  vi.restoreAllMocks();
  expect([fits, maps]).toEqual([true, 0]);
  expect(cuts).toBeLessThanOrEqual(600);
});
