import { expect, it } from 'vitest';
import type { ColumnSource } from '../../src/protocol/columnSource.js';
import type { KafkaRecord } from '../../src/protocol/record.js';
import type { Mapping } from '../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { eventually } from '../support/eventually.js';
import { amongOthers, record } from '../support/records.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { useValueStore } from '../support/storedValues.js';
import { useSharedStack } from '../support/useStack.js';

const store = useValueStore('sources');
const stack = useSharedStack();
const shared = useSharedDaemon(stack, {
  rules: {
    columns: "id Int64, whole String, hs Map(String, String), region String, at DateTime64(6, 'UTC'), kind String",
    pipeline: {
      tombstones: 'insert',
      columns: {
        id: { first: ['/id', '/after/id', 'key'], required: true },
        whole: 'document',
        hs: 'headers',
        region: { constant: 'eu' },
        at: { from: '/at', unit: 'us', default: '2000-01-01 00:00:00' },
        kind: 'kind',
      },
    },
  },
});

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };
let tables = 0;

/** The rows of some records, each column as text, and the codes of those that are rejected. */
async function rowsOf(
  types: Readonly<Record<string, string>>,
  columns: Readonly<Record<string, ColumnSource>>,
  records: readonly Partial<KafkaRecord>[],
  mapping: Partial<Mapping> = {},
) {
  const table = `sources_${Date.now()}_${++tables}`;
  const definitions = Object.entries(types).map(([name, type]) => `${name} ${type}`);
  await store().client.command({
    query: `CREATE TABLE ${table} (${definitions.join(', ')}, _topic String, _partition UInt32, _offset UInt64, _epoch String)
      ENGINE = MergeTree ORDER BY _offset`,
  });
  const { rejected } = await store().insert(
    table,
    records.map((one, offset) => ({ source: SOURCE, record: amongOthers(record(offset, one)) })),
    { columns, mapping: { ...DEFAULT_MAPPING, ...mapping } },
  );
  const read = Object.keys(types).map((name) => `toString(${name})`);
  const result = await store().client.query({
    query: `SELECT toUInt32(_offset), ${read.join(', ')} FROM ${table} ORDER BY _offset`,
    format: 'JSONCompactEachRow',
  });
  const rows = new Map((await result.json<[number, ...string[]]>()).map(([offset, ...row]) => [offset, row]));
  const codes = new Map(rejected.map(({ record: { offset }, rejection }) => [offset, rejection.code]));
  return records.map((_, offset) => rows.get(offset) ?? codes.get(offset));
}

const json = (text: string) => ({ value: Buffer.from(text) });

it('a whole value reaches JSON and String columns with every digit', async () => {
  const text = '{"id": 9007199254740993, "price": 0.125, "é": ["a"]}';
  expect(
    await rowsOf(
      { j: 'JSON(id Int64)', s: 'String', n: 'Nullable(String)' },
      { j: 'document', s: 'document', n: 'document' },
      [json(text), json(`\ufeff \n${text}\n`), { value: null }],
      { tombstones: 'insert' },
    ),
  ).toEqual([
    [expect.stringMatching(/9007199254740993.*0\.125/), text, text],
    [expect.stringMatching(/9007199254740993.*0\.125/), text, text],
    ['{"id":0}', '', null],
  ]);
});

it('headers reach maps, pairs and texts, of several with one name the last or all', async () => {
  const headers = [
    ['a', Buffer.from('1')],
    ['ü "x"', Buffer.from([0xff])],
    ['a', Buffer.from('2\n')],
    ['none', null],
  ] as const;
  const [row] = await rowsOf(
    { m: 'Map(String, Nullable(String))', p: 'Array(Tuple(name String, value Nullable(String)))', s: 'String' },
    { m: 'headers', p: 'headers', s: 'headers' },
    [{ ...json('{}'), headers: headers.map(([name, value]) => [name, value]) }],
  );
  const read = (row as string[]).map((text) => text.replaceAll('\ufffd', '?'));
  expect(read[0]).toBe(`{'a':'2\\n','ü "x"':'?','none':NULL}`);
  expect(read[1]).toBe(`[('a','1'),('ü "x"','?'),('a','2\\n'),('none',NULL)]`);
  expect(read[2]).toBe(`{"a":"2\\n","ü \\"x\\"":"?","none":null}`);
  expect(
    await rowsOf({ m: 'Map(String, String)', p: 'Array(Tuple(String, String))' }, { m: 'headers', p: 'headers' }, [
      json('{}'),
    ]),
  ).toEqual([['{}', '[]']]);
});

it('the first source counts that leads to something; a record with none is rejected, or gets the default', async () => {
  const rule = { first: ['/a', '/b/c', 'header:h', 'key'] } as const;
  const columns = {
    id: { ...rule, required: true },
    or: { ...rule, default: '9007199254740995' },
    plain: rule,
  } as const;
  const records = [
    json('{"a": 9007199254740993}'),
    json('{"a": null, "b": {"c": 9007199254740994}}'),
    { ...json('{"a": null}'), headers: [['h', Buffer.from('3')]] as [string, Buffer][] },
    { ...json('{}'), key: Buffer.from('4') },
    { ...json('{"a": null}'), key: null },
    { value: null, key: null },
    { value: null, key: Buffer.from('5') },
  ];
  const types = { id: 'Int64', or: 'Int64', plain: 'Nullable(Int64)' };
  const all = (id: string) => [id, id, id];
  expect(await rowsOf(types, columns, records, { tombstones: 'insert' })).toEqual([
    ...[all('9007199254740993'), all('9007199254740994'), all('3'), all('4')],
    ...['missing_value', 'missing_value', all('5')],
  ]);
  const { or, plain } = columns;
  expect(
    await rowsOf(
      { or: types.or, plain: types.plain },
      { or, plain },
      [json('{"a": null}'), json('{}')].map((one) => ({ ...one, key: null })),
    ),
  ).toEqual([
    ['9007199254740995', null],
    ['9007199254740995', null],
  ]);
  // What is rejected for want of a value is no field without a column.
  expect(
    await rowsOf(
      { id: 'Int64' },
      { id: rule },
      [json('{"a": 1, "b": {"c": 2}}'), json('{"b": {"d": 1}}')].map((one) => ({ ...one, key: null })),
      {
        unknownFields: 'reject',
      },
    ),
  ).toEqual([['1'], ['0']]);
});

it('constants are the same in every row, and the kind tells tombstones', async () => {
  const types = {
    region: 'LowCardinality(String)',
    big: 'UInt256',
    yes: 'Bool',
    n: 'Int8',
    kind: "Enum8('record' = 1, 'tombstone' = 2)",
  };
  const columns = {
    region: { constant: 'e"u\\' },
    big: { constant: String(2n ** 255n) },
    yes: { constant: true },
    n: { constant: -5 },
    kind: 'kind',
  };
  const same = ['e"u\\', String(2n ** 255n), 'true', '-5'];
  expect(await rowsOf(types, columns, [json('{}'), { value: null }], { tombstones: 'insert' })).toEqual([
    [...same, 'record'],
    [...same, 'tombstone'],
  ]);
});

it('numbers of a unit become times, without a change of a digit', async () => {
  const at = (unit: 's' | 'ms' | 'us' | 'ns'): ColumnSource => ({ first: [`/${unit}`], unit });
  const types = {
    s: "DateTime('UTC')",
    ms: "DateTime64(3, 'UTC')",
    us: "Nullable(DateTime64(6, 'UTC'))",
    ns: "DateTime64(9, 'UTC')",
    day: 'Date',
    raw: 'Int64',
  };
  const columns = { s: at('s'), ms: at('ms'), us: at('us'), ns: at('ns'), day: at('ms'), raw: at('s') };
  expect(
    await rowsOf(types, columns, [
      json('{"s": 5, "ms": 1704164645678, "us": "1704164645678901", "ns": 1704164645678901234}'),
      json('{"s": 1704164645, "ms": 1704164645678.5, "us": null, "ns": "2024-01-02T03:04:05Z"}'),
      json('{"ms": 99999999999999999}'),
      json('{"s": 4294967296}'),
    ]),
  ).toEqual([
    [
      '1970-01-01 00:00:05',
      '2024-01-02 03:04:05.678',
      '2024-01-02 03:04:05.678901',
      '2024-01-02 03:04:05.678901234',
      '2024-01-02',
      '5',
    ],
    [
      '2024-01-02 03:04:05',
      '2024-01-02 03:04:05.678',
      null,
      '2024-01-02 03:04:05.000000000',
      '2024-01-02',
      '1704164645',
    ],
    'out_of_range',
    'out_of_range',
  ]);
});

it('a pipeline with all kinds of sources fills its table, and rejects alone what lacks a required value', async () => {
  const fixture = shared.fixture('rules');
  await fixture.collectAcks();
  const headers = { trace: 't-1' };
  await fixture.produce(1, () => ({ key: 'plain', value: '{"id": 1, "at": 1704164645678901}', headers }));
  await fixture.produce(1, () => ({ key: 'second', value: '{"after": {"id": 9007199254740993}}' }));
  await fixture.produce(1, () => ({ key: 'x', value: '{"id": "abc"}' }));
  await fixture.produce(1, () => ({ key: null, value: '{"at": 1}' }));
  await fixture.produce(1, () => ({ key: '77', value: null }));
  await eventually(() => expect(fixture.acks).toHaveLength(5));
  const byOffset = fixture.acks.map(({ key, status, code }) => [key, code ?? status]);
  expect(Object.fromEntries(byOffset)).toEqual({
    ...{ plain: 'inserted', second: 'inserted', x: 'refused_by_clickhouse', 77: 'inserted', null: 'missing_value' },
  });
  expect(
    await fixture.query(
      `SELECT toString(id) AS id, whole, hs['trace'] AS trace, region, toString(at) AS at, kind FROM ${fixture.table} ORDER BY id`,
    ),
  ).toEqual([
    {
      id: '1',
      whole: '{"id": 1, "at": 1704164645678901}',
      trace: 't-1',
      region: 'eu',
      at: '2024-01-02 03:04:05.678901',
      kind: 'record',
    },
    { id: '77', whole: '', trace: '', region: 'eu', at: '2000-01-01 00:00:00.000000', kind: 'tombstone' },
    {
      id: '9007199254740993',
      whole: '{"after": {"id": 9007199254740993}}',
      trace: '',
      region: 'eu',
      at: '2000-01-01 00:00:00.000000',
      kind: 'record',
    },
  ]);
});
