import type { ClickHouseClient } from '@clickhouse/client';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { insertRecords } from '../../src/clickhouse/insertRecords.js';
import type { SourcedRecord } from '../../src/protocol/record.js';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { identityFaults, misfitOf } from '../../src/clickhouse/identityColumns.js';
import { unfitMappings } from '../../src/clickhouse/rows/columnSources.js';
import { quoteName, quoteTable } from '../../src/clickhouse/sqlNames.js';
import { DEFAULT_LIMITS } from '../../src/clickhouse/values/valueCheck.js';
import { createClickHouse } from '../../src/clickhouse/clients.js';
import { inferColumns } from '../../src/clickhouse/inferColumns.js';
import { projectionStatements } from '../../src/clickhouse/lookUpProjection.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { record } from '../support/records.js';
import { useStack } from '../support/useStack.js';

const stack = useStack({ only: ['clickhouse'] });
let client: ClickHouseClient;
let tables: ClickHouseTables;

beforeAll(() => {
  const { url, username, password, database } = stack().clickhouse;
  const options = {
    accessToken: null,
    tls: null,
    requestTimeoutMs: 60_000,
    lookUpTimeoutMs: 60_000,
    settings: {},
    maxConnections: 4,
  };
  client = createClickHouse({ ...options, urls: [url], username, password, database });
  tables = new ClickHouseTables(client, 'default');
});
afterAll(() => client.close());

const run = (text: string) => client.command({ query: text });
async function query<Row>(text: string): Promise<Row[]> {
  const result = await client.query({ query: text, format: 'JSONEachRow' });
  return result.json<Row>();
}

const insert = (table: string, records: readonly SourcedRecord[], columns: Readonly<Record<string, string>> = {}) =>
  insertRecords(records, {
    tables,
    table,
    columns,
    mapping: DEFAULT_MAPPING,
    batch: table,
    repeated: true,
    overdue: false,
    mustBeAlive: () => undefined,
    pause: () => Promise.resolve(),
  });

const of = (offset: number, partition = 0, topic = 'orders'): SourcedRecord => ({
  source: { topic, partition, epoch: 'e1' },
  record: record(offset, { value: Buffer.from(`{"id": ${offset % 1_000}}`) }),
});

let made = 0;
async function createTable(types: Readonly<Record<string, string>>): Promise<string> {
  const name = `i${++made}`;
  const identity = { _topic: 'String', _partition: 'UInt32', _offset: 'UInt64', _epoch: 'String', ...types };
  const columns = Object.entries(identity).map(([column, type]) => `${column} ${type}`);
  await run(
    `CREATE TABLE ${name} (id Int64, ${columns.join(', ')}) ENGINE = MergeTree ORDER BY id SETTINGS allow_suspicious_low_cardinality_types = 1`,
  );
  return name;
}

describe('an identity that its column cannot hold is never written as another one', () => {
  it.each<[string, Record<string, string>, SourcedRecord, SourcedRecord]>([
    ['a partition', { _partition: 'UInt8' }, of(1, 255), of(1, 256)],
    ['a partition', { _partition: 'Int8' }, of(1, 127), of(1, 128)],
    ['an offset', { _offset: 'UInt32' }, of(2 ** 32 - 1), of(2 ** 32)],
    ['an offset', { _offset: 'Nullable(Int32)' }, of(2 ** 31 - 1), of(2 ** 31)],
    ['an offset', { _offset: 'Float32' }, of(2 ** 24), of(2 ** 24 + 1)],
    ['an offset', { _offset: 'Decimal(9, 0)' }, of(999_999_999), of(1_000_000_000)],
    ['a topic', { _topic: 'FixedString(6)' }, of(1), of(1, 0, 'orders2')],
    ['a topic', { _topic: 'LowCardinality(FixedString(6))' }, of(1), of(1, 0, 'orders2')],
    ['a topic', { _topic: "Enum8('orders' = 1)" }, of(1), of(1, 0, 'order')],
  ])('%s: %j', async (_, types, fits, misfits) => {
    const table = await createTable(types);
    for (let time = 0; time < 2; time++) expect((await insert(table, [fits])).inserted).toHaveLength(1);
    await expect(insert(table, [fits, misfits])).rejects.toMatchObject({ kind: 'structural', code: 'unfit_identity' });
    expect(await query(`SELECT count() AS rows FROM ${table}`)).toEqual([{ rows: 1 }]);
  });

  it.each([
    { _offset: 'String' },
    { _partition: 'Array(UInt32)' },
    { _epoch: 'UUID' },
    { _offset: 'DateTime' },
    { _topic: 'UInt64' },
  ])('a type by which nothing can be looked up is refused at once: %j', async (types) => {
    const table = await createTable(types);
    await expect(insert(table, [of(1)])).rejects.toMatchObject({ kind: 'structural', code: 'unfit_identity' });
  });

  it.each(['String', 'LowCardinality(String)', 'Nullable(String)', 'LowCardinality(Nullable(String))'])(
    'texts in %s have no fault, and are found',
    async (type) => {
      const table = await createTable({ _topic: type, _epoch: type, _offset: 'Nullable(UInt64)', _partition: 'Int32' });
      expect(identityFaults(await tables.columns(table))).toEqual([]);
      const all = [of(2 ** 53 - 1, 65_535), of(0, 0, 'o'.repeat(249))];
      for (const found of [0, 2]) expect(await insert(table, all)).toMatchObject({ found });
    },
  );

  it('what is judged to fit comes back as it was, of any integer type and number', async () => {
    const types = [8, 16, 32, 64, 128, 256].flatMap((bits) => [`Int${bits}`, `UInt${bits}`]);
    const numbers = [0, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1];
    for (const type of types) {
      const columns = new Map([['_offset', type]]);
      const fitting = numbers.filter((number) => misfitOf(columns, of(0).source, number) === null);
      const [row] = await query<{ exact: string[] }>(
        `SELECT arrayMap(x -> toString(to${type}(x)), [${numbers.join()}]) AS exact`,
      );
      const exact = numbers.filter((number, index) => row?.exact[index] === String(number));
      expect(fitting, type).toEqual(exact);
    }
  });
});

it('a mapped timestamp is in the table, in whatever way a type that check accepts keeps it', async () => {
  const atMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  const kept: Readonly<Record<string, string>> = {
    UInt64: String(atMs),
    'Nullable(Int64)': String(atMs),
    'LowCardinality(UInt64)': String(atMs),
    Int256: String(atMs),
    Float64: String(atMs),
    'Decimal(18, 3)': String(atMs),
    'SimpleAggregateFunction(max, UInt64)': String(atMs),
    Date: '2026-01-02',
    'Nullable(Date32)': '2026-01-02',
    "DateTime('UTC')": '2026-01-02 03:04:05',
    "DateTime64(3, 'UTC')": '2026-01-02 03:04:05.678',
    String: '2026-01-02T03:04:05.678Z',
    'FixedString(24)': '2026-01-02T03:04:05.678Z',
    'Variant(String, UInt64)': '2026-01-02T03:04:05.678Z',
  };
  const types = Object.keys(kept);
  const names = types.map((_, index) => `t${index}`);
  const table = `i${++made}`;
  const columns = types.map((type, index) => `t${index} ${type}`).join(', ');
  await run(
    `CREATE TABLE ${table} (id Int64, ${columns}) ENGINE = MergeTree ORDER BY id SETTINGS allow_suspicious_low_cardinality_types = 1`,
  );
  const mapping = Object.fromEntries(names.map((name) => [name, 'timestamp']));
  expect(unfitMappings(await tables.columns(table), mapping)).toEqual([]);
  const { source, record: plainRecord } = of(1);
  const { inserted } = await insert(table, [{ source, record: { ...plainRecord, timestampMs: atMs } }], mapping);
  expect(inserted).toHaveLength(1);
  const [row] = await query<Record<string, string>>(
    `SELECT ${names.map((name) => `toString(${name}) AS s${name}`).join(', ')} FROM ${table}`,
  );
  expect(Object.fromEntries(types.map((type, index) => [type, row?.[`st${index}`]]))).toEqual(kept);
});

describe('the second of a record is found, whatever type keeps it', () => {
  it.each([
    'DateTime',
    "DateTime('America/New_York')",
    'DateTime64(0)',
    'DateTime64(3)',
    'DateTime64(9)',
    'Nullable(DateTime64(6))',
    'UInt64',
    'Int64',
    'Nullable(Int64)',
    'LowCardinality(UInt64)',
  ])('%s', async (type) => {
    const table = await createTable({ _timestamp: type });
    const columns = await tables.columns(table);
    expect(identityFaults(columns)).toEqual([]);
    const later = type.startsWith('DateTime(') || type === 'DateTime' ? [] : [Date.UTC(2150, 0), Date.UTC(2250, 0)];
    // On a server that changes fractions of that time, only whole seconds become rows.
    const earlier = /^(Nullable\()?(DateTime64|Int64)/.test(type)
      ? [-1_000, -1_499, -86_400_002, Date.UTC(1900, 0)]
      : [];
    const times = [0, 1_760_000_000_123, 4_294_967_295_999, -1, ...later, ...earlier];
    const all = times.map((timestampMs, offset) => {
      return { source: of(0).source, record: record(offset, { timestampMs, value: Buffer.from('{}') }) };
    });
    const { inserted } = await insert(table, all);
    const { keepsEarlyFractions } = columns.limits ?? DEFAULT_LIMITS;
    const keepsAll = keepsEarlyFractions || type === 'DateTime64(0)' || !type.includes('DateTime64');
    expect(inserted).toHaveLength(times.length - (keepsAll ? 0 : 2));
    const found = await tables.foundRecords(table, columns, of(0).source, { from: 0, to: 9 });
    const names = inserted.map(
      ({ record: { offset, timestampMs } }) => `${offset}@${timestampMs === -1 ? 0 : Math.floor(timestampMs / 1_000)}`,
    );
    expect([...found].sort()).toEqual(names.sort());
  });
});

it.each(['Date', 'String'])('a %s keeps no second of a record, so none is taken from it', async (type) => {
  const table = await createTable({ _timestamp: type });
  const columns = await tables.columns(table);
  await insert(table, [
    { source: of(0).source, record: record(0, { timestampMs: 1_760_000_000_123, value: Buffer.from('{}') }) },
  ]);
  const rows = await tables.rowsByOffset(table, columns, of(0).source, { from: 0, to: 9 });
  expect(rows.map(({ seconds }) => seconds)).toEqual([null]);
});

const HOSTILE = [
  'shop-eu',
  'two words',
  'a.b',
  'select',
  'table',
  'größe',
  '表',
  'x` Int64, CONSTRAINT c CHECK 0, `y',
  'back\\slash',
  '\\`',
  'quo"te\'s',
  'new\nline',
  'tab\t',
  '{topic:String}',
  '-- comment',
  '/* comment */',
  '; DROP TABLE x',
  'émoji 😀',
  '%41',
  '?',
];
const hostileName = fc.oneof(
  fc.constantFrom(...HOSTILE),
  fc.string({
    minLength: 1,
    maxLength: 20,
    unit: fc.constantFrom(
      '`',
      '\\',
      "'",
      '"',
      ';',
      ' ',
      '-',
      '/',
      '*',
      '.',
      '{',
      '}',
      '(',
      ')',
      'a',
      '0',
      '%',
      '?',
      '\n',
      '\u00e9',
    ),
  }),
);
const quoted = (name: string) => `\`${name.replaceAll(/[\\`]/g, '\\$&')}\``;

describe('a name is a name, whatever it is made of', () => {
  it('columns', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(hostileName, { minLength: 1, maxLength: 5 }), async (names) => {
        const table = await createTable({});
        const plain = names.filter((name) => !['id'].includes(name));
        for (const name of plain) await run(`ALTER TABLE ${table} ADD COLUMN ${quoteName(name)} Int64`);
        expect([...(await tables.columns(table)).keys()].slice(5)).toEqual(plain);
        const [first = ''] = plain;
        const value = Buffer.from(JSON.stringify({ id: 1, [first]: 42 }));
        const item = { source: of(0).source, record: record(0, { value }) };
        tables.forget(table);
        // A dot makes of a column a part of a nested one, whose fields have another form.
        if (!first.includes('.')) {
          expect(await insert(table, [item])).toMatchObject({ found: 0, rejected: [] });
          expect(await query(`SELECT ${quoteName(first)} AS v FROM ${table}`)).toEqual([{ v: 42 }]);
        }
        await run(`DROP TABLE ${table}`);
      }),
      { numRuns: 25 },
    );
  });

  it('databases and tables', async () => {
    // A name of a folder or a file takes as many bytes as the system allows, and a database's is both.
    const name = hostileName.filter((text) => Buffer.byteLength(text) < 60 && text.trim() !== '');
    await fc.assert(
      fc.asyncProperty(name, name, async (database, table) => {
        const text = `${quoted(`d${database}`)}.${quoted(table)}`;
        await run(`CREATE DATABASE IF NOT EXISTS ${quoteName(`d${database}`)}`);
        await run(
          `CREATE TABLE ${quoteTable(text)} (id Int64, _topic String, _partition UInt32, _offset UInt64, _epoch String)
           ENGINE = MergeTree ORDER BY id`,
        );
        for (const found of [0, 2]) expect(await insert(text, [of(0), of(1)])).toMatchObject({ found });
        expect(
          await tables.rowsByOffset(text, await tables.columns(text), of(0).source, { from: 0, to: 9 }),
        ).toHaveLength(2);
        await run(`DROP TABLE ${quoteTable(text)} SYNC`);
        await run(`DROP DATABASE ${quoteName(`d${database}`)} SYNC`);
      }),
      { numRuns: 25 },
    );
  });
});

describe('columns proposed from records', () => {
  const proposed = async (...values: string[]) => {
    const rows = values.map((value) => Buffer.from(value).toString('latin1'));
    return inferColumns(client, rows);
  };

  it('a field that is named like SQL makes a column, and nothing else', async () => {
    for (const name of HOSTILE) {
      const { columns } = await proposed(JSON.stringify({ [name]: 1, other: 'x' }));
      const table = `i${++made}`;
      await run(`CREATE TABLE ${table} (${columns.join(', ')}) ENGINE = MergeTree ORDER BY tuple()`);
      expect([...(await tables.columns(table))]).toEqual([
        [name, 'Nullable(Int64)'],
        ['other', 'Nullable(String)'],
      ]);
    }
  });

  it('what is nested deeply becomes a text: ClickHouse could not read its type again', async () => {
    const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`;
    const { columns } = await proposed(
      `{"a": ${nested(19)}, "b": ${nested(20)}, "c": ${nested(149)}, "d": {"e": ${nested(19)}}}`,
    );
    const deep = `${'Array('.repeat(19)}Nullable(Int64)${')'.repeat(19)}`;
    expect(columns).toEqual([`\`a\` ${deep}`, ...['b', 'c', 'd'].map((name) => `\`${name}\` Nullable(String)`)]);
    const table = `i${++made}`;
    await run(`CREATE TABLE ${table} (${columns.join(', ')}) ENGINE = MergeTree ORDER BY tuple()`);
    const row = { a: JSON.parse(nested(19)) as unknown, b: nested(20), c: nested(149), d: '{}' };
    await client.insert({ table, values: [row], format: 'JSONEachRow' });
    await run(`DETACH TABLE ${table}`);
    await run(`ATTACH TABLE ${table}`);
    expect(await query(`SELECT b, c FROM ${table}`)).toEqual([{ b: nested(20), c: nested(149) }]);
  });

  it('a field of any letters keeps its name, also where ClickHouse cannot infer all fields together', async () => {
    const large = '123456789012345678901234567890';
    const { columns } = await proposed(
      `{"ключ": ${large}, "größe": 1, "n": {"a": 1}}`,
      '{"ключ": 1, "größe": "é", "n": 5}',
    );
    expect(columns).toEqual(['`ключ` Nullable(Int128)', '`größe` Nullable(String)', expect.stringMatching(/^`n` /)]);
  });

  it.each([
    ['123456789012345678901234567890', 'Nullable(Int128)'],
    ['-99999999999999999999', 'Nullable(Int128)'],
    ['18446744073709551616', 'Nullable(Int128)'],
    [`${2n ** 130n}`, 'Nullable(Int256)'],
    [`${2n ** 256n - 1n}`, 'Nullable(UInt256)'],
    [`${2n ** 256n}`, 'Nullable(String)'],
  ])('the integer %s is proposed as %s, and can be inserted', async (number, type) => {
    const { columns } = await proposed(`{"n": 1, "s": "${number}"}`, `{"n": ${number}}`, '{"n": null}');
    expect(columns).toEqual([`\`n\` ${type}`, '`s` Nullable(String)']);
    const table = await createTable({ n: type });
    await insert(table, [{ source: of(0).source, record: record(0, { value: Buffer.from(`{"n": ${number}}`) }) }]);
    expect(await query(`SELECT toString(n) AS n FROM ${table}`)).toEqual([{ n: number }]);
  });

  it('what cannot be inferred is a text, alone', async () => {
    const { columns } = await proposed('{"a": 1, "b": 1, "c": [99999999999999999999]}', '{"a": {"x": 1}, "b": 2}');
    expect(columns).toEqual(['`a` Nullable(String)', '`b` Nullable(Int64)', '`c` Array(Nullable(String))']);
  });

  it('fields that cannot be columns are left, and said', async () => {
    const { columns, left } = await proposed('{"_offset": 1, "": 2, "a": 3}');
    expect(columns).toEqual(['`a` Nullable(Int64)']);
    expect(left.join('\n')).toMatch(/_offset[^]*without a name/);
  });
});

describe('a look-up reads a small share of a table that is sorted by something else', () => {
  const ROWS = 2_000_000;

  it.each([
    ['MergeTree', 'customer'],
    ['ReplacingMergeTree', 'customer, _topic, _partition, _epoch, _offset'],
  ])('%s with the projection', async (engine, order) => {
    const table = await createTable({});
    await run(`DROP TABLE ${table}`);
    await run(
      `CREATE TABLE ${table} (customer UInt32, _topic LowCardinality(String), _partition UInt32, _offset UInt64,
         _epoch LowCardinality(String), _timestamp DateTime64(3), INDEX by_offset _offset TYPE minmax GRANULARITY 1)
       ENGINE = ${engine} ORDER BY (${order})`,
    );
    await run(
      `INSERT INTO ${table} SELECT cityHash64(number) % 1000000, concat('topic', toString(number % 4)),
         intDiv(number, 4) % 24, intDiv(number, 96), 'e1', toDateTime64(1.7e9 + number / 1000, 3) FROM numbers(${ROWS})`,
    );
    await run(`OPTIMIZE TABLE ${table} FINAL`);
    const source = { topic: 'topic1', partition: 7, epoch: 'e1' };
    const lookUp = (epoch: string) =>
      `SELECT DISTINCT _offset FROM ${table} WHERE _topic = 'topic1' AND _partition = 7 ${epoch} AND _offset BETWEEN 9000 AND 14000`;
    const read = async (epoch: string) =>
      Number((await query<{ rows: string }>(`EXPLAIN ESTIMATE ${lookUp(epoch)}`))[0]?.rows);
    // The offsets of all partitions overlap in every granule: an index on them leaves out next to nothing.
    expect(await read("AND _epoch = 'e1'")).toBeGreaterThan(ROWS / 2);
    for (const statement of projectionStatements(table, engine)) await run(`${statement} SETTINGS mutations_sync = 2`);
    for (const epoch of ["AND _epoch = 'e1'", '']) expect(await read(epoch)).toBeLessThan(ROWS / 20);
    expect((await tables.foundOffsets(table, source, { from: 9_000, to: 14_000 })).size).toBe(5_001);
    const columns = await tables.columns(table);
    expect((await tables.foundRecords(table, columns, source, { from: 9_000, to: 14_000 })).size).toBe(5_001);
  });
});
