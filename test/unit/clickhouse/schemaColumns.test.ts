import { expect, it } from 'vitest';
import {
  columnsForAll,
  columnsOfField,
  fieldOfSchema,
  mergeColumns,
} from '../../../src/clickhouse/schemaColumns/schemaColumns.js';
import { jsonSchemaField } from '../../../src/clickhouse/schemaColumns/jsonSchemaFields.js';
import { parseRegistered, type DecodingChoices } from '../../../src/formats/decoders.js';

const AVRO: DecodingChoices = { format: 'avro', bytes: 'raw', unions: 'plain' };

function avroColumns(fields: readonly object[], choices: DecodingChoices = AVRO, isEnvelope = false) {
  const schema = JSON.stringify({ type: 'record', name: 'R', fields });
  const parsed = parseRegistered({ schema, references: [] }, 'avro');
  return Object.fromEntries(columnsOfField(fieldOfSchema(parsed, choices, []), isEnvelope));
}

const columnOf = (type: unknown, choices?: DecodingChoices) => avroColumns([{ name: 'f', type }], choices)['f'];

const jsonColumns = (schema: unknown) =>
  Object.fromEntries(columnsOfField(jsonSchemaField(JSON.stringify(schema)), false));

const merged = (...schemas: Readonly<Record<string, string>>[]) => {
  const { types, misfits } = mergeColumns(schemas.map((schema) => new Map(Object.entries(schema))));
  return { types: Object.fromEntries(types), misfits: [...misfits.values()] };
};

it('a type that contains itself, or has more parts than a column may have, is a text', () => {
  const own = { type: 'record', name: 'T', fields: [{ name: 'next', type: ['null', 'T'] }] };
  expect(columnOf(own)).toBe('Tuple(`next` Nullable(String))');
  // Each of them holds the one before twice: 2^30 elements.
  const doubled = Array.from({ length: 30 }, (_, index) => ({
    name: `f${index}`,
    type: {
      type: 'record',
      name: `D${index}`,
      fields: ['a', 'b'].map((name) => ({ name, type: index === 0 ? 'int' : `D${index - 1}` })),
    },
  }));
  const columns = avroColumns(doubled);
  expect(columns['f1']).toBe('Tuple(`a` Tuple(`a` Int32, `b` Int32), `b` Tuple(`a` Int32, `b` Int32))');
  expect(columns['f29']).toBe('String');
  const deep = Array.from({ length: 100 }).reduce((type: unknown) => ({ type: 'array', items: type }), 'int');
  expect(columnOf(deep)).toBe(`${'Array('.repeat(50)}String${')'.repeat(50)}`);
});

it('names are quoted; an object with names that ClickHouse cannot read from JSON is a text', () => {
  const record = (name: string) => ({ type: 'record', name: 'I', fields: [{ name, type: 'int' }] });
  expect(columnOf(record('a`, b'))).toBe('Tuple(`a\\`, b` Int32)');
  for (const name of ['a"b', 'a\\b', 'a\nb', '', 'null'])
    expect([name, columnOf(record(name))]).toEqual([name, 'String']);
  expect(columnOf({ type: 'record', name: 'E', fields: [] })).toBe('String');
});

it('unions and bytes get the types that fit what the configuration makes of them', () => {
  const choices: DecodingChoices = { format: 'avro', bytes: 'base64', unions: 'named' };
  expect(columnOf(['null', 'long'], choices)).toBe('Nullable(String)');
  expect(columnOf({ type: 'fixed', name: 'F', size: 4 }, choices)).toBe('String');
  expect(columnOf({ type: 'fixed', name: 'F', size: 4 })).toBe('FixedString(4)');
  expect(columnOf({ type: 'fixed', name: 'F', size: 0 })).toBe('String');
  expect(columnOf('null')).toBe('Nullable(String)');
  expect(columnOf(['int', 'long'])).toBe('Int64');
  expect(columnOf(['int', { type: 'int', logicalType: 'date' }])).toBe('String');
});

it('of a change that Debezium has written, the columns are those of the row', () => {
  const row = { type: 'record', name: 'Row', fields: [{ name: 'id', type: 'long' }] };
  const fields = [
    { name: 'before', type: ['null', row] },
    { name: 'after', type: ['null', 'Row'] },
    { name: 'op', type: 'string' },
  ];
  expect(avroColumns(fields, AVRO, true)).toEqual({ id: 'Int64' });
  expect(avroColumns([{ name: 'op', type: 'string' }], AVRO, true)).toEqual({});
});

it('two definitions of a decimal that differ only in their precision are one type for what is decoded', () => {
  const fixed = (precision: number) => ({ type: 'fixed', name: 'D', size: 8, logicalType: 'decimal', precision });
  const columns = avroColumns([
    { name: 'a', type: fixed(9) },
    { name: 'b', type: fixed(12) },
  ]);
  expect(columns).toEqual({ a: 'Decimal(9, 0)', b: 'Decimal(9, 0)' });
});

it('JSON Schema: what it leaves open is a text, and a member that may be missing takes null', () => {
  const schema = {
    $ref: '#/definitions/Order',
    definitions: {
      Order: {
        type: 'object',
        required: ['id', 'at', 'tags', 'closed'],
        properties: {
          id: { type: 'integer' },
          at: { type: 'string', format: 'date-time' },
          day: { type: ['string', 'null'], format: 'date' },
          amount: { oneOf: [{ type: 'null' }, { type: 'number' }] },
          kind: { type: 'string', enum: ['a', 'b'] },
          tags: { type: 'array', items: { type: 'string' } },
          closed: {
            type: 'object',
            additionalProperties: false,
            required: ['x'],
            properties: { x: { type: 'boolean' }, up: { $ref: '#/definitions/Order' } },
          },
          open: { type: 'object', properties: { x: { type: 'integer' } } },
          counts: { type: 'object', additionalProperties: { type: 'integer' } },
          mixed: { type: ['string', 'integer'] },
          any: {},
          circle: { $ref: '#/definitions/Circle' },
          elsewhere: { $ref: 'https://example.com/other.json' },
        },
      },
      Circle: { $ref: '#/definitions/Circle' },
    },
  };
  expect(jsonColumns(schema)).toEqual({
    id: 'Int64',
    at: "DateTime64(9, 'UTC')",
    day: 'Nullable(Date32)',
    amount: 'Nullable(Float64)',
    kind: 'LowCardinality(Nullable(String))',
    tags: 'Array(String)',
    closed: 'Tuple(`x` Bool, `up` Nullable(String))',
    open: 'Nullable(String)',
    counts: 'Map(String, Int64)',
    mixed: 'Nullable(String)',
    any: 'Nullable(String)',
    circle: 'Nullable(String)',
    elsewhere: 'Nullable(String)',
  });
  expect(jsonColumns({ type: 'object' })).toEqual({});
  expect(() => jsonSchemaField('[1]')).toThrow('it is no object');
});

it('a column for several schemas holds the values of all, or it is said that it may not', () => {
  expect(merged({ a: 'Int64', b: 'String' }, { a: 'Int32', c: 'Array(Int32)' })).toEqual({
    types: { a: 'Int64', b: 'Nullable(String)', c: 'Array(Int32)' },
    misfits: [],
  });
  expect(merged({ a: 'UInt32' }, { a: 'Nullable(Int32)' }).types).toEqual({ a: 'Nullable(Int64)' });
  expect(merged({ a: 'Float32' }, { a: 'Int32' }).types).toEqual({ a: 'Float64' });
  expect(merged({ a: 'LowCardinality(Nullable(String))' }, { a: 'UUID' }).types).toEqual({ a: 'Nullable(String)' });
  expect(merged({ a: 'Date32' }, { a: 'Int32' })).toEqual({
    types: { a: 'Date32' },
    misfits: ['the field a is Date32 in a newer schema, and Int32 in an older one: not all of its values may fit'],
  });
});

it('a column that nobody looks at before it is filled is a text if no type holds the values of all schemas', () => {
  const misfits = [
    ['Decimal(10, 2)', 'Decimal(10, 4)'],
    ['Int64', 'Float64'],
    ["DateTime64(3, 'UTC')", "DateTime64(6, 'UTC')"],
    ['Int32', 'Tuple(`a` Int32)'],
  ];
  for (const [newer = '', older = ''] of misfits) {
    const schemas = [new Map([['a', newer]]), new Map([['a', older]]), new Map([['b', 'Int64']])];
    expect(Object.fromEntries(columnsForAll(schemas))).toEqual({ a: 'Nullable(String)', b: 'Nullable(Int64)' });
  }
  expect(Object.fromEntries(columnsForAll([new Map([['a', 'Int64']]), new Map([['a', 'Int32']])]))).toEqual({
    a: 'Int64',
  });
});
