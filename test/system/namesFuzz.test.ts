import fc from 'fast-check';
import { expect, it } from 'vitest';
import { TableEvolution } from '../../src/clickhouse/evolve/tableEvolution.js';
import { inferColumns } from '../../src/clickhouse/inferColumns.js';
import { projectionStatements } from '../../src/clickhouse/lookUpProjection.js';
import { columnsOfField, fieldOfSchema } from '../../src/clickhouse/schemaColumns/schemaColumns.js';
import { quoteName, quoteTable } from '../../src/clickhouse/sqlNames.js';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { tableStatement } from '../../src/clickhouse/tableStatement.js';
import { parseConfig } from '../../src/config/load.js';
import { parseRegistered } from '../../src/formats/decoders.js';
import { messageOf } from '../../src/lib/messageOf.js';
import type { Mapping } from '../../src/protocol/settings.js';
import { parseTableName } from '../../src/protocol/tables.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { record } from '../support/records.js';
import { useValueStore, type InsertOptions } from '../support/storedValues.js';

/** Random names beside those below. `KTB_FUZZ_CASES=2000` is the long run. */
const CASES = Number(process.env['KTB_FUZZ_CASES'] ?? 25);
/** `KTB_FUZZ_SEED` takes the seed that a failure prints. */
const SEED = Number(process.env['KTB_FUZZ_SEED'] ?? Date.now() % 2 ** 31);

const store = useValueStore(`names_${SEED}`);

const HOSTILE = [
  ...['select', 'table', 'distinct', 'all', 'null', 'format', 'values', 'from', 'default', 'order', 'TUPLE', 'array'],
  ...['constructor', 'toString', 'hasOwnProperty', '1', '42nd', '-', '--', '/*', '*/', '#', ';', '?', '%', '%s', '$1'],
  ...['a.b', '.a', 'a.', '.', '..', 'a..b', 'a.b.c', 'shop-eu', 'all orders', ' ', ' a', 'a ', '(', ')', 'a,b', '{x}'],
  ...['größe', '表', '🙂', 'e\u0301', '\u202eabc', '\u2028', '\ufeff', 'İ', '\u00a0', '-- your columns,'],
  ...["'", "''", "\\'", '"', '`', '``', '\\`', '\\', '\\\\', 'a\\', '\\n', '\\x41', '\\0'],
  ...['\n', '\t', '\r', '\b', '\f', '\u0001', '\u007f', 'a\nb', 'a\tb', '\u001b[31m'],
  ...[
    "x'); DROP TABLE t; --",
    'x` Int64, CONSTRAINT c CHECK 0, `y',
    'x`) ENGINE = Null; --',
    '${HOME}',
    '{name:String}',
  ],
  ...['x\\` Int64, CONSTRAINT c CHECK 0, \\`y', "a' = 1, 'b", 'x Int64) ENGINE = Null --', 'UInt8', 'Nullable(String)'],
];

const CHARACTERS = [
  '`',
  '\\',
  "'",
  '"',
  '.',
  ' ',
  '-',
  '\n',
  '\t',
  '(',
  ')',
  ',',
  ';',
  '/',
  '*',
  'a',
  'B',
  '0',
  'n',
  'ü',
  '表',
  '🙂',
  '{',
  '}',
];

const NAMES = [
  ...HOSTILE,
  ...fc.sample(
    fc.array(fc.constantFrom(...CHARACTERS), { minLength: 1, maxLength: 12 }).map((all) => all.join('')),
    {
      numRuns: CASES,
      seed: SEED,
    },
  ),
  ...fc.sample(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 6 }), { numRuns: CASES, seed: SEED }),
].filter((name) => !name.includes('\0') && !name.includes('{topic}') && name !== '__proto__');

/** As a user writes it in the configuration. */
const written = (...names: string[]) =>
  names.map((name) => `\`${name.replaceAll('\\', '\\\\').replaceAll('`', '\\`')}\``).join('.');

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };
const IDENTITY = '_topic String, _partition UInt32, _offset UInt64, _epoch String, _timestamp DateTime64(3)';

async function ask<Row>(query: string, parameters: Record<string, unknown>): Promise<Row[]> {
  const result = await store().client.query({
    query,
    query_params: parameters,
    format: 'JSONCompactEachRow',
    clickhouse_settings: { output_format_json_named_tuples_as_objects: 0 },
  });
  return result.json<Row>();
}

/** Does for each group of names what `of` does, and lists what went wrong. */
async function forGroups(size: number, of: (names: readonly string[], index: number) => Promise<void>): Promise<void> {
  const wrong: string[] = [];
  for (let at = 0; at < NAMES.length; at += size) {
    const names = Array.from({ length: size }, (_, index) => NAMES[(at + index) % NAMES.length]!);
    await of(names, at).catch((error: unknown) =>
      wrong.push(`${JSON.stringify(names)} (seed ${SEED}): ${messageOf(error).slice(0, 600)}`),
    );
  }
  expect(wrong.join('\n')).toBe('');
}

const columnsOf = async (table: string) =>
  (
    await ask<[string]>('SELECT name FROM system.columns WHERE table = {table:String} ORDER BY position', { table })
  ).map(([name]) => name);

it('databases, tables, views and their targets of any names are configured, filled, looked up and altered', async () => {
  await forGroups(4, async ([first, name, ofView, ofTarget], index) => {
    const { client } = store();
    const [database, table] = [`${first!}${SEED}_${index}`, name!];
    const [view, target] = [`view ${ofView!}`, `target ${ofTarget!}`];
    const text = written(database, table);
    const reference = (one: string) => one.replaceAll('${', () => '$${');
    const config = parseConfig(
      JSON.stringify({
        kafka: { brokers: ['k:1'] },
        clickhouse: { database: reference(database) },
        pipelines: { p: { topics: ['orders'], table: reference(text) } },
      }),
      'ktb.yaml',
      {},
    );
    expect(config.clickhouse.database).toBe(database);
    expect(config.pipelines[0]!.settings.destination.table).toBe(text);
    expect(parseTableName(text)).toEqual({ database, name: table });

    await client.command({ query: `CREATE DATABASE ${quoteName(database)}` });
    const quoted = (one: string) => quoteTable(written(database, one));
    for (const made of [table, target])
      await client.command({
        query: `CREATE TABLE ${quoted(made)} (id Int64, ${IDENTITY}) ENGINE = MergeTree ORDER BY id
          SETTINGS non_replicated_deduplication_window = 1000`,
      });
    await client.command({
      query: `CREATE MATERIALIZED VIEW ${quoted(view)} TO ${quoted(target)} AS SELECT * FROM ${quoted(table)}`,
    });
    const made = await ask<[string]>('SELECT name FROM system.tables WHERE database = {database:String}', { database });
    expect(made.map(([one]) => one).sort()).toEqual([table, view, target].sort());

    // With its database, and as a table of the connection’s database.
    for (const [offset, asked, own] of [
      [0, text, 'default'],
      [1, written(table), database],
    ] as const) {
      const tables = new ClickHouseTables(client, own, {});
      const records = [{ source: SOURCE, record: record(offset, { value: Buffer.from('{"id": 1}') }) }];
      expect(await store().insert(text, records)).toMatchObject({ rejected: [], missedByViews: null });
      const columns = await tables.columns(asked);
      await tables.probe(asked, columns);
      const range = { from: offset, to: offset };
      expect([...(await tables.foundOffsets(asked, SOURCE, range))]).toEqual([offset]);
      expect((await tables.foundRecords(asked, columns, SOURCE, range)).size).toBe(1);
      expect(await tables.rowsByOffset(asked, columns, SOURCE, range)).toMatchObject([{ offset, rows: 1 }]);
      expect(await tables.facts(asked)).toMatchObject({ database, name: table, dependents: [[database, view]] });
      expect(await tables.tokenWindows(asked)).toMatchObject([
        { table: quoted(table), blocks: 1000 },
        { table: quoted(target), blocks: 1000 },
      ]);
      expect((await tables.identities([asked])).ofTables.size).toBe(1);
    }
    for (const query of projectionStatements(text, 'MergeTree')) await client.command({ query });
    await client.command({ query: `ALTER TABLE ${quoted(table)} ADD COLUMN ${quoteName(table)} Int64` });
    expect(await ask(`SELECT toUInt32(count()) FROM ${quoted(target)}`, {})).toEqual([[2]]);
    await client.command({ query: `DROP DATABASE ${quoteName(database)}` });
  });
}, 600_000);

it('columns of any names take a field, or what they are mapped from, beside columns of other names', async () => {
  await forGroups(6, async (group, index) => {
    const { client } = store();
    const table = `columns_${SEED}_${index}`;
    const names = [...new Set(group)];
    const columns = names.flatMap((name) => [name, `mapped ${name}`, `${name}.inner`]);
    await client.command({
      query: `CREATE TABLE ${table} (${columns.map((column) => `${quoteName(column)} Int64`).join(', ')}, ${IDENTITY})
        ENGINE = MergeTree ORDER BY _offset`,
    });
    expect((await columnsOf(table)).slice(0, columns.length)).toEqual(columns);
    const fields = columns.map((column, place): [string, unknown] =>
      column.startsWith('mapped ') ? [`source ${place}`, place] : [column, place],
    );
    const mapping = columns.flatMap((column, place) =>
      column.startsWith('mapped ') ? [[column, `/source ${place}`] as const] : [],
    );
    const value = Buffer.from(JSON.stringify(Object.fromEntries(fields)));
    const { rejected } = await store().insert(table, [{ source: SOURCE, record: record(0, { value }) }], {
      columns: Object.fromEntries(mapping),
    });
    expect(rejected).toEqual([]);
    const [row] = await ask<unknown[]>(`SELECT * FROM ${table}`, {});
    expect(row!.slice(0, columns.length).map(Number)).toEqual(columns.map((_, place) => place));
    await client.command({ query: `DROP TABLE ${table}` });
  });
}, 600_000);

it('a table proposed from a sample has the fields of any names, at the top and within, and nothing else', async () => {
  await forGroups(6, async (group, index) => {
    const { client } = store();
    const table = `sample_${SEED}_${index}`;
    const names = [...new Set(group)];
    const inner = Object.fromEntries(names.map((name, place) => [name, place]));
    const value = Buffer.from(JSON.stringify({ ...inner, 'an object': inner, 'a list': [inner] }));
    const { columns } = await inferColumns(client, [value.toString('latin1')]);
    await client.command({ query: tableStatement(table, columns) });
    const found = await columnsOf(table);
    expect(found.slice(0, -6).sort()).toEqual([...names, 'an object', 'a list'].sort());
    const [made] = await ask<[string]>('SELECT create_table_query FROM system.tables WHERE name = {table:String}', {
      table,
    });
    expect(made![0].replaceAll(/`(?:[^`\\]|\\.)*`/g, '')).not.toMatch(/CONSTRAINT|CHECK|= Null/);
    const { rejected } = await store().insert(table, [{ source: SOURCE, record: record(0, { value }) }]);
    expect(rejected).toEqual([]);
    await client.command({ query: `DROP TABLE ${table}` });
  });
}, 600_000);

it('a table proposed from a schema has the fields of any names, at the top and within, and nothing else', async () => {
  await forGroups(6, async (group, index) => {
    const { client } = store();
    const table = `schema_${SEED}_${index}`;
    const names = [...new Set(group)];
    const fields = names.map((name) => ({ name, type: 'int' }));
    const inner = { type: 'record', name: 'Inner', fields };
    const all = [
      ...fields,
      { name: 'an object', type: inner },
      { name: 'a list', type: { type: 'array', items: 'Inner' } },
    ];
    const text = JSON.stringify({ type: 'record', name: 'All', fields: all });
    const choices = { format: 'avro', bytes: 'raw', unions: 'plain' } as const;
    const parsed = parseRegistered({ schema: text, references: [] }, 'avro');
    const types = columnsOfField(fieldOfSchema(parsed, choices, []), false);
    const { columns } = await inferColumns(client, [], undefined, [], types);
    await client.command({ query: tableStatement(table, columns) });
    expect((await columnsOf(table)).slice(0, -6)).toEqual([...names, 'an object', 'a list']);
    const [made] = await ask<[string]>('SELECT create_table_query FROM system.tables WHERE name = {table:String}', {
      table,
    });
    expect(made![0].replaceAll(/`(?:[^`\\]|\\.)*`/g, '')).not.toMatch(/CONSTRAINT|CHECK|= Null/);
    const values = Object.fromEntries(names.map((name, place) => [name, place]));
    const value = Buffer.from(JSON.stringify({ ...values, 'an object': values, 'a list': [values] }));
    const { rejected } = await store().insert(table, [{ source: SOURCE, record: record(0, { value }) }]);
    expect(rejected).toEqual([]);
    const [row] = await ask<unknown[]>(`SELECT * FROM ${table}`, {});
    expect(row!.slice(0, names.length)).toEqual(names.map((_, place) => place));
    await client.command({ query: `DROP TABLE ${table}` });
  });
}, 600_000);

const EVOLVING: Mapping = { ...DEFAULT_MAPPING, evolve: { mode: 'apply', columnsMax: 100 } };

it('fields of any names get columns of these names, or none: whatever they are, their record is in, and nothing is done but that', async () => {
  const evolution = new TableEvolution(store().client, 'default');
  await forGroups(6, async (group, index) => {
    const { client } = store();
    const table = `evolved_${SEED}_${index}`;
    await client.command({
      query: `CREATE TABLE ${table} (id Int64, ${IDENTITY}) ENGINE = MergeTree ORDER BY _offset`,
    });
    const names = [...new Set(group)];
    const value = Buffer.from(
      JSON.stringify({ id: 1, ...Object.fromEntries(names.map((name, place) => [name, place])) }),
    );
    const refused: string[] = [];
    const { rejected } = await store().insert(table, [{ source: SOURCE, record: record(0, { value }) }], {
      mapping: EVOLVING,
      evolution,
      onEvolved: (field) => field.outcome === 'refused' && refused.push(field.name),
    });
    expect(rejected).toEqual([]);
    const added = (await columnsOf(table)).slice(6);
    expect([...added, ...refused].sort()).toEqual([...names].sort());
    const [row] = await ask<unknown[]>(`SELECT ${added.map(quoteName).join(', ') || 1} FROM ${table}`, {});
    if (added.length > 0) expect(row!.map(Number)).toEqual(added.map((name) => names.indexOf(name)));
    const [made] = await ask<[string]>('SELECT create_table_query FROM system.tables WHERE name = {table:String}', {
      table,
    });
    expect(made![0].replaceAll(/`(?:[^`\\]|\\.)*`/g, '')).not.toMatch(/CONSTRAINT|CHECK|= Null/);
    await client.command({ query: `DROP TABLE ${table}` });
  });
}, 600_000);

it('of two workers that add one column, the first one decides on its type, and the other takes it; what was sent is not sent again', async () => {
  const { client } = store();
  const table = `evolved_${SEED}`;
  await client.command({
    query: `CREATE TABLE ${table} (id Int64, ${IDENTITY}) ENGINE = MergeTree ORDER BY (_topic, _partition, _epoch, _offset)
      SETTINGS non_replicated_deduplication_window = 1000`,
  });
  const recordsOf = (epoch: string, n: unknown) =>
    Array.from({ length: 20 }, (_, offset) => ({
      source: { ...SOURCE, epoch },
      record: record(offset, { value: Buffer.from(JSON.stringify({ id: offset, n })) }),
    }));
  const insert = (records: ReturnType<typeof recordsOf>, options: InsertOptions = {}) =>
    store().insert(table, records, {
      evolution: new TableEvolution(client, 'default'),
      // Each is a batch of its own: a repeated one waits for inserts of the same that are still running.
      batch: `${table}_${records[0]!.source.epoch}`,
      ...options,
    });
  // As an attempt that came before the column.
  await insert(recordsOf('a', 5));
  const [numbers, texts] = await Promise.all([
    insert(recordsOf('a', 5), { mapping: EVOLVING, repeated: true }),
    insert(recordsOf('b', 'text'), { mapping: EVOLVING }),
  ]);
  expect(numbers).toMatchObject({ rejected: [], found: 20 });
  expect(await columnsOf(table)).toEqual(['id', '_topic', '_partition', '_offset', '_epoch', '_timestamp', 'n']);
  const [[type]] = (await ask<[string]>(`SELECT type FROM system.columns WHERE table = {table:String} AND name = 'n'`, {
    table,
  })) as [[string]];
  const codes = new Set(texts.rejected.map(({ rejection: { code } }) => code));
  expect([type, texts.rejected.length, [...codes]]).toEqual(
    type === 'Nullable(String)' ? [type, 0, []] : ['Nullable(Int64)', 20, ['refused_by_clickhouse']],
  );
  await insert(recordsOf('c', type === 'Nullable(String)' ? 'x' : 7), { mapping: EVOLVING });
  expect(
    await ask(
      `SELECT _epoch, toUInt32(count()), toUInt32(count(n)) FROM ${table} WHERE _epoch != 'b' GROUP BY 1 ORDER BY 1`,
      {},
    ),
  ).toEqual([
    ['a', 20, 0],
    ['c', 20, 20],
  ]);
}, 600_000);

it('a materialized view with a join goes on as it was: its table gets no column, unless the pipeline says so', async () => {
  const { client } = store();
  const table = `viewed_${SEED}`;
  const names = ['id', '_topic', '_partition', '_offset', '_epoch', '_timestamp'];
  for (const query of [
    `CREATE TABLE ${table} (id Int64, ${IDENTITY}) ENGINE = MergeTree ORDER BY _offset`,
    `CREATE TABLE ${table}_users (id Int64, name String) ENGINE = MergeTree ORDER BY id`,
    `INSERT INTO ${table}_users VALUES (1, 'of users')`,
    `CREATE MATERIALIZED VIEW ${table}_view ENGINE = MergeTree ORDER BY id AS
       SELECT id, name FROM ${table} AS t JOIN ${table}_users AS u ON t.id = u.id`,
  ])
    await client.command({ query });
  const evolution = new TableEvolution(client, 'default');
  const insert = (offset: number, mapping: Mapping) =>
    store().insert(
      table,
      [{ source: SOURCE, record: record(offset, { value: Buffer.from('{"id":1,"name":"of the record"}') }) }],
      { mapping, evolution, batch: `${table}_${offset}` },
    );
  await insert(0, EVOLVING);
  expect(await columnsOf(table)).toEqual(names);
  expect(await ask(`SELECT name FROM ${table}_view`, {})).toEqual([['of users']]);
  await insert(1, { ...EVOLVING, evolve: { mode: 'apply', columnsMax: 100, withViews: true } });
  expect(await columnsOf(table)).toEqual([...names, 'name']);
}, 600_000);

it('topics, epochs, keys, batches and values of any text are data: each is stored and found as it is, and nothing else', async () => {
  const { client } = store();
  const table = `texts_${SEED}`;
  await client.command({
    query: `CREATE TABLE ${table} (text String, _key String, ${IDENTITY}) ENGINE = MergeTree ORDER BY (_topic, _partition, _epoch, _offset)
      SETTINGS non_replicated_deduplication_window = 1000`,
  });
  const texts = [...new Set(NAMES)];
  const tables = new ClickHouseTables(client, 'default', {});
  for (const [offset, text] of texts.entries()) {
    const source = { topic: text, partition: 0, epoch: text };
    const value = Buffer.from(JSON.stringify({ text }));
    const records = [{ source, record: record(offset, { key: Buffer.from(text), value }) }];
    expect(await store().insert(table, records, { batch: text })).toMatchObject({ rejected: [] });
    // Nobody inserts under that name any more.
    expect(await tables.isInserting(text)).toBe(false);
  }
  const columns = await tables.columns(table);
  const range = { from: 0, to: texts.length };
  const wrong: unknown[] = [];
  for (const [offset, text] of texts.entries()) {
    const source = { topic: text, partition: 0, epoch: text };
    const found = [...(await tables.foundOffsets(table, source, range))];
    const records = (await tables.foundRecords(table, columns, source, range)).size;
    const rows = await tables.rowsByOffset(table, columns, source, range);
    if (found.join() !== `${offset}` || records !== 1 || rows.length !== 1) wrong.push({ text, found, records, rows });
  }
  expect(wrong).toEqual([]);
  const stored = await ask<[string, string, string, string]>(
    `SELECT text, _key, _topic, _epoch FROM ${table} ORDER BY _offset`,
    {},
  );
  expect(stored).toEqual(texts.map((text) => [text, text, text, text]));
}, 600_000);

it('a table proposed from a sample has the same columns, whatever the values are', async () => {
  const { client } = store();
  for (const text of NAMES) {
    const value = JSON.stringify({ id: 1, text, list: [text], inner: { text } });
    const { columns } = await inferColumns(client, [Buffer.from(value).toString('latin1')]);
    expect([text, columns.map((column) => column.split(' ')[0])]).toEqual([
      text,
      ['`id`', '`text`', '`list`', '`inner`'],
    ]);
  }
}, 600_000);

it('a column whose name is no UTF-8 gets its default, and holds nothing up', async () => {
  const { client } = store();
  const table = `bytes_${SEED}`;
  await client.command({
    query: `CREATE TABLE ${table} (id Int64, "\\xff" Int64 DEFAULT 5, ${IDENTITY}) ENGINE = MergeTree ORDER BY _offset`,
  });
  expect(
    await store().insert(table, [{ source: SOURCE, record: record(0, { value: Buffer.from('{"id": 1}') }) }]),
  ).toMatchObject({ rejected: [], inserted: [{ record: { offset: 0 } }] });
  expect(await ask(`SELECT toUInt32("\\xff") FROM ${table}`, {})).toEqual([[5]]);
});
