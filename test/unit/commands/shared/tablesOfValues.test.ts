import { expect, it } from 'vitest';
import { DividedSample, newestFirst } from '../../../../src/commands/setup/recordsOfTables.js';
import { tableSample, textsOf } from '../../../../src/commands/setup/sampleRows.js';
import { schemaSample } from '../../../../src/commands/setup/sampleSchemas.js';
import { skipTest } from '../../../../src/commands/shared/skippedRecords.js';
import { tableNamed } from '../../../../src/commands/where/tablesOfRecord.js';
import { Decoders } from '../../../../src/formats/decoders.js';
import type { KafkaRecord } from '../../../../src/protocol/record.js';
import type { Destination, Mapping, TablesOfValues } from '../../../../src/protocol/settings.js';
import { record } from '../../../support/records.js';

const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };
const MAPPING: Mapping = { format: 'json', unknownFields: 'ignore', tombstones: 'reject' };
const TABLES: TablesOfValues = { by: '/t', tables: [['a', 'ta']], otherwise: 'skip' };

const schema = JSON.stringify({ type: 'record', name: 'R', fields: [{ name: 't', type: 'string' }] });
const decoders = new Decoders({ schema: () => Promise.resolve({ schema, type: 'AVRO', references: [] }) });

async function skips(value: string | null, tablesOfValues = TABLES, mapping: Partial<Mapping> = {}) {
  const test = await skipTest({ mapping: { ...MAPPING, ...mapping }, tablesOfValues }, decoders);
  return test(SOURCE, record(0, { value: value === null ? null : Buffer.from(value) }));
}

it('commands know which records are skipped because their value names no table', async () => {
  expect(await skips('{"t":"a"}')).toBe(false);
  expect(await skips('{"t":"b"}')).toBe(true);
  expect(await skips('{}')).toBe(true);
  // These are rejected.
  for (const value of ['{"t":"b"', '[]', null]) expect(await skips(value)).toBe(false);
  expect(await skips('{"t":"b"}', { ...TABLES, otherwise: 'reject' })).toBe(false);
  for (const format of ['json', 'avro'] as const) {
    expect(await skips(null, TABLES, { tombstones: 'insert', format })).toBe(true);
    expect(
      await skips(null, { ...TABLES, by: 'key', tables: [['key-0', 'ta']] }, { tombstones: 'insert', format }),
    ).toBe(false);
  }
  expect(await skips('{"t":"a"}', TABLES, { where: [{ pointer: '/t', equals: 'b' }] })).toBe(true);
  const avro = (text: string) => `\0\0\0\0\u0001\u0002${text}`;
  expect(await skips(avro('a'), TABLES, { format: 'avro' })).toBe(false);
  expect(await skips(avro('b'), TABLES, { format: 'avro' })).toBe(true);
});

it('commands know it too where the key, a header, or one of many rows says what becomes of a record', async () => {
  const of = (key: string | null, value: string | null, mapping: Partial<Mapping>, by: string, header?: string) =>
    skipTest({ mapping: { ...MAPPING, ...mapping }, tablesOfValues: { ...TABLES, by } }, decoders).then((test) =>
      test(
        SOURCE,
        record(0, {
          key: key === null ? null : Buffer.from(key),
          value: value === null ? null : Buffer.from(value),
          headers: header === undefined ? [] : [['t', Buffer.from(header)]],
        }),
      ),
    );
  const keyed = { key: { format: 'json' } } as const;
  expect(await of('{"t":"a"}', '{}', keyed, 'key:/t')).toBe(false);
  expect(await of('{"t":"b"}', '{}', keyed, 'key:/t')).toBe(true);
  expect(await of(null, '{}', keyed, 'key:/t')).toBe(true);
  // These are rejected.
  expect(await of('{"t":"b"', '{}', keyed, 'key:/t')).toBe(false);
  expect(await of('{"t":"b"}', '{', keyed, 'key:/t')).toBe(false);
  for (const format of ['text', 'bytes', 'json-lines'] as const) {
    expect(await of(null, '{}', { format }, 'header:t', 'a')).toBe(false);
    expect(await of(null, '{}', { format }, 'header:t', 'b')).toBe(true);
    expect(await of(null, '{}', { format }, 'header:t')).toBe(true);
  }
  expect(await of(null, '[]', { format: 'json-lines' }, 'header:t', 'b')).toBe(false);
  expect(await of(null, '\n', { format: 'json-lines' }, 'header:t', 'a')).toBe(true);
  const where = [{ pointer: '/v', equals: 1 }];
  const lines = { format: 'json-lines', where } as const;
  expect(await of(null, '{"v":1}\n{"v":2}', lines, 'header:t', 'a')).toBe(false);
  expect(await of(null, '{"v":2}\n{"v":2}', lines, 'header:t', 'a')).toBe(true);
  // What the rules leave out is left out, whatever its key is.
  expect(await of('{', '{"v":2}', { ...keyed, where }, 'key:/t')).toBe(true);
});

const ofDebezium = (table: string, row: object) =>
  Buffer.from(JSON.stringify({ op: 'c', before: null, after: row, source: { table, ts_ms: 1 } }));

it('a table is proposed from the records that go to it', async () => {
  const found = new DividedSample({ mapping: MAPPING, tablesOfValues: TABLES }, undefined, ['ta'], 10);
  for (const value of ['{"t":"a","x":1}', '{"t":"b","y":1}', '{"t":"a","z":1}', '{}'])
    await found.add({ source: SOURCE, record: record(0, { value: Buffer.from(value) }) });
  await found.divide();
  const { rows, add } = tableSample({ columns: {}, mapping: MAPPING }, 10);
  for (const item of found.of('ta')) add(item.source, item.record);
  expect(textsOf(rows)).toEqual(['{"t":"a","x":1}', '{"t":"a","z":1}']);
  expect(found.read).toBe(4);
});

it('the key of a table is that of its own records', async () => {
  const mapping: Mapping = {
    ...MAPPING,
    tombstones: 'skip',
    envelope: { type: 'debezium', version: 'ts_ms', truncates: 'reject' },
  };
  const by = 'envelope:/source/table';
  const keyOf = async (table: string) => {
    const tablesOfValues: TablesOfValues = { by, tables: [['lines', 'order_lines']], otherwise: { table: 'others' } };
    const found = new DividedSample({ mapping, tablesOfValues }, undefined, [table], 10);
    const addOne = (item: KafkaRecord) => found.add({ source: SOURCE, record: item });
    await addOne(record(0, { key: Buffer.from('{"gone":1}'), value: null }));
    await addOne(record(1, { key: Buffer.from('{"id":1}'), value: ofDebezium('orders', { id: 1 }) }));
    await addOne(record(2, { key: Buffer.from('{"id":1,"line":2}'), value: ofDebezium('lines', { id: 1, line: 2 }) }));
    await found.divide();
    const { add, key } = tableSample({ columns: {}, mapping }, 10);
    for (const item of found.of(table)) add(item.source, item.record);
    return key();
  };
  expect(await keyOf('order_lines')).toEqual(['id', 'line']);
  expect(await keyOf('others')).toEqual(['id']);
});

it('the columns and the key of a table with schemas are those of its own records', async () => {
  const avro = (name: string, fields: string[], more: object[] = []) => ({
    schema: JSON.stringify({
      type: 'record',
      name,
      fields: [...fields.map((field) => ({ name: field, type: 'string' })), ...more],
    }),
    type: 'AVRO' as const,
    references: [],
  });
  const of = [
    { name: 'table', type: 'string' },
    { name: 'ts_ms', type: 'long' },
  ];
  const source = { name: 'source', type: { type: 'record', name: 'S', fields: of } };
  const row = (name: string, fields: string[]) => {
    const { schema } = avro(name, fields);
    return [{ name: 'before', type: 'null' }, { name: 'after', type: JSON.parse(schema) as object }, source];
  };
  const schemas = [
    avro('KeyOfOrder', ['id']),
    avro('KeyOfLine', ['id', 'line']),
    avro('OrderEnvelope', ['op'], row('Order', ['id', 'customer'])),
    avro('LineEnvelope', ['op'], row('Line', ['id', 'line'])),
  ];
  const text = (value: string) => String.fromCharCode(2 * value.length) + value;
  const bytes = (id: number, ...texts: string[]) =>
    Buffer.from(`\0\0\0\0${String.fromCharCode(id)}${texts.map(text).join('')}${id < 2 ? '' : '\u0002'}`);
  const records = [
    { source: SOURCE, record: record(0, { key: bytes(0, 'k'), value: bytes(2, 'c', 'k', 'you', 'orders') }) },
    { source: SOURCE, record: record(1, { key: bytes(1, 'k', 'l'), value: bytes(3, 'c', 'k', 'l', 'lines') }) },
    { source: SOURCE, record: record(2, { key: bytes(0, 'k'), value: bytes(2, 'c', 'k', 'you', 'orders') }) },
  ];
  const registry = {
    schema: (id: number) => Promise.resolve(schemas[id] ?? null),
    latest: () => Promise.resolve(schemas[0] ?? null),
  };
  const tables: [string, string][] = ['orders', 'lines', 'none'].map((table) => [table, table]);
  const tablesOfValues: TablesOfValues = { by: 'envelope:/source/table', tables, otherwise: 'reject' };
  const destination: Destination = {
    table: null,
    tablesOfValues,
    columns: {},
    mapping: {
      ...MAPPING,
      format: 'avro',
      key: { format: 'avro' },
      tombstones: 'skip',
      envelope: { type: 'debezium', version: 'ts_ms', truncates: 'reject' },
    },
    deadLetterTopic: 'd',
  };
  const sample = async (table: string) => {
    const found = new DividedSample({ ...destination, tablesOfValues }, new Decoders(registry), [table], 10);
    for (const item of records) await found.add(item);
    await found.divide();
    const { types, key } = await schemaSample(registry, found.of(table), { topics: [], destination }, 10);
    return { columns: [...(types ?? new Map<string, string>()).keys()], key };
  };
  expect(await sample('lines')).toEqual({ columns: ['id', 'line'], key: ['id', 'line'] });
  expect(await sample('orders')).toEqual({ columns: ['id', 'customer'], key: ['id'] });
  expect(await sample('none')).toEqual({ columns: [], key: null });
});

it('records that the pipeline leaves out do not take the places of those that a table is proposed from', async () => {
  const mapping = { ...MAPPING, where: [{ pointer: '/v', equals: 1 }] };
  for (const [format, bytes] of [
    ['json', (v: number) => `{"t":"a","v":${v}}`],
    ['json-schema', (v: number) => `\0\0\0\0\u0001{"t":"a","v":${v}}`],
  ] as const) {
    const destination = { mapping: { ...mapping, format }, tablesOfValues: TABLES };
    const found = new DividedSample(destination, undefined, ['ta'], 2);
    for (const [timestampMs, v] of [1, 1, 1, 2, 2, 2, 2].entries())
      await found.add({ source: SOURCE, record: record(timestampMs, { value: Buffer.from(bytes(v)), timestampMs }) });
    await found.divide();
    expect([format, ...found.of('ta').map((item) => item.record.timestampMs)]).toEqual([format, 1, 2]);
  }
});

it('the key of a table is found also in keys with the id of a schema, if there is no registry', async () => {
  const destination: Destination = {
    table: 't',
    columns: {},
    mapping: {
      ...MAPPING,
      format: 'json-schema',
      tombstones: 'skip',
      envelope: { type: 'debezium', version: 'ts_ms', truncates: 'reject' },
    },
    deadLetterTopic: 'd',
  };
  const ID = '\0\0\0\0\u0001';
  const keyOf = async (key: string) => {
    const value = Buffer.concat([Buffer.from(ID), ofDebezium('orders', { id: 1 })]);
    const own = [{ source: SOURCE, record: record(0, { key: Buffer.from(key), value }) }];
    return (await schemaSample(null, own, { topics: [], destination }, 10)).key;
  };
  expect(await keyOf(`${ID}{"id":1}`)).toEqual(['id']);
  expect(await keyOf('{"schema":{},"payload":{"id":1,"line":2}}')).toEqual(['id', 'line']);
  expect(await keyOf('other')).toBe(null);
});

it('of each table the newest records are kept, and the newest of a topic are read first', async () => {
  const found = new DividedSample({ mapping: MAPPING, tablesOfValues: TABLES }, undefined, ['ta'], 2);
  for (const timestampMs of [30, 10, 40, 20])
    await found.add({ source: SOURCE, record: record(timestampMs, { value: Buffer.from('{"t":"a"}'), timestampMs }) });
  await found.divide();
  expect(found.of('ta').map((item) => item.record.timestampMs)).toEqual([30, 40]);
  expect(found.isFull).toBe(true);

  const topic = 't';
  expect(
    newestFirst(
      [
        { topic, partition: 0, from: 0, to: 1_000 },
        { topic, partition: 1, from: 7, to: 17 },
      ],
      [100, 500],
    ),
  ).toEqual([
    [
      { topic, partition: 0, from: 910, to: 1_000 },
      { topic, partition: 1, from: 7, to: 17 },
    ],
    [{ topic, partition: 0, from: 410, to: 910 }],
  ]);
});

it('the table is named that the value of a record leads to, if a value decides', async () => {
  const of = (value: string, own: Partial<Pick<Destination, 'mapping' | 'tablesOfValues'>> = {}) => {
    const item = { source: SOURCE, record: record(0, { value: Buffer.from(value) }) };
    return tableNamed(item, { mapping: MAPPING, tablesOfValues: TABLES, ...own }, decoders);
  };
  expect(await of('{"t":"a"}')).toBe('ta');
  expect(await of('{"t":"b"}')).toBeNull();
  expect(await of('{')).toBeNull();
  expect(await tableNamed({ source: SOURCE, record: record(0) }, { mapping: MAPPING }, decoders)).toBeUndefined();
});
