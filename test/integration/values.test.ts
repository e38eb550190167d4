import type { ClickHouseClient } from '@clickhouse/client';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { insertRecords } from '../../src/activities/batchInsert.js';
import { ClickHouseTables } from '../../src/activities/clickhouse.js';
import { createClickHouse } from '../../src/clients.js';
import { record } from '../support/records.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let client: ClickHouseClient;
let tables: ClickHouseTables;

beforeAll(() => {
  client = createClickHouse({
    ...stack().clickhouse,
    accessToken: null,
    tls: null,
    requestTimeoutMs: 30_000,
    settings: {},
    maxConnections: 4,
  });
  tables = new ClickHouseTables(client, 'default');
});
afterAll(() => client.close());

let made = 0;

/**
 * Inserts records with these JSON texts as their field `v`, all in one batch, into a column of a type.
 *
 * @returns for each what is stored, as ClickHouse writes it, or the code of its rejection
 */
async function store(type: string, values: readonly (string | Buffer)[]): Promise<string[]> {
  const table = `v${++made}`;
  await client.command({
    query: `CREATE TABLE ${table} (v ${type}, _topic String, _partition UInt32, _offset UInt64, _epoch String)
      ENGINE = MergeTree ORDER BY _offset`,
  });
  const source = { topic: 'orders', partition: 0, epoch: 'e' };
  const { rejected } = await insertRecords(
    values.map((value, offset) => {
      const json = Buffer.concat([Buffer.from('{"v":'), Buffer.from(value as string), Buffer.from('}')]);
      return { source, record: record(offset, { value: json }) };
    }),
    {
      tables,
      table,
      columns: {},
      batch: table,
      repeated: false,
      overdue: false,
      mustBeAlive: () => undefined,
    },
  );
  const value = type.startsWith('Nested') ? '(v.a, v.b)' : 'v';
  const result = await client.query({
    query: `SELECT _offset, toString(${value}) AS stored FROM ${table}`,
    format: 'JSONCompactEachRow',
  });
  const stored = await result.json<[string | number, string | null]>();
  expect(stored.length + rejected.length).toBe(values.length);
  const outcomes = new Map(stored.map(([offset, text]) => [Number(offset), String(text)]));
  for (const { record, rejection } of rejected) outcomes.set(record.offset, `! ${rejection.code}`);
  return values.map((_, offset) => outcomes.get(offset) ?? '?');
}

const REFUSED = '! refused_by_clickhouse';
const OUT = '! out_of_range';
const LONG = 'x'.repeat(1_000_000);
const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const bytes = (...parts: (string | number)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part))));

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
      ['NaN', '! not_json'],
    ],
  ],
  [
    'Float32',
    [
      ['1e38', '1e38'],
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
    ],
  ],
  [
    'Date32',
    [
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
      ['"61f0c404"', REFUSED],
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
    ],
  ],
  [
    'Nested(a Int32, b String)',
    [
      ['{"a":[1,2],"b":["x","y"]}', "([1,2],['x','y'])"],
      ['{"a":[1,2],"b":["x"]}', REFUSED],
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

it('bytes that are not UTF-8, and long strings, are stored as they are', async () => {
  const table = `v${++made}`;
  await client.command({ query: `CREATE TABLE ${table} (v String, _key String) ENGINE = MergeTree ORDER BY tuple()` });
  const value = bytes('{"v":"', 0xff, 0xfe, LONG, '"}');
  const key = Buffer.from([0, 0xff, 0x22, 0x5c, 0x0a]);
  const source = { topic: 'orders', partition: 0, epoch: 'e' };
  await insertRecords([{ source, record: record(0, { value, key }) }], {
    tables,
    table,
    columns: {},
    batch: table,
    repeated: false,
    overdue: false,
    mustBeAlive: () => undefined,
  });
  const result = await client.query({
    query: `SELECT hex(left(v, 3)) AS head, length(v) AS length, hex(_key) AS key FROM ${table}`,
    format: 'JSONEachRow',
  });
  expect(await result.json()).toEqual([{ head: 'FFFE78', length: expect.anything() as unknown, key: '00FF225C0A' }]);
});
