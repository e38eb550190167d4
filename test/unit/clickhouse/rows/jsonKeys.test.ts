import { expect, it } from 'vitest';
import { buildRows } from '../../../../src/clickhouse/batchRows.js';
import { Decoders } from '../../../../src/formats/decoders.js';
import { keyColumns } from '../../../../src/commands/setup/sampleRows.js';
import { prepareDecoding } from '../../../../src/formats/recordDecoder.js';
import { RegistryError } from '../../../../src/formats/schemaRegistry.js';
import { requestSource } from '../../../../src/protocol/request.js';
import type { Mapping } from '../../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { amongOthers, record } from '../../../support/records.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e1' };
const TABLE = new Map([
  ['id', 'Int64'],
  ['customer', 'Int64'],
  ['whole', 'String'],
  ['_row', 'UInt32'],
  ['_key', 'String'],
]);
const COLUMNS = { customer: 'key:/customer/id', whole: 'key' };
const KEY_SCHEMA = {
  type: 'record',
  name: 'Key',
  fields: [
    {
      name: 'customer',
      type: { type: 'record', name: 'Customer', fields: [{ name: 'id', type: 'long' }] },
    },
  ],
};
const SCHEMAS: Record<number, string> = { 1: JSON.stringify(KEY_SCHEMA), 2: '"string"', 3: '"null"', 4: '"long"' };
const decoders = new Decoders({
  schema: (id) => {
    const schema = SCHEMAS[id];
    return Promise.resolve(schema === undefined ? null : { schema, type: 'AVRO', references: [] });
  },
});

const withId = (id: number, payload: Buffer) => Buffer.concat([Buffer.of(0, 0, 0, 0, id), payload]);

/** What becomes of a record with this key: its rows, or the reason why it is rejected. The same wherever its bytes are. */
async function rowsOf(
  key: Buffer | string | null,
  mapping: Partial<Mapping>,
  { value = '{"id":1}', source = SOURCE }: { value?: string; source?: typeof SOURCE } = {},
) {
  const whole: Mapping = { ...DEFAULT_MAPPING, ...mapping };
  const plain = record(5, { key: key === null ? null : Buffer.from(key), value: Buffer.from(value) });
  const results: unknown[] = [];
  for (const one of [plain, amongOthers(plain)]) {
    const records = [{ source, record: one }];
    const decoder = await prepareDecoding(records, whole, decoders);
    const { rows, rejected, lines } = await buildRows(records, TABLE, { columns: COLUMNS, mapping: whole, decoder });
    const written = Array.from({ length: lines.length }, (_, line) => JSON.parse(lines.textOf(line)) as object);
    results.push(rejected[0]?.rejection ?? written);
    // Dead letters, acknowledgements and later attempts get the record as it came.
    expect([...rows, ...rejected].map((row) => row.record)).toEqual([one]);
  }
  expect(results[0]).toEqual(results[1]);
  return results[0];
}

const AVRO = { key: { format: 'avro' } } as const;
const JSON_KEYS = { key: { format: 'json' } } as const;
const cannot = (why: string) => ({ code: 'undecodable', message: `the key cannot be decoded: ${why}` });

it.each<[string, Buffer | string | null, Partial<Mapping>, object]>([
  [
    'Avro record',
    withId(1, Buffer.of(14)),
    AVRO,
    { _key: '{"customer":{"id":7}}', whole: '{"customer":{"id":7}}', customer: 7 },
  ],
  ['Avro text', withId(2, Buffer.from('\x04a"')), AVRO, { _key: 'a"', whole: 'a"' }],
  ['Avro null', withId(3, Buffer.alloc(0)), AVRO, { _key: null, whole: null }],
  ['Avro number', withId(4, Buffer.from('feffffffffffffffff01', 'hex')), AVRO, big('9223372036854775807')],
  ['no key', null, AVRO, { _key: null, whole: null }],
  [
    'JSON object',
    ' {"customer": {"id":7}}\n',
    JSON_KEYS,
    {
      _key: '{"customer": {"id":7}}',
      whole: '{"customer": {"id":7}}',
      customer: 7,
    },
  ],
  ['JSON after a byte-order mark', '\uFEFF {"a":1} ', JSON_KEYS, big('{"a":1}')],
  ['null after a byte-order mark', '\uFEFFnull', JSON_KEYS, { _key: null, whole: null }],
  ['JSON text', '"\\u0061\\n"', JSON_KEYS, { _key: 'a\n', whole: 'a\n' }],
  ['JSON number', '12345678901234567890.50', JSON_KEYS, big('12345678901234567890.50')],
  ['JSON null', 'null', JSON_KEYS, { _key: null, whole: null }],
  [
    'JSON with a header',
    withId(9, Buffer.from('{"customer":{"id":7}}')),
    { key: { format: 'json-schema' } },
    {
      _key: '{"customer":{"id":7}}',
      whole: '{"customer":{"id":7}}',
      customer: 7,
    },
  ],
  [
    'members named so, without an envelope',
    '{"schema":1,"payload":{"customer":{"id":7}}}',
    JSON_KEYS,
    big('{"schema":1,"payload":{"customer":{"id":7}}}'),
  ],
])('%s: _key and the sources in the key have its value', async (_name, key, mapping, expected) => {
  expect(await rowsOf(key, mapping)).toEqual([{ id: 1, ...expected }]);
});

function big(text: string) {
  return { _key: text, whole: text };
}

it.each<[string, Buffer | string, Partial<Mapping>, string]>([
  ['no header', 'plain', AVRO, 'it does not begin with the magic byte'],
  ['an unknown schema', withId(8, Buffer.of(2)), AVRO, 'schema 8: the registry has no schema of this id'],
  ['bytes that end early', withId(1, Buffer.alloc(0)), AVRO, 'schema 1: its bytes end too early for its schema'],
  ['no JSON', 'plain', JSON_KEYS, 'it is not JSON'],
  ['no JSON after a header', withId(1, Buffer.from('x')), { key: { format: 'json-schema' } }, 'it is not JSON'],
  ['half of a character', '{"a":"\\udc00"}', JSON_KEYS, 'it has half of a character'],
])('a key with %s rejects its record', async (_name, key, mapping, why) => {
  expect(await rowsOf(key, mapping)).toEqual({
    ...cannot(''),
    message: expect.stringContaining(cannot(why).message) as string,
  });
});

it('a deletion that does not say what the rules ask for is no other row’s: it is not left out', async () => {
  const envelope = { type: 'debezium', version: 'ts_ms', truncates: 'reject' } as const;
  const change = (op: string, row: object) =>
    JSON.stringify({ op, before: op === 'd' ? row : null, after: op === 'd' ? null : row, source: { ts_ms: 1 } });
  const fates = async (where: NonNullable<Mapping['where']>, values: readonly string[]) => {
    const records = values.map((value, offset) => ({
      source: SOURCE,
      record: record(offset, { value: Buffer.from(value) }),
    }));
    const { rejected } = await buildRows(records, TABLE, {
      columns: {},
      mapping: { ...DEFAULT_MAPPING, envelope, where },
    });
    return rejected.map(({ recordIndex, rejection }) => `${recordIndex} ${rejection.code}`);
  };
  const values = [
    change('d', { id: 1, type: null }),
    change('d', { id: 1 }),
    change('d', { id: 1, type: 'order' }),
    change('d', { id: 1, type: 'other' }),
    change('u', { id: 1, type: null }),
    change('u', { id: 1, type: 'other' }),
    // What Debezium writes for a column without null that it does not know.
    ...['', 0, false].map((type) => change('d', { id: 1, type })),
    change('u', { id: 1, type: '' }),
  ];
  const leftOut = ['3 left_out', '4 left_out', '5 left_out', '9 left_out'];
  expect(await fates([{ pointer: '/type', equals: 'order' }], values)).toEqual(leftOut);
  const two = [
    { pointer: '/type', in: ['order'] },
    { pointer: '/type', exists: true },
  ];
  expect(await fates(two, values)).toEqual(leftOut);
});

it('in the key of a change its schema is left out', async () => {
  const envelope = { type: 'debezium', version: 'ts_ms', truncates: 'reject' } as const;
  const value = '{"op":"c","after":{"id":1},"source":{"ts_ms":1}}';
  const payload = '{"customer":{"id":7}}';
  const row = { id: 1, _key: payload, whole: payload, customer: 7 };
  for (const key of [payload, `{"schema":{"type":"struct"},"payload":${payload}}`])
    expect(await rowsOf(key, { ...JSON_KEYS, envelope }, { value })).toEqual([row]);
  const twice = `{"schema":1,"payload":${payload}}`;
  expect(await rowsOf(`{"schema":{},"payload":${twice}}`, { ...JSON_KEYS, envelope }, { value })).toEqual([
    { id: 1, _key: twice, whole: twice },
  ]);
  expect(await rowsOf('{"schema":null,"payload":null}', { ...JSON_KEYS, envelope }, { value })).toMatchObject([
    { _key: null },
  ]);
});

it('columns may have parts of the envelope of a change, but no half of a character', async () => {
  const envelope = { type: 'debezium', version: 'ts_ms', truncates: 'reject' } as const;
  const table = new Map([
    ['id', 'Int64'],
    ['op', 'String'],
    ['by', 'String'],
    ['at', "DateTime64(3, 'UTC')"],
    ['before', 'Nullable(Int64)'],
  ]);
  const columns = {
    op: 'envelope:/op',
    by: 'envelope:/source/db',
    at: { first: ['envelope:/ts_ms', 'envelope:/source/ts_ms'], unit: 'ms' },
    before: 'envelope:/before/id',
  } as const;
  const rowOf = async (value: string) => {
    const records = [{ source: SOURCE, record: record(5, { value: Buffer.from(value) }) }];
    const mapping = { ...DEFAULT_MAPPING, envelope };
    const { rejected, lines } = await buildRows(records, table, { columns, mapping });
    return rejected[0]?.rejection ?? (JSON.parse(lines.textOf(0)) as object);
  };
  const change = `"before":{"id":9007199254740993},"after":{"id":1},"source":{"ts_ms":1001,"db":"a"}`;
  const row = { id: 1, op: 'u', by: 'a', at: '1970-01-01T00:00:01.001Z', before: 9007199254740992 };
  expect(await rowOf(`{"op":"u",${change}}`)).toEqual(row);
  expect(await rowOf(`{"schema":{"op":1},"payload":{"op":"u","ts_ms":null,${change}}}`)).toEqual(row);
  expect(await rowOf(`{"op":"u","after":{},"source":{"ts_ms":1,"db":"\\udc00"}}`)).toMatchObject({
    code: 'out_of_range',
    message: expect.stringContaining('the value for column by has half of a character') as string,
  });
});

it('each row of a record with many has the key, and a key that does not decode rejects all of them', async () => {
  const many = { ...AVRO, format: 'json-lines' } as const;
  const value = '{"id":1}\n{"id":2}';
  expect(await rowsOf(withId(1, Buffer.of(14)), many, { value })).toMatchObject([
    { id: 1, _row: 0, customer: 7 },
    { id: 2, _row: 1, customer: 7 },
  ]);
  expect(await rowsOf('plain', many, { value })).toMatchObject({ code: 'undecodable' });
});

it('a workflow gives the key as text, whatever the format of the topic’s keys', async () => {
  const source = requestSource('ktb:orders:8-key:0', 'e1');
  for (const key of ['customer 7', '"7"', 'null'])
    expect(await rowsOf(key, AVRO, { source })).toEqual([{ id: 1, _key: key, whole: key }]);
  expect(await rowsOf('{"customer":{"id":7}}', AVRO, { source })).toMatchObject([{ customer: 7 }]);
});

it('keys wait for the registry as values do', async () => {
  const records = [{ source: SOURCE, record: record(5, { key: withId(1, Buffer.alloc(0)) }) }];
  const mapping = { ...DEFAULT_MAPPING, ...AVRO };
  const away = new Decoders({ schema: () => Promise.reject(new RegistryError('away', 'it is away')) });
  await expect(prepareDecoding(records, mapping, away)).rejects.toMatchObject({ kind: 'away' });
  await expect(prepareDecoding(records, mapping, undefined)).rejects.toThrow('the pipeline has keys of format avro');
});

it('a key is decoded whatever its value is', async () => {
  const key = withId(1, Buffer.of(14));
  expect(await rowsOf(key, { ...AVRO, format: 'text' }, { value: 'x' })).toMatchObject([{ customer: 7 }]);
});

it('setup sorts a table by the names that the rows of its keys have', () => {
  const names = (key: string | null) => keyColumns({ key: key === null ? null : Buffer.from(key) });
  expect(names('{"id":1,"größe":2}')).toEqual(['id', 'größe']);
  expect(names('\uFEFF{"schema":{},"payload":{"id":1}}')).toEqual(['id']);
  // No envelope, but a key with members of these names.
  expect(names('{"payload":{"id":1}}')).toEqual(['payload']);
  expect(names('{"schema":1,"payload":{"id":1},"more":2}')).toEqual(['schema', 'payload', 'more']);
  for (const none of [null, '5', '{}', '{"schema":{},"payload":5}', '{']) expect(names(none)).toBe(null);
});
