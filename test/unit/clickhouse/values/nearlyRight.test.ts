/*
 * Texts that are nearly what their column takes, as ClickHouse 24.8.4, 25.8.2, 26.3.9 and 26.9.2 were seen to read them with the
 * settings of ktb's inserts. `npm test` has only one server, and what that one refuses, another changes.
 */
import { expect, it } from 'vitest';
import { checkOfType } from '../../../../src/clickhouse/values/checkOfType.js';
import { DEFAULT_LIMITS, type ValueLimits } from '../../../../src/clickhouse/values/valueCheck.js';

const UUID = '61f0c404-5cb3-11e7-907b-a6006ad3dba0';
const PLAIN_UUID = UUID.replaceAll('-', '');

/** Of each type: what all these servers store as it is, and what one of them stores as something else. */
const TEXTS: Readonly<Record<string, { readonly right: readonly string[]; readonly changed: readonly string[] }>> = {
  Float64: {
    right: ['1.', '.5', '+1', '1e5', '-1E-5', '00', '-0', 'nan', '-inf', 'Infinity'],
    changed: ['', '-', '+', '.', '-.', 'e', '-e', 'e5', '.e5', '1e', '1e+', '1e-'],
  },
  UUID: {
    right: [UUID, UUID.toUpperCase(), PLAIN_UUID, PLAIN_UUID.toUpperCase()],
    changed: [
      ...[`${UUID.slice(0, -1)}g`, `${PLAIN_UUID.slice(0, -1)}g`, `g${PLAIN_UUID.slice(1)}`, `'${UUID.slice(1)}`],
      ...['-'.repeat(36), UUID.replaceAll('a', '/'), `${UUID.slice(0, 14)}:${UUID.slice(15)}`],
      ...[`${PLAIN_UUID.slice(0, -1)}-`, `${UUID.slice(0, -1)}"`],
    ],
  },
  IPv4: { right: ['1.2.3.4', '01.2.3.4', '255.255.255.255'], changed: [] },
  IPv6: {
    right: [
      '::',
      '::1',
      '1::',
      '1:2:3:4:5:6:7:8',
      '1:2:3:4:5:6:7::',
      '::ffff:1.2.3.4',
      '1.2.3.4',
      '1:2:3:4:5:6:1.2.3.4',
    ],
    changed: ['1::2:', '::1:'],
  },
  'Decimal(9, 2)': {
    right: ['1.', '.5', '1e5', '00'],
    changed: ['', '-', '+', '.', '-.', 'e', 'e5', '.e5', '1e', '1.2.3'],
  },
  Int64: { right: ['00', '-0', '+1'], changed: [''] },
  IntervalDay: { right: ['00', '1'], changed: [''] },
  Date: {
    right: ['2024-01-02', '2024-1-2', '20240102', '2024x01x02'],
    changed: ['2024-01-0', '2024-02-30', '2024-13-01', '0000-00-00', '2024-00-01', '1969-12-31', '2149-06-07'],
  },
  Date32: { right: ['1925-01-01'], changed: ['2024-01-0', '2024-13-01', '1899-12-31', '2300-01-01'] },
  "DateTime('UTC')": {
    right: ['2024-01-02', '2024-01-02T03', '2024-01-02 3 PM', 'Jan 2, 2024'],
    changed: [
      ...['Jan', 'JAN', 'January', ' Jan', 'Jan ', 'Jan Z', 'Z Jan', 'Jan UTC', 'Mon Jan', 'Jan Mon', 'Jan pm'],
      ...['Jan Feb', 'Jan GMT MSK', 'May', 'oct', '2024-01-0', '1969-12-31 23:59:59'],
    ],
  },
  "DateTime64(3, 'UTC')": { right: ['2024-01-02 03:04:05.678'], changed: ['Jan', 'Mon Jan', '2024-01-0'] },
};

/** A column with the type within, and how its value is written. */
const WITHIN: readonly (readonly [column: (type: string) => string, json: (text: string) => string])[] = [
  [(type) => type, (text) => text],
  [(type) => `Nullable(${type})`, (text) => text],
  [(type) => `LowCardinality(${type})`, (text) => text],
  [(type) => `Array(${type})`, (text) => `[${text}]`],
  [(type) => `Map(String, ${type})`, (text) => `{"a":${text}}`],
  [(type) => `Map(${type}, UInt8)`, (text) => `{${text}:1}`],
  [(type) => `Tuple(a ${type})`, (text) => `{"a":${text}}`],
  [(type) => `Tuple(UInt8, ${type})`, (text) => `[1,${text}]`],
  [(type) => `Variant(${type}, Array(UInt8))`, (text) => text],
  [(type) => `JSON(p ${type})`, (text) => `{"p":${text}}`],
];

function passes(type: string, json: string, limits?: Partial<ValueLimits>): boolean {
  return checkOfType(type, { ...DEFAULT_LIMITS, ...limits })?.(json, 0, json.length) ?? true;
}

it('refuses what some server makes another value of, and takes what all of them read rightly, wherever it is', () => {
  for (const [type, { right, changed }] of Object.entries(TEXTS))
    for (const [column, json] of WITHIN) {
      const passing = (texts: readonly string[]) =>
        texts.filter((text) => passes(column(type), json(JSON.stringify(text))));
      expect([column(type), passing(right)]).toEqual([column(type), right]);
      expect([column(type), passing(changed)]).toEqual([column(type), []]);
    }
});

it('beside texts in a Variant refuses only what a server takes for another type', () => {
  for (const [types, nearly, others] of [
    ['Float64', ['', '-', 'e5', '1e+'], ['x', '1.2.3', '1 ', 'nan', 'inf', '2.5', 'TRUE']],
    ['UUID', [`${UUID.slice(0, -1)}g`, `${PLAIN_UUID.slice(0, -1)}g`], ['', 'hello', UUID, `${UUID}0`]],
  ] as const) {
    const type = `Variant(${types}, String)`;
    const texts = [...nearly, ...others];
    const passing = (refusesNearly: boolean) =>
      texts.filter((text) => passes(type, JSON.stringify(text), { refusesNearly }));
    expect([type, passing(false)]).toEqual([type, others]);
    expect([type, passing(true)]).toEqual([type, texts]);
  }
  // All of them make a time, a number or an address of these.
  for (const [type, changed, others] of [
    ["Variant(DateTime('UTC'), String)", ['Jan', 'Mon Jan', 'May'], ['', 'now', 'Maybe', 'Janfoo', 'Octopus', 'pm']],
    ['Variant(Float64, String)', ['true', 'false'], ['True', 't']],
    ['Variant(Int64, String)', ['true', 'false'], ['True', 't']],
    ['Variant(Bool, String)', [], ['true', 'false']],
    ['Variant(IPv6, String)', ['1::2:'], ['a:', 'x::y:', '::', ':', '']],
  ] as const) {
    const passing = [...changed, ...others].filter((text) =>
      passes(type, JSON.stringify(text), { refusesNearly: true }),
    );
    expect([type, passing]).toEqual([type, others]);
  }
  for (const text of ['true', 'false'])
    expect(passes('JSON(p Variant(Float64, String))', `{"p":"${text}"}`)).toBe(true);
});

/** ClickHouse 24.8.4 and 25.8.2 subtract these fractions, wherever the value is. */
it('refuses a fraction before 1970 on a server that would subtract it, and no other time', () => {
  const lost = [
    ...['1965-06-09T16:05:37.5Z', '1965-06-09 16:05:37.1', '1901-06-09T16:05:37.5+02:00', '9 Jun 1965 16:05:37.5'],
    ...['19650609T160537.5Z', '09/06/1965 16:05:37.5', '1969-12-31T23:59:59.999999999Z', '1970-01-01T00:00:00.5+01:00'],
  ];
  const kept = [
    ...['1965-06-09T16:05:37Z', '1965-06-09 16:05:37.000', '1965-06-09 16:05:37.', '1965.06.09 16:05:37'],
    ...[
      '1969-12-31T23:59:59.5-01:00',
      '1970-01-01T00:00:00.5Z',
      '1704164645.678',
      '1704164645678',
      '1971-01-01T00:00:00.5Z',
    ],
  ];
  for (const precision of [3, 6, 9])
    for (const [column, json] of WITHIN) {
      const type = column(`DateTime64(${precision}, 'UTC')`);
      const passing = (keepsEarlyFractions: boolean) =>
        [...lost, ...kept].filter((text) => passes(type, json(JSON.stringify(text)), { keepsEarlyFractions }));
      expect([type, passing(false)]).toEqual([type, kept]);
      expect([type, passing(true)]).toEqual([type, [...lost, ...kept]]);
    }
  // Cut off, as it should be.
  for (const text of lost) expect(passes("DateTime64(0, 'UTC')", JSON.stringify(text))).toBe(true);
  expect(passes("DateTime64(3, 'UTC')", '"1969-12-31 23:59:59.0001"')).toBe(true);
  // What a clock shows that is ahead of UTC.
  for (const [text, passing] of [
    ['1970-01-01 00:59:59.5', false],
    ['1970-01-01 01:00:00.5', true],
  ] as const)
    expect([text, passes("DateTime64(3, 'Europe/Vienna')", JSON.stringify(text))]).toEqual([text, passing]);
});

/**
 * Beside a record with a fraction at the same path. ClickHouse 24.8.4 and 25.8.2 lose the digits of all of these, 26.3.9 and 26.9.2
 * those of arrays.
 */
it('refuses in JSON an integer that another record could take its last digits from, just where the server lets it', () => {
  const [large, exact] = ['9007199254740993', '9007199254740992'];
  for (const type of ['JSON', 'JSON(t Int64)', 'Nullable(JSON)', 'JSON(max_dynamic_paths=0)', 'JSON(p Dynamic)']) {
    const alone = [`{"p":${large}}`, `{"p":-${large}}`, '{"p":18446744073709551615}', `{"a":{"b":${large}}}`];
    const ofObjects = [`{"a":[{"b":${large}}]}`];
    const ofArrays = [`{"p":[${large}]}`, `{"p":[[1],[${large}]]}`, `{"a":[{"b":[${large}]}]}`];
    const exactly = [`{"p":${exact}}`, `{"p":[${exact}]}`, '{"p":9223372036854775808}', `{"p":"${large}"}`];
    const passing = (keepsIntegers: boolean, keepsIntegersOfArrays: boolean) =>
      [...alone, ...ofObjects, ...ofArrays, ...exactly].filter((json) =>
        passes(type, json, { keepsIntegers, keepsIntegersOfArrays }),
      );
    expect([type, passing(false, false)]).toEqual([type, exactly]);
    expect([type, passing(true, false)]).toEqual([type, [...alone, ...ofObjects, ...exactly]]);
    expect([type, passing(true, true)]).toEqual([type, [...alone, ...ofObjects, ...ofArrays, ...exactly]]);
  }
  // With a type of its own, or in a Dynamic column, a value keeps its digits.
  for (const [type, json] of [
    ['JSON(p Int64)', `{"p":${large}}`],
    ['JSON(p Array(Int64))', `{"p":[${large}]}`],
    ['Dynamic', large],
    ['Dynamic', `[${large}]`],
    ['Dynamic', `{"a":${large}}`],
  ] as const)
    expect([type, passes(type, json)]).toEqual([type, true]);
  expect(passes('Map(String, JSON)', `{"k":{"p":${large}}}`)).toBe(false);
  expect(passes('Array(JSON)', `[{"p":${large}}]`)).toBe(false);
});
