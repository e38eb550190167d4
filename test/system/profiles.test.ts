/*
 * Settings profiles of ClickHouse's user: whatever they have, what the configuration may not have does not happen.
 */
import { expect, it, onTestFinished } from 'vitest';
import { insertRecords } from '../../src/clickhouse/insertRecords.js';
import type { BatchInsertOptions } from '../../src/clickhouse/insertOptions.js';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { createClickHouse } from '../../src/clickhouse/clients.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { startProfileProxy } from '../support/profileProxy.js';
import { record } from '../support/records.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const IDENTITY = '_topic String, _partition UInt32, _offset UInt64, _epoch String';
const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };

/** What the daemon does as a user with a profile, and what anybody asks who has none. */
async function withProfile(profile: Readonly<Record<string, string>>, constant: readonly string[] = []) {
  const proxy = await startProfileProxy(stack().clickhouse.url, profile, constant);
  const connect = (url: string) =>
    createClickHouse({
      ...{ ...stack().clickhouse, urls: [url], accessToken: null, tls: null, settings: {}, maxConnections: 4 },
      ...{ requestTimeoutMs: 30_000, lookUpTimeoutMs: 30_000 },
    });
  const [client, direct] = [connect(proxy.url), connect(stack().clickhouse.url)];
  onTestFinished(async () => {
    await Promise.all([client.close(), direct.close()]);
    await proxy.close();
  });
  const tables = new ClickHouseTables(client, 'default');
  return {
    tables,
    insert: (table: string, values: readonly string[], views: 'required' | 'best-effort' = 'best-effort') =>
      insertRecords(
        values.map((value, offset) => ({ source: SOURCE, record: record(offset, { value: Buffer.from(value) }) })),
        {
          ...{ tables, table, views, columns: {}, batch: table, repeated: false, overdue: false },
          mapping: DEFAULT_MAPPING,
          mustBeAlive: () => undefined,
        },
      ),
    command: (query: string) => direct.command({ query }),
    ask: async (query: string) =>
      (await (await direct.query({ query, format: 'JSONCompactEachRow' })).json<unknown[]>()).map(([value]) => value),
  };
}

it('a profile cannot make an insert drop bad rows, forget tokens, or feed its views a part', async () => {
  const { tables, insert, command, ask } = await withProfile({
    input_format_allow_errors_num: '10',
    input_format_allow_errors_ratio: '0.5',
    deduplicate_insert: 'disable',
    limit: '1',
    offset: '1',
  });
  const window = 'SETTINGS non_replicated_deduplication_window = 100';
  await command(`CREATE TABLE profile_a (id UInt32, d Date, ${IDENTITY}) ENGINE = MergeTree ORDER BY id ${window}`);
  await command(`CREATE TABLE profile_a_target (id UInt32) ENGINE = MergeTree ORDER BY id ${window}`);
  await command('CREATE MATERIALIZED VIEW profile_a_view TO profile_a_target AS SELECT id FROM profile_a');
  const { inserted, rejected } = await insert('profile_a', ['{"id":1}', '{"id":"abc"}', '{"id":3}', '{"id":4}']);
  expect([inserted.length, rejected.map(({ record: { offset } }) => offset)]).toEqual([3, [1]]);
  expect(await ask('SELECT id FROM profile_a ORDER BY id')).toEqual([1, 3, 4]);
  expect(await ask('SELECT id FROM profile_a_target ORDER BY id')).toEqual([1, 3, 4]);
  const columns = await tables.columns('profile_a');
  const rows = { columns, lines: [Buffer.from('{"id":9}\n')], token: 'same', batch: 'b' };
  await tables.send('profile_a', rows);
  await tables.send('profile_a', rows);
  expect(await ask('SELECT count() FROM profile_a WHERE id = 9')).toEqual([1]);
});

it('a profile cannot hide rows from a look-up, or columns', async () => {
  const { tables, command } = await withProfile({
    limit: '2',
    offset: '1',
    final: '1',
    use_query_cache: '1',
    query_cache_system_table_handling: 'save',
  });
  await command(
    `CREATE TABLE profile_b (id UInt32, v UInt8, ${IDENTITY}) ENGINE = ReplacingMergeTree ORDER BY id SETTINGS index_granularity = 64`,
  );
  const fill = (from: number, rows: number) =>
    command(
      `INSERT INTO profile_b SELECT number % 10, 1, 'orders', 0, ${from} + number, 'e' FROM numbers(${rows}) SETTINGS optimize_on_insert = 0`,
    );
  const found = async (to: number) => (await tables.foundOffsets('profile_b', SOURCE, { from: 0, to })).size;
  expect([...(await tables.columns('profile_b')).keys()]).toHaveLength(6);
  await fill(0, 100);
  expect(await found(1_000)).toBe(100);
  await fill(100, 100);
  expect(await found(1_000)).toBe(200);
});

it('a profile cannot hide that a view fails', async () => {
  const { insert, command, ask } = await withProfile({ materialized_views_ignore_errors: '1' });
  const window = 'SETTINGS non_replicated_deduplication_window = 100';
  await command(`CREATE TABLE profile_e (id UInt32, ${IDENTITY}) ENGINE = MergeTree ORDER BY id ${window}`);
  await command(`CREATE TABLE profile_e_target (id UInt8) ENGINE = MergeTree ORDER BY id ${window}`);
  await command(
    'CREATE MATERIALIZED VIEW profile_e_view TO profile_e_target AS SELECT throwIf(id = 2) AS id FROM profile_e',
  );
  const values = ['{"id":1}', '{"id":2}', '{"id":3}'];
  await expect(insert('profile_e', values, 'required')).rejects.toThrow('395');
  const { inserted, missedByViews } = await insert('profile_e', values);
  expect([inserted.length, missedByViews?.rows]).toEqual([3, 3]);
  expect(await ask('SELECT count() FROM profile_e')).toEqual([3]);
});

it('a look-up that reads more than a profile allows fails, and does not find a part', async () => {
  const { tables, command } = await withProfile({ max_rows_to_read: '1000', read_overflow_mode: 'break' });
  await command(
    `CREATE TABLE profile_c (id UInt32, ${IDENTITY}) ENGINE = MergeTree ORDER BY id SETTINGS index_granularity = 64`,
  );
  await command(`INSERT INTO profile_c SELECT number, 'orders', 0, number, 'e' FROM numbers(100000)`);
  await expect(tables.foundOffsets('profile_c', SOURCE, { from: 0, to: 100_000 })).rejects.toMatchObject({
    code: '158',
  });
});

it('a repeated batch is inserted once although an answer with its whole range is over a profile’s limit', async () => {
  const { tables, command, ask } = await withProfile({ max_result_rows: '1000', result_overflow_mode: 'break' });
  const identity = IDENTITY.replace('_offset', '_timestamp DateTime64(3), _offset');
  await command(`CREATE TABLE profile_h (id UInt32, ${identity}) ENGINE = MergeTree ORDER BY (_topic, _offset)`);
  await command(`INSERT INTO profile_h SELECT number, 'orders', 0, 0, number, 'e' FROM numbers(8000)`);
  await expect(tables.foundOffsets('profile_h', SOURCE, { from: 0, to: 7_999 })).rejects.toMatchObject({
    kind: 'oversized',
  });
  const records = Array.from({ length: 1_200 }, (_, index) => ({
    source: SOURCE,
    record: record(index * 8, { value: Buffer.from('{"id":1}'), timestampMs: 0 }),
  }));
  const options = { tables, table: 'profile_h', columns: {}, mapping: DEFAULT_MAPPING, batch: 'd', repeated: true };
  const insert = (fill: BatchInsertOptions['fill']) =>
    insertRecords(records, { ...options, overdue: false, ...(fill && { fill }), mustBeAlive: () => undefined });
  expect((await insert(undefined)).inserted).toHaveLength(1_200);
  expect(await ask('SELECT count() FROM profile_h')).toEqual([8_200]);
  await insert({ sources: new Set([SOURCE]), salt: 's' });
  expect(await ask('SELECT count() FROM profile_h')).toEqual([8_200]);
});

it('a profile cannot change what becomes of values', async () => {
  const { insert, command, ask } = await withProfile({
    allow_simdjson: '0',
    date_time_input_format: 'basic',
    input_format_column_name_matching_mode: 'ignore_case',
    input_format_defaults_for_omitted_fields: '0',
    input_format_import_nested_json: '1',
    input_format_json_empty_as_default: '1',
    input_format_json_infer_array_of_dynamic_from_array_of_different_types: '0',
    input_format_json_map_as_array_of_tuples: '1',
    input_format_json_ignore_unknown_keys_in_named_tuple: '0',
    input_format_json_throw_on_bad_escape_sequence: '0',
    input_format_null_as_default: '0',
    input_format_try_infer_dates: '1',
    input_format_try_infer_datetimes: '1',
    input_format_try_infer_integers: '0',
    input_format_try_infer_variants: '1',
    precise_float_parsing: '0',
    type_json_skip_duplicated_paths: '1',
    type_json_skip_invalid_typed_paths: '1',
  });
  const refused = 'refused_by_clickhouse';
  const cases: [type: string, json: string, outcome: string][] = [
    ['Map(String, UInt8)', '[{"keys":"a","values":300}]', refused],
    ['Map(String, UInt8)', '{"a":30}', "{'a':30}"],
    ['String', '"\\ud800"', refused],
    ['Date', '""', refused],
    ['Nullable(String)', '""', ''],
    ['JSON(a UInt8)', '{"a":"x"}', refused],
    ['JSON(a UInt8)', '{"b":1,"b":2}', refused],
    ['JSON', '{"a":[1,"x"],"b":9007199254740993}', '{"a":[1,"x"],"b":9007199254740993}'],
    ['JSON', '{"a":[null,"x",{"b":1}]}', '{"a":[null,"x",{"b":1}]}'],
    ['JSON', '{"a":"2024-02-30"}', '{"a":"2024-02-30"}'],
    ['Dynamic', '9007199254740993', '9007199254740993'],
    ['UInt8 DEFAULT 7', 'null', '7'],
    ["Enum8('new' = 1, 'paid' = 2) DEFAULT 'paid'", 'null', 'paid'],
    ["DateTime('UTC')", '"2024-01-02T03:04:05+02:00"', '2024-01-02 01:04:05'],
    ['Float64', '1.4518784696026833e-254', '1.4518784696026833e-254'],
    ['UInt8', '0,"V":300', '0'],
    ['Array(Tuple(a UInt8))', '[{"b":{},"a":1},{"a":2,"b":3}]', '[(1),(2)]'],
  ];
  for (const [index, [type, json, outcome]] of cases.entries()) {
    const table = `profile_v${index}`;
    await command(`CREATE TABLE ${table} (v ${type}, ${IDENTITY}) ENGINE = MergeTree ORDER BY _offset`);
    const { rejected } = await insert(table, [`{"v":${json}}`]);
    const rejections = rejected.map(({ rejection }) => rejection.code);
    const stored = await ask(`SELECT toString(v) FROM ${table}`);
    expect([type, json, ...rejections, ...stored]).toEqual([type, json, outcome]);
  }
});

it('a profile that forbids a setting of the guarantees is named in words, at an insert and at a question', async () => {
  const asked = await withProfile({ read_overflow_mode: 'break' }, ['read_overflow_mode']);
  await expect(asked.tables.columns('any')).rejects.toMatchObject({
    kind: 'structural',
    message: expect.stringMatching(/settings profile forbids the setting read_overflow_mode,/) as string,
  });
  const { tables, command } = await withProfile({ input_format_allow_errors_num: '10' }, [
    'input_format_allow_errors_num',
  ]);
  await command(`CREATE TABLE profile_d (id UInt32, ${IDENTITY}) ENGINE = MergeTree ORDER BY id`);
  await expect(tables.probe('profile_d', await tables.columns('profile_d'))).rejects.toMatchObject({
    message: expect.stringMatching(/settings profile forbids the setting input_format_allow_errors_num,/) as string,
  });
  // What it has already may be sent.
  const same = await withProfile({ read_overflow_mode: 'throw' }, ['read_overflow_mode']);
  await same.tables.probe('profile_d', await same.tables.columns('profile_d'));
});
