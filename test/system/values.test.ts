import { expect, it } from 'vitest';
import { CONVERSIONS } from '../../scripts/values.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { record } from '../support/records.js';
import type { Mapping } from '../../src/protocol/settings.js';
import { useValueStore, type InsertOptions } from '../support/storedValues.js';

const values = useValueStore('values');

/**
 * Inserts records with these JSON texts as their field, all in one batch, into a column of a type.
 *
 * @returns for each what is stored, as ClickHouse writes it, or the code of its rejection
 */
async function store(
  type: string,
  texts: readonly (string | Buffer)[],
  insertSettings: Readonly<Record<string, string>> = {},
): Promise<string[]> {
  const column = {
    define: (name: string) => `${name} ${type}`,
    read: (name: string) =>
      `toString(${type.startsWith('Nested') ? `(${name}.a, ${name}.b)` : type.startsWith('AggregateFunction') ? `hex(${name})` : name})`,
  };
  const outcomes = await values().store(
    [column],
    texts.map((json) => ({ column: 0, json })),
    { insertSettings },
  );
  return outcomes.map(({ stored, rejection }) => (rejection === null ? String(stored) : `! ${rejection.code}`));
}

const REFUSED = '! refused_by_clickhouse';
const OUT = '! out_of_range';
const LONG = 'x'.repeat(1_000_000);
const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
/** An object of so many members, which sort as they are numbered. */
const wide = (members: number) =>
  `{${Array.from({ length: members }, (_, index) => `"k${String(index).padStart(6, '0')}":${index}`).join(',')}}`;
const bytes = (...parts: (string | number)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part))));

/**
 * Inserts values one after the other into a table with the identity columns, all in one batch.
 *
 * @returns for each the row as ClickHouse writes it, or the code of its rejection
 */
async function storeRows(
  definition: string,
  texts: readonly string[],
  { read, ...options }: InsertOptions & { read: string },
): Promise<string[]> {
  const store = values();
  const table = 'values_rows';
  await store.client.command({
    query: `CREATE TABLE ${table} (${definition}, _topic String, _partition UInt32, _offset UInt64, _epoch String)
      ENGINE = MergeTree ORDER BY _offset`,
  });
  const source = { topic: 'orders', partition: 0, epoch: 'e' };
  const records = texts.map((text, offset) => ({ source, record: record(offset, { value: Buffer.from(text) }) }));
  const { rejected } = await store.insert(table, records, options);
  const result = await store.client.query({
    query: `SELECT _offset, toString(${read}) FROM ${table}`,
    format: 'JSONCompactEachRow',
  });
  const stored = new Map(
    (await result.json<[number | string, string]>()).map(([offset, text]) => [Number(offset), text]),
  );
  await store.client.command({ query: `DROP TABLE ${table}` });
  const codes = new Map(rejected.map(({ record: { offset }, rejection }) => [offset, `! ${rejection.code}`]));
  return texts.map((_, offset) => codes.get(offset) ?? stored.get(offset) ?? 'nowhere');
}

/** A type, and JSON texts with what becomes of them in a column of it. */
const CASES: [type: string, cases: [json: string | Buffer, outcome: string][]][] = [
  [
    'Int64',
    [
      ['9223372036854775807', '9223372036854775807'],
      ['-9223372036854775808', '-9223372036854775808'],
      ['"9223372036854775807"', '9223372036854775807'],
      ['9007199254740993', '9007199254740993'],
      ['9223372036854775808', OUT],
      ['-9223372036854775809', OUT],
      ['"9223372036854775808"', OUT],
      ['99999999999999999999', OUT],
      ['1.5', REFUSED],
      ['"one"', REFUSED],
      ['{}', REFUSED],
      ['true', '1'],
      ['null', '0'],
    ],
  ],
  [
    'UInt64',
    [
      ['18446744073709551615', '18446744073709551615'],
      ['18446744073709551616', OUT],
      ['-1', OUT],
    ],
  ],
  [
    'UInt8',
    [
      ['255', '255'],
      ['256', OUT],
      ['"300"', OUT],
      ['-1', OUT],
      ['"-0"', REFUSED],
      ['""', OUT],
    ],
  ],
  [
    'Int256',
    [
      ['99999999999999999999', '99999999999999999999'],
      [String(2n ** 255n - 1n), String(2n ** 255n - 1n)],
      [String(2n ** 255n), OUT],
    ],
  ],
  [
    'Decimal(38, 20)',
    [
      ['123456789012345678.12345678901234567891', '123456789012345678.12345678901234567891'],
      ['"0.00000000000000000001"', '0.00000000000000000001'],
      ['1234567890123456789012', REFUSED],
      ['""', OUT],
      ['"-"', OUT],
    ],
  ],
  [
    'Float64',
    [
      ['0.1', '0.1'],
      ['"NaN"', 'nan'],
      ['"-inf"', '-inf'],
      ['-0', '-0'],
      ['1e308', '1e308'],
      ['1e400', OUT],
      ['"1e400"', OUT],
      ['""', OUT],
      ['"1e+"', OUT],
      // The nearest float, not one beside it.
      ['1.4518784696026833e-254', '1.4518784696026833e-254'],
      ['NaN', '! not_json'],
    ],
  ],
  [
    'Float32',
    [
      ['1e38', '1e38'],
      ['3.4028235e38', '3.4028235e38'],
      ['1e39', OUT],
    ],
  ],
  [
    'Date',
    [
      ['"2024-02-29"', '2024-02-29'],
      ['"2024-02-30"', OUT],
      ['"2023-13-01"', OUT],
      ['"1960-01-01"', OUT],
      ['"2149-06-06"', '2149-06-06'],
      ['"2149-06-07"', OUT],
      ['99999999999', OUT],
      ['"someday"', REFUSED],
      ['65535', '2149-06-06'],
      ['70000', OUT],
      ['true', OUT],
      ['"2200/01/01"', OUT],
      ['"2024/02/30"', OUT],
      ['"2024/2/9"', '2024-02-09'],
      ['"20240230"', OUT],
    ],
  ],
  [
    'Date32',
    [
      ['"2299-12-31"', '2299-12-31'],
      ['"2300-01-01"', OUT],
      ['"1899-12-31"', OUT],
      ['"9999/12/31"', OUT],
      ['1704164645', OUT],
      ['"1960-01-01"', '1960-01-01'],
      ['"2024-02-30"', OUT],
      ['99999999999999999999', OUT],
    ],
  ],
  [
    "DateTime('UTC')",
    [
      ['"2024-01-02T03:04:05.678Z"', '2024-01-02 03:04:05'],
      ['"2024-01-02T03:04:05+02:00"', '2024-01-02 01:04:05'],
      ['"1969-12-31T23:00:00-05:00"', '1970-01-01 04:00:00'],
      ['1704164645', '2024-01-02 03:04:05'],
      ['"1960-01-01T00:00:00Z"', OUT],
      ['"2200-01-01T00:00:00Z"', OUT],
      ['-1', OUT],
      ['4294967296', OUT],
      ['"9999:00:00"', OUT],
      ['"10:11:12"', OUT],
      ['"24-01-02 03:04:05"', OUT],
      ['"2024-01-02 10:60:00"', OUT],
      ['"2024-01-02 25:00:00"', OUT],
      ['"2106-02-07 06:28:15"', '2106-02-07 06:28:15'],
      ['"2106-02-07 06:28:16"', OUT],
      ['"1969-12-31 23:59:59"', OUT],
      ['"1970-01-01 00:00:00"', '1970-01-01 00:00:00'],
      ['"1970-01-01T00:00:00+01:00"', OUT],
      ['"2024-01-02T03:04:05+25:00"', OUT],
      ['"Tue, 02 Jan 2024 03:04:05 GMT"', '2024-01-02 03:04:05'],
      ['"20240102T030405Z"', '2024-01-02 03:04:05'],
      ['"1704164645"', '2024-01-02 03:04:05'],
      ['"1234"', OUT],
    ],
  ],
  [
    "DateTime('Europe/Vienna')",
    [
      ['"1970-01-01 01:00:00"', '1970-01-01 01:00:00'],
      ['"1970-01-01 00:59:59"', OUT],
      ['"2106-02-07 07:28:15"', '2106-02-07 07:28:15'],
      ['"2106-02-07 07:28:16"', OUT],
    ],
  ],
  [
    "DateTime64(3, 'UTC')",
    [
      // Milliseconds, on every version of ClickHouse.
      ['1704164645678', '2024-01-02 03:04:05.678'],
      ['1704164645678000', OUT],
      ['"9999-12-31 00:00:00"', '9999-12-31 00:00:00.000'],
      ['"0000-00-00 00:00:00"', OUT],
      ['"9999:00:00"', OUT],
    ],
  ],
  [
    "DateTime64(3, 'America/New_York')",
    [
      ['"9999-12-31 18:59:59"', '9999-12-31 18:59:59.000'],
      ['"9999-12-31 19:00:00"', OUT],
      ['"9999-12-31 23:59:59"', OUT],
      ['"9999-12-31 23:59:59Z"', '9999-12-31 18:59:59.000'],
    ],
  ],
  [
    "DateTime('Fixed/UTC+02:00:00')",
    [
      ['"2024-01-02 03:04:05"', '2024-01-02 03:04:05'],
      ['"2024-01-02 03:04:05Z"', '2024-01-02 05:04:05'],
      ['"1970-01-01 00:00:00"', OUT],
    ],
  ],
  [
    "DateTime64(9, 'UTC')",
    [
      ['1704164645678000000', '2024-01-02 03:04:05.678000000'],
      ['9223372036854775807', '2262-04-11 23:47:16.854775807'],
      ['9223372036854775808', OUT],
      ['"2262-04-11 23:47:15.999999999Z"', '2262-04-11 23:47:15.999999999'],
      ['"2262-04-12 00:00:00"', OUT],
      ['"0001-01-01T00:00:00Z"', OUT],
    ],
  ],
  [
    'Time',
    [
      ['"10:11:12"', '10:11:12'],
      ['"-999:59:59"', '-999:59:59'],
      ['"10:60:00"', OUT],
      ['"10:11"', OUT],
      ['3599999', '999:59:59'],
      ['3600000', OUT],
    ],
  ],
  [
    'Time64(3)',
    [
      ['"10:11:12.5"', '10:11:12.500'],
      ['3599999999', '999:59:59.999'],
      ['3600000000', OUT],
    ],
  ],
  [
    'IntervalSecond',
    [
      ['9223372036854775807', '9223372036854775807'],
      ['9223372036854775808', OUT],
    ],
  ],
  [
    'Point',
    [
      ['[1.5, -2]', '(1.5,-2)'],
      ['[1e400, 2]', OUT],
    ],
  ],
  [
    "DateTime64(6, 'UTC')",
    [
      ['"2024-01-02T03:04:05.678901Z"', '2024-01-02 03:04:05.678901'],
      ['"1905-01-01T00:00:00Z"', '1905-01-01 00:00:00.000000'],
      ['99999999999999999999', OUT],
    ],
  ],
  [
    "Enum8('new' = 1, 'paid' = 2)",
    [
      ['"paid"', 'paid'],
      ['1', 'new'],
      ['"lost"', REFUSED],
      ['null', OUT],
      ['257', OUT],
      ['4294967297', OUT],
    ],
  ],
  [
    'Bool',
    [
      ['true', 'true'],
      ['"perhaps"', REFUSED],
    ],
  ],
  [
    'UUID',
    [
      ['"61f0c404-5cb3-11e7-907b-a6006ad3dba0"', '61f0c404-5cb3-11e7-907b-a6006ad3dba0'],
      ['"61F0C4045CB311E7907BA6006AD3DBA0"', '61f0c404-5cb3-11e7-907b-a6006ad3dba0'],
      ['"61f0c404"', OUT],
      ['"61f0c404-5cb3-11e7-907b-a6006ad3dbag"', OUT],
    ],
  ],
  [
    'Nullable(UInt8)',
    [
      ['null', 'null'],
      ['7', '7'],
      ['256', OUT],
    ],
  ],
  [
    'Array(Array(UInt16))',
    [
      ['[[1,2],[],[65535]]', '[[1,2],[],[65535]]'],
      ['[[1,2],[65536]]', OUT],
      ['[1]', REFUSED],
    ],
  ],
  [
    'Map(String, Int64)',
    [
      ['{"a":9223372036854775807,"b":-1}', "{'a':9223372036854775807,'b':-1}"],
      ['{"a":9223372036854775808}', OUT],
      ['{"a":"x"}', REFUSED],
      ['{"a":1,"a":2}', OUT],
      ['{"a":1,"\\u0061":2}', OUT],
    ],
  ],
  [
    'Map(UInt8, Date)',
    [
      ['{"1":"2024-02-29"}', "{1:'2024-02-29'}"],
      ['{"257":"2024-02-29"}', OUT],
      ['{"1":"2024-02-29","01":"2024-02-29"}', OUT],
      ['{"1":"2024-02-30"}', OUT],
    ],
  ],
  [
    'Tuple(city String)',
    [
      ['{"city":"X"}', "('X')"],
      ['{"city":"X","zip":"1"}', "('X')"],
      ['{"zip":"1"}', "('')"],
      ['{"z\\u0069p":{"a":[1e999,{}]},"city":"X"}', "('X')"],
      ['{"c\\u0069ty":"X"}', OUT],
    ],
  ],
  [
    'Tuple(lat Float64, at Tuple(code UInt8, `na me` String))',
    [
      ['{"at":{"na me":"x","code":255},"lat":1.5}', "(1.5,(255,'x'))"],
      ['{"at":{"na me":"x","code":256},"lat":1.5}', OUT],
      ['[1.5,[256,"x"]]', OUT],
      ['{"lat":1.5}', "(1.5,(0,''))"],
    ],
  ],
  [
    "Tuple(state Enum8('new' = 1), at Tuple(state Enum8('new' = 1, 'no' = 0)))",
    [
      ['{"state":"new","at":{"state":"no"}}', "('new',('no'))"],
      ['{"state":"new"}', "('new',('no'))"],
      // Each of these would make the whole part unreadable.
      ['{}', OUT],
      ['{"at":{"state":"no"}}', OUT],
      ['null', OUT],
    ],
  ],
  [
    "Array(Tuple(a UInt8, b Tuple(c Enum8('new' = 1))))",
    [
      ['[{"b":{"c":"new"}}]', "[(0,('new'))]"],
      ['[null]', OUT],
      ['[{"a":1}]', OUT],
      ['[{"b":null}]', OUT],
      ['[{"b":{}}]', OUT],
      ['null', '[]'],
    ],
  ],
  [
    "JSON(a Enum8('new' = 1), b Decimal(38, 20), c FixedString(3), d Tuple(e Enum8('new' = 1)))",
    [
      ['{}', `{"a":"new","b":0,"c":"\\u0000\\u0000\\u0000","d":{"e":"new"}}`],
      ['null', OUT],
      ['{"d":null}', OUT],
      ['{"d":{"e":null}}', OUT],
      ['{"b":-3684.291120470120281}', OUT],
      ['{"b":12345678901234567}', OUT],
      ['{"c":12}', OUT],
      ['{"c":[1]}', OUT],
    ],
  ],
  [
    'Variant(Int128, Array(UInt8))',
    [
      [String(2n ** 127n - 1n), String(2n ** 127n - 1n)],
      [String(2n ** 127n), OUT],
      [`"${2n ** 127n}"`, OUT],
      ['[1]', '[1]'],
    ],
  ],
  [
    'Map(Decimal(9, 2), UInt8)',
    [
      ['{"1.25":1,"12.5":2}', '{1.25:1,12.5:2}'],
      ['{"1":1,"1.0":2}', OUT],
      ['{"10":1,"1e1":2}', OUT],
    ],
  ],
  [
    "Map(DateTime64(3, 'Europe/Vienna'), UInt8)",
    [
      [
        '{"2024-07-01 12:00:00":1,"2024-07-01T12:00:00Z":2}',
        "{'2024-07-01 12:00:00.000':1,'2024-07-01 14:00:00.000':2}",
      ],
      [
        '{"2024-07-01 12:00:00.001":1,"2024-07-01 12:00:00.002":2}',
        "{'2024-07-01 12:00:00.001':1,'2024-07-01 12:00:00.002':2}",
      ],
      ['{"2024-07-01 12:00:00":1,"2024-07-01T10:00:00Z":2}', OUT],
      ['{"2024-07-01 12:00:00.0011":1,"2024-07-01 12:00:00.0012":2}', OUT],
    ],
  ],
  [
    'Map(IPv6, UInt8)',
    [
      ['{"::1":1,"::2":2}', "{'::1':1,'::2':2}"],
      ['{"::1":1,"0:0::1":2}', OUT],
    ],
  ],
  [
    'String',
    [
      ['"\\ud83d\\ude00 ü \\u0000 \\/"', '😀 ü \0 /'],
      ['"\\ud800"', REFUSED],
      [`"${LONG}"`, LONG],
      ['{"a" : [1, 2.50, 12345678901234567890]}', '{"a" : [1, 2.50, 12345678901234567890]}'],
      ['12345678901234567890', '12345678901234567890'],
      [deep(900), deep(900)],
      ['null', ''],
      ['"1","v":"2"', REFUSED],
      ['"1","v":"1"', REFUSED],
    ],
  ],
  [
    'FixedString(3)',
    [
      ['"abc"', 'abc'],
      ['"abcd"', REFUSED],
    ],
  ],
  [
    'JSON',
    [
      [
        '{"i":9223372036854775807,"u":18446744073709551615,"d":1.5,"n":null,"a":[{"b":1}]}',
        '{"a":[{"b":1}],"d":1.5,"i":9223372036854775807,"u":18446744073709551615}',
      ],
      ['{"a":1,"a":2}', REFUSED],
      ['[1]', REFUSED],
      [bytes('{"a":"', 0xff, '"}'), REFUSED],
      [`{"a":${'{"a":'.repeat(2_000)}1${'}'.repeat(2_000)}}`, REFUSED],
      ['{"d":"2024-02-30","t":"2024-01-02T03:04:05+02:00"}', '{"d":"2024-02-30","t":"2024-01-02T03:04:05+02:00"}'],
      ['{"a":[9007199254740993,0.5]}', OUT],
      ['{"a":[true,1]}', OUT],
      ['{"a":[{"id":1,"ok":true},{"id":2,"ok":false}]}', '{"a":[{"id":1,"ok":true},{"id":2,"ok":false}]}'],
    ],
  ],
  [
    'JSON(a UInt8, `b.c` Date)',
    [
      ['{"a":1,"b":{"c":"2024-02-29"}}', '{"a":1,"b":{"c":"2024-02-29"}}'],
      ['{"a":1.5}', OUT],
      ['{"a":300}', OUT],
      ['{"b":{"c":"2024-02-30"}}', OUT],
      ['{"b.c":"2200/01/01"}', OUT],
    ],
  ],
  [
    'JSON(a Int32, b Array(UInt64), c Bool, d Variant(Int32, Array(UInt8)), e Nullable(Int128))',
    [
      ['{"a":"+1","b":["01"],"c":1,"d":"7","e":"-5"}', '{"a":1,"b":[1],"c":true,"d":7,"e":-5}'],
      ...['"nan"', '"-NaN"', '"1."', '"1.5"', '".5"', '"1e2"', '"1.0"', '1.5'].flatMap((number): [string, string][] => [
        [`{"a":${number}}`, OUT],
        [`{"b":[${number}]}`, OUT],
        [`{"c":${number}}`, OUT],
        [`{"d":${number}}`, OUT],
        [`{"e":${number}}`, OUT],
      ]),
      ['{"a":"abc"}', REFUSED],
      ['{"c":"+1"}', OUT],
    ],
  ],
  [
    'JSON(SKIP k, SKIP a.b)',
    [
      ['{"k":[null],"a":{"b":[null],"c":1}}', '{"a":{"c":1}}'],
      ['{"k.x":[true,1],"a.b":5,"z":2}', '{"z":2}'],
      ['{"kk":[null]}', OUT],
      ['{"a":[{"b":[null]}]}', OUT],
    ],
  ],
  [
    'JSON(p Variant(Bool, String))',
    [
      ['{"p":5}', OUT],
      ['{"p":"5"}', OUT],
      ['{"p":"0"}', OUT],
      ['{"p":1}', '{"p":true}'],
      ['{"p":256}', '{"p":"256"}'],
      ['{"p":"x"}', '{"p":"x"}'],
      ['{"p":0.5}', '{"p":"0.5"}'],
      ['{"p":0.50}', OUT],
    ],
  ],
  [
    'JSON(a Variant(UInt8, String))',
    [
      ['{"a":5}', '{"a":5}'],
      ['{"a":1.5}', '{"a":"1.5"}'],
      ['{"a":"nan"}', '{"a":"nan"}'],
      ['{"a":300}', '{"a":"300"}'],
    ],
  ],
  [
    "JSON(a DateTime64(3, 'UTC'), b Time64(3))",
    [
      ['{"a":1,"b":1}', '{"a":"1970-01-01 00:00:00.001","b":"00:00:00.001"}'],
      ['{"a":1.5}', OUT],
      ['{"a":1e2}', OUT],
      ['{"b":1.5}', OUT],
      ['{"b":1e2}', OUT],
    ],
  ],
  [
    'JSON(t Array(Nullable(Int32)))',
    [
      ['{"a":[{"b":1}],"b":[[1]],"c":[1,[{"b":2}],"x"]}', '{"a":[{"b":1}],"b":[[1]],"c":[1,[{"b":2}],"x"],"t":[]}'],
      // Each null would become an empty object or array, because the first record has such arrays.
      ['{"a":[null]}', OUT],
      ['{"a":[null,{"b":1}]}', OUT],
      ['{"a":[{"a":[null]}]}', OUT],
      ['{"b":[null]}', OUT],
      ['{"b":[null,[1]]}', OUT],
      ['{"c":[1,[null]]}', OUT],
      ['{"a":[null,1],"t":[null]}', '{"a":[null,1],"t":[null]}'],
      ['{"a":[null,"x",{"b":1}]}', '{"a":[null,"x",{"b":1}],"t":[]}'],
    ],
  ],
  [
    'Dynamic',
    [
      ['[null,{"b":1}]', OUT],
      ['[null,[1]]', OUT],
      ['[[null],[[1]]]', OUT],
      ['{"a":[{"b":[null]},{"b":[{"c":1}]}]}', OUT],
      ['[null]', '[NULL]'],
      ['[null,1]', '[NULL,1]'],
    ],
  ],
  [
    'Dynamic',
    [
      ['"2024-02-30"', '2024-02-30'],
      ['1e400', OUT],
      ['[{"a":true},{"a":1}]', OUT],
      ['18446744073709551615', '18446744073709551615'],
      ['18446744073709551616', OUT],
      ['-9223372036854775809', OUT],
      ['[{"a":18446744073709551616}]', OUT],
      // Each of these would make the whole part unreadable.
      ['{"a":{"b":1},"a.b":2}', OUT],
      ['{"a.b":2,"a":{"b":1}}', OUT],
      ['[{"a":{"b":1}},{"a.b":2}]', OUT],
      ['{"x":{"a":[1],"a.size0":2}}', OUT],
      ['{"a.b":1,"a.c":2}', '(1,2)'],
      // It costs the square of its elements: a few such objects would hold their batch for ever.
      [wide(500), `(${Array.from({ length: 500 }, (_, index) => index).join(',')})`],
      [wide(501), OUT],
      [wide(20_000), OUT],
      [
        `[${Array.from({ length: 600 }, () => '{"a":1}').join(',')}]`,
        `[${Array.from({ length: 600 }, () => '(1)').join(',')}]`,
      ],
    ],
  ],
  [
    'Nested(a Int32, b String)',
    [
      ['{"a":[1,2],"b":["x","y"]}', "([1,2],['x','y'])"],
      ['{"a":[1,2],"b":["x"]}', REFUSED],
      ['{"a":[2147483648],"b":["x"]}', OUT],
      ['{"\\u0061":[2147483648],"b":["x"]}', OUT],
      ['[{"a":1,"b":"x"}]', OUT],
      ['5', '([],[])'],
    ],
  ],
];

it.each(CASES)('%s: each value is stored unharmed or rejected alone', async (type, cases) => {
  const outcomes = await store(
    type,
    cases.map(([json]) => json),
  );
  expect(cases.map(([json], index) => [String(json).slice(0, 80), outcomes[index]?.slice(0, 100)])).toEqual(
    cases.map(([json, outcome]) => [String(json).slice(0, 80), outcome.slice(0, 100)]),
  );
});

it('what the documentation says is changed on purpose or rejected is stored or rejected as it says', async () => {
  for (const { type, written, stored } of CONVERSIONS) {
    const [outcome] = await store(type, [written]);
    expect([type, written, outcome?.startsWith('!') ? null : outcome]).toEqual([type, written, stored]);
  }
});

it('bytes that are not UTF-8, and long strings, are stored as they are', async () => {
  const store = values();
  const table = 'values_bytes';
  await store.client.command({
    query: `CREATE TABLE ${table} (v String, _key String) ENGINE = MergeTree ORDER BY tuple()`,
  });
  const value = bytes('{"v":"', 0xff, 0xfe, LONG, '"}');
  const key = Buffer.from([0, 0xff, 0x22, 0x5c, 0x0a]);
  const source = { topic: 'orders', partition: 0, epoch: 'e' };
  await store.insert(table, [{ source, record: record(0, { value, key }) }]);
  const result = await store.client.query({
    query: `SELECT hex(left(v, 3)) AS head, length(v) AS length, hex(_key) AS key FROM ${table}`,
    format: 'JSONEachRow',
  });
  expect(await result.json()).toEqual([{ head: 'FFFE78', length: expect.anything() as unknown, key: '00FF225C0A' }]);
});

it('a column without a zone has the zone of the inserts’ session, where there is one', async () => {
  const cases = [
    ['"1970-01-01 01:00:00"', '1970-01-01 00:00:00'],
    ['"1970-01-01 00:59:59"', OUT],
    ['"2106-02-07 07:28:15"', '2106-02-07 06:28:15'],
    ['"2106-02-07 07:28:16"', OUT],
    ['"2024-07-01 12:00:00"', '2024-07-01 10:00:00'],
  ] as const;
  const outcomes = await store(
    'DateTime',
    cases.map(([json]) => json),
    { session_timezone: 'Europe/Vienna' },
  );
  expect(outcomes).toEqual(cases.map(([, outcome]) => outcome));
});

it('a state of an aggregation that cannot be read is rejected, even where it comes alone', async () => {
  const type = 'AggregateFunction(sum, UInt64)';
  expect(await store(type, ['"abc"'])).toEqual([REFUSED]);
  expect(await store(type, ['"12345678"', '"123456789"', 'null'])).toEqual([
    '3132333435363738',
    REFUSED,
    '0000000000000000',
  ]);
});

it('null stands for the default of a column that has one', async () => {
  for (const [type, json, outcome] of [
    ["Enum8('new' = 1, 'paid' = 2) DEFAULT 'paid'", 'null', 'paid'],
    ["Enum8('new' = 1, 'paid' = 2) DEFAULT 'paid'", '3', OUT],
    ["Tuple(a Enum8('new' = 1)) DEFAULT tuple('new')", 'null', "('new')"],
    ["Tuple(a Enum8('new' = 1)) DEFAULT tuple('new')", '{}', OUT],
    ["Array(Enum8('new' = 1)) DEFAULT ['new']", 'null', "['new']"],
    ["Array(Enum8('new' = 1)) DEFAULT ['new']", '[null]', OUT],
    ["DateTime('UTC') DEFAULT '2024-01-02 03:04:05'", 'null', '2024-01-02 03:04:05'],
  ] as const)
    expect([type, json, ...(await store(type, [json]))]).toEqual([type, json, outcome]);
});

it('a field whose name differs from a column’s in case only is another field, which is ignored', async () => {
  const cases = [
    ['{"v":1,"d":"2024-02-29","x":{"amount":5},"total":2,"n":{"a":[3]}}', "(1,'2024-02-29',5,2,[3])"],
    ['{"V":300}', "(0,'1970-01-01',0,0,[])"],
    ['{"D":"2024-02-30"}', "(0,'1970-01-01',0,0,[])"],
    ['{"Amount":99,"x":{}}', "(0,'1970-01-01',0,0,[])"],
    ['{"Amount":99,"x":{"amount":5}}', "(0,'1970-01-01',5,0,[])"],
    ['{"Amount":99,"X":{"amount":5},"x":{"Amount":5}}', "(0,'1970-01-01',0,0,[])"],
    ['{"total":1,"TOTAL":2}', "(0,'1970-01-01',0,1,[])"],
    ['{"v":1,"_OFFSET":70}', "(1,'1970-01-01',0,0,[])"],
    ['{"N":{"a":[300]},"n":{"A":[300]}}', "(0,'1970-01-01',0,0,[])"],
    ['{"N.a":[300],"n.A":[300]}', "(0,'1970-01-01',0,0,[])"],
  ] as const;
  const outcomes = await storeRows(
    'v UInt8, d Date, amount UInt8, total UInt8, n Nested(a UInt8)',
    cases.map(([json]) => json),
    { read: '(v, d, amount, total, n.a)', columns: { amount: '/x/amount' } },
  );
  expect(outcomes).toEqual(cases.map(([, outcome]) => outcome));
});

it('white space around a value that a column takes whole hides nothing from the checks', async () => {
  const text: Mapping = { format: 'text', unknownFields: 'ignore', tombstones: 'reject' };
  const cases: [type: string, mapping: Mapping, values: [value: string, outcome: string][]][] = [
    [
      'Map(String, UInt8)',
      DEFAULT_MAPPING,
      [
        [' {"a":30}\n', "{'a':30}"],
        [' {"a":300}', OUT],
        ['\r\n{"a":1,"a":2}', OUT],
      ],
    ],
    [
      'Tuple(a UInt8)',
      DEFAULT_MAPPING,
      [
        [' {"a":1}', '(1)'],
        [' {"a":257}', OUT],
        [' {"a":1,"b":2}', '(1)'],
      ],
    ],
    [
      'JSON(a UInt8)',
      DEFAULT_MAPPING,
      [
        [' {"a":1}', '{"a":1}'],
        [' {"a":257}', OUT],
        [' {"b":"\\udc00"}', OUT],
      ],
    ],
    [
      'Array(UInt8)',
      text,
      [
        ['\t[1,255]', '[1,255]'],
        ['\t[1,257]', OUT],
      ],
    ],
    ['Array(Date)', text, [[' ["2024-02-30"]', OUT]]],
    [
      'Array(String)',
      text,
      [
        ['["\\ud83d\\ude00"]', "['😀']"],
        ['["\\udc00"]', OUT],
        ['["\\\\udc00"]', "['\\\\udc00']"],
      ],
    ],
  ];
  for (const [type, mapping, written] of cases) {
    const outcomes = await storeRows(
      `v ${type}`,
      written.map(([value]) => value),
      { read: 'v', columns: { v: 'value' }, mapping },
    );
    expect([type, ...outcomes]).toEqual([type, ...written.map(([, outcome]) => outcome)]);
  }
});
