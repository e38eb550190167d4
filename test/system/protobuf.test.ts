import { expect, it } from 'vitest';
import { registerSchema } from '../../stack/native/registry.js';
import { withSchemaId } from '../support/avro.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { randomProtobuf, withMessageIndexes, writeProtobuf, type ProtobufFiles } from '../support/protobuf.js';
import { expectRejectedAlone } from '../support/rejectedAlone.js';
import { decoding, useRegistry } from '../support/useRegistry.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const registry = useRegistry();
const start = decoding('protobuf', stack, registry);

const registered = (subject: string, schema: string, references: readonly string[] = []) =>
  registerSchema(registry().url, subject, {
    schema,
    schemaType: 'PROTOBUF',
    references: references.map((name) => ({ name, subject: name, version: 1 })),
  });

/** One field: its Protobuf, its column, its value as Protobuf's JSON, and the text of what has to be in the table. */
type Case = readonly [field: string, column: string, value: unknown, stored: string | null];

const base64 = (hex: string) => Buffer.from(hex, 'hex').toString('base64');

const CASES: readonly Case[] = [
  ['bool', 'Bool', true, 'true'],
  ['bool', 'UInt8', false, '0'],
  ['int32', 'Int32', -2147483648, '-2147483648'],
  ['sint32', 'Int32', -2147483648, '-2147483648'],
  ['sfixed32', 'Int64', -1, '-1'],
  ['uint32', 'UInt32', 4294967295, '4294967295'],
  ['fixed32', 'UInt64', 4294967295, '4294967295'],
  ['int64', 'Int64', '9223372036854775807', '9223372036854775807'],
  ['int64', 'Int64', '-9007199254740993', '-9007199254740993'],
  ['sint64', 'Int64', '-9223372036854775808', '-9223372036854775808'],
  ['sfixed64', 'Int64', '-9007199254740993', '-9007199254740993'],
  ['uint64', 'UInt64', '18446744073709551615', '18446744073709551615'],
  ['fixed64', 'UInt64', '9007199254740993', '9007199254740993'],
  ['uint64', 'String', '18446744073709551615', '18446744073709551615'],
  ['uint64', 'Decimal(22, 2)', '18446744073709551615', '18446744073709551615'],
  ['float', 'Float32', 0.1, '0.1'],
  ['double', 'Float64', 0.1, '0.1'],
  ['double', 'Float64', 5e-324, '5e-324'],
  ['double', 'Float64', 'NaN', 'nan'],
  ['double', 'Float64', '-Infinity', '-inf'],
  ['double', 'Float64', '-0', '-0'],
  ['string', 'String', 'grün "é"\n\\\u0000\u0001 𝄞', 'grün "é"\n\\\u0000\u0001 𝄞'],
  ['string', 'LowCardinality(String)', '', ''],
  ['string', "String DEFAULT 'other'", '', ''],
  ['int32', 'Int32 DEFAULT 7', 0, '0'],
  ['optional int32', 'Int32 DEFAULT 7', undefined, '7'],
  ['optional int32', 'Nullable(Int32)', undefined, null],
  ['optional int32', 'Nullable(Int32)', 0, '0'],
  ['bytes', 'String', base64('00ff8022c35c0a28'), '00FF8022C35C0A28'],
  ['bytes', 'FixedString(4)', base64('80ff0022'), '80FF0022'],
  ['Color', "Enum8('RED' = 1, 'GREEN' = 2)", 'GREEN', 'GREEN'],
  ['Color', 'String', 'RED', 'RED'],
  ['Color', "Enum8('RED' = 1, 'GREEN' = 2, 'BLUE' = 3)", 3, 'BLUE'],
  ['Color', 'String', 3, '3'],
  ['repeated sint64', 'Array(Int64)', ['1', '-9007199254740993'], '[1,-9007199254740993]'],
  ['repeated string', 'Array(String)', [], '[]'],
  ['repeated Color', 'Array(String)', ['RED', 'GREEN'], "['RED','GREEN']"],
  ['repeated Item', 'Array(Tuple(q Int32, note Nullable(String)))', [{ q: 1 }, { note: '' }], "[(1,NULL),(0,'')]"],
  ['map<string, uint64>', 'Map(String, UInt64)', { 'ä"': '9007199254740993' }, `{'ä"':9007199254740993}`],
  ['map<int64, string>', 'Map(Int64, String)', { '-9007199254740993': 'x' }, "{-9007199254740993:'x'}"],
  ['map<bool, Item>', 'Map(String, Tuple(q Int32))', { true: { q: 1 } }, "{'true':(1)}"],
  ['map<string, int32>', 'Map(String, Int32)', {}, '{}'],
  ['Item', 'Tuple(q Int32, note Nullable(String))', { q: 5 }, '(5,NULL)'],
  ['Item', 'JSON', { q: 5, note: 'x' }, '{"note":"x","q":5}'],
  [
    'google.protobuf.Timestamp',
    "DateTime64(9, 'UTC')",
    '2023-11-14T22:13:20.123456789Z',
    '2023-11-14 22:13:20.123456789',
  ],
  ['google.protobuf.Timestamp', "DateTime64(3, 'Asia/Tokyo')", '2023-11-14T22:13:20.123Z', '2023-11-15 07:13:20.123'],
  ['google.protobuf.Timestamp', "DateTime('UTC')", '2023-11-14T22:13:20Z', '2023-11-14 22:13:20'],
  ['google.protobuf.Timestamp', "DateTime64(3, 'UTC')", '1969-12-31T23:59:59.999Z', '1969-12-31 23:59:59.999'],
  ['google.protobuf.Timestamp', "Nullable(DateTime64(3, 'UTC'))", undefined, null],
  ['google.protobuf.Duration', 'Decimal(18, 9)', '-3.000000001s', '-3.000000001'],
  ['google.protobuf.Duration', 'Float64', '0.5s', '0.5'],
  ['google.protobuf.Duration', 'String', '90s', '90.000'],
  ['google.protobuf.Int64Value', 'Nullable(Int64)', '9223372036854775807', '9223372036854775807'],
  ['google.protobuf.Int64Value', 'Nullable(Int64)', undefined, null],
  ['google.protobuf.Int64Value', 'Nullable(Int64)', '0', '0'],
  ['google.protobuf.UInt64Value', 'UInt64', '18446744073709551615', '18446744073709551615'],
  ['google.protobuf.BoolValue', 'Bool', true, 'true'],
  ['google.protobuf.StringValue', 'Nullable(String)', '', ''],
  ['google.protobuf.BytesValue', 'String', base64('ff00'), 'FF00'],
  ['google.protobuf.DoubleValue', 'Float64', 0.1, '0.1'],
  ['google.protobuf.Struct', 'JSON', { a: 'x', b: { c: true } }, '{"a":"x","b":{"c":true}}'],
  ['google.protobuf.Struct', 'String', { a: [1.5, null, 'y'] }, '{"a":[1.5,null,"y"]}'],
  ['google.protobuf.Value', 'String', 'text', 'text'],
  ['google.protobuf.ListValue', 'Array(String)', ['a', 'b'], "['a','b']"],
  ['google.protobuf.FieldMask', 'Tuple(paths Array(String))', 'a,b', "(['a','b'])"],
];

const IMPORTS = ['timestamp', 'duration', 'wrappers', 'struct', 'field_mask'];

it('each type of Protobuf that another library writes is in the table as it was', async () => {
  const cases = CASES.map(([field, column, value, stored], index) => {
    const name = `c${index}`;
    const text = `syntax = "proto3"; package test;
${IMPORTS.map((file) => `import "google/protobuf/${file}.proto";`).join('\n')}
message R${index} { ${field} ${name} = ${index + 1}; }
message Item { int32 q = 1; optional string note = 2; }
enum Color { NONE = 0; RED = 1; GREEN = 2; }
`;
    const files: ProtobufFiles = { [`${name}.proto`]: text };
    return { name, field, column, stored, text, files, message: `test.R${index}`, value: { [name]: value } };
  });
  const ids: number[] = [];
  for (const { name, text } of cases) ids.push(await registered(`${name}-value`, text));
  const payloads = await writeProtobuf(cases);
  const [fixture] = await start({ columns: cases.map(({ name, column }) => `${name} ${column}`).join(', ') });
  await fixture.produce(cases.length, (index) => ({
    key: `c${index}`,
    value: withMessageIndexes(ids[index]!, payloads[index]!),
  }));
  await eventually(() => expect(fixture.acks.length).toBe(cases.length));
  const outcomes = new Map(fixture.acks.map(({ key, status, message }) => [key, message ?? status]));
  const stored = new Map<string, string | null>();
  for (const { name, column, field } of cases) {
    const isBinary = /^(bytes|google.protobuf.BytesValue)$/.test(field) || column.startsWith('FixedString');
    const [row] = await fixture.query<{ x: string | null }>(
      `SELECT ${isBinary ? 'hex' : 'toString'}(${name}) AS x FROM ${fixture.table} WHERE _key = '${name}'`,
    );
    stored.set(name, row === undefined ? (outcomes.get(name) ?? 'missing') : row.x);
  }
  expect(cases.map(({ name, field, column }) => [field, column, stored.get(name)])).toEqual(
    cases.map(({ field, column, stored: expected }) => [field, column, expected]),
  );
}, 600_000);

const RANDOM = `syntax = "proto3"; package test; import "google/protobuf/timestamp.proto";
message Random {
  int32 f_int32 = 1; sint32 f_sint32 = 2; sfixed32 f_sfixed32 = 3; int64 f_int64 = 4; sint64 f_sint64 = 5;
  sfixed64 f_sfixed64 = 6; uint64 f_uint64 = 7; fixed64 f_fixed64 = 8; uint32 f_uint32 = 9; double f_double = 10;
  string f_text = 11; bytes f_raw = 12; repeated int64 f_many = 13; map<string, uint64> f_map = 14;
  optional int64 f_maybe = 15; google.protobuf.Timestamp f_moment = 16;
  message Inner { message Innermost { int64 number = 1; } Innermost inner = 1; }
  Inner f_inner = 17; oneof f_one { int32 f_left = 18; string f_right = 19; }
}
`;

it('messages of random values are in the table as Python says that they are', async () => {
  const id = await registered('random-value', RANDOM);
  const seed = Number(process.env['KTB_FUZZ_SEED'] ?? Date.now() % 1_000_000);
  const count = 2_000;
  const made = await randomProtobuf({ 'random.proto': RANDOM }, 'test.Random', count, seed);
  const [fixture] = await start({
    columns: `f_int32 Int32, f_sint32 Int32, f_sfixed32 Int32, f_int64 Int64, f_sint64 Int64, f_sfixed64 Int64,
      f_uint64 UInt64, f_fixed64 UInt64, f_uint32 UInt32, f_double Float64, f_text String, f_raw String,
      f_many Array(Int64), f_map Map(String, UInt64), f_maybe Nullable(Int64), f_moment DateTime64(9, 'UTC'),
      f_inner Int64, f_left Nullable(Int32), f_right Nullable(String)`,
    pipeline: { columns: { f_inner: '/f_inner/inner/number' } },
  });
  await fixture.produce(count, (index) => ({
    key: String(index),
    value: withMessageIndexes(id, made[index]!.bytes),
  }));
  await eventually(() => expect(fixture.acks.length).toBe(count), 120_000);
  const shown = Object.keys(made[0]!.columns).map((column) => {
    if (column === 'f_raw') return `hex(f_raw) AS ${column}`;
    if (column === 'f_double') return `toString(reinterpretAsUInt64(f_double)) AS ${column}`;
    if (column === 'f_many') return `arrayMap(x -> toString(x), f_many) AS ${column}`;
    if (column === 'f_map') return `mapSort(mapApply((k, v) -> (k, toString(v)), f_map)) AS ${column}`;
    return `toString(${column}) AS ${column}`;
  });
  const rows = await fixture.query<Record<string, unknown>>(
    `SELECT _key, ${shown.join(', ')} FROM ${fixture.table} SETTINGS enable_named_columns_in_function_tuple = 0`,
  );
  const byKey = new Map(rows.map(({ _key, ...columns }) => [Number(_key), columns]));
  expect(byKey.size).toBe(count);
  for (const [index, { columns }] of made.entries())
    expect(byKey.get(index), `seed ${seed}, message ${index}`).toEqual(columns);
}, 600_000);

it('records are left out by what is decoded', async () => {
  const text = 'syntax = "proto3"; message Filtered { int64 id = 1; bool wanted = 2; }';
  const id = await registered('filtered-value', text);
  const payloads = await writeProtobuf(
    Array.from({ length: 100 }, (_, index) => {
      const value = { id: String(index), wanted: index % 4 === 0 };
      return { files: { 'filtered.proto': text }, message: 'Filtered', value };
    }),
  );
  const [fixture] = await start({
    columns: 'id Int64',
    pipeline: { where: { pointer: '/wanted', equals: true } },
  });
  await fixture.produce(100, (index) => ({ value: withMessageIndexes(id, payloads[index]!) }));
  await eventually(() => expect(fixture.acks.length).toBe(100));
  const count = (status: string) => fixture.acks.filter((ack) => ack.status === status).length;
  expect([count('inserted'), count('skipped')]).toEqual([25, 75]);
  expect(await fixture.query(`SELECT sum(id) AS sum FROM ${fixture.table}`)).toEqual([{ sum: 1200 }]);
  const { code, output } = await ktb(fixture.config(), ['reconcile', fixture.name, '--json']);
  const reports = JSON.parse(output) as { inserted: number; skipped: number }[];
  const sum = (key: 'inserted' | 'skipped') => reports.reduce((total, report) => total + report[key], 0);
  expect([code, sum('inserted'), sum('skipped')]).toEqual([0, 25, 75]);
}, 600_000);

it('a value may be any message of its file, whose types may come from other files', async () => {
  const address =
    'syntax = "proto3"; package shop; message Address { string city = 1; Zip zip = 2; } message Zip { string code = 1; }';
  const kinds =
    'syntax = "proto3"; package shop; import public "shop/address.proto"; enum Kind { USUAL = 0; GIFT = 1; }';
  const orders = `syntax = "proto3"; package shop; import "shop/kinds.proto"; import "google/protobuf/timestamp.proto";
message Other { int64 id = 1; }
message Order {
  int64 id = 1; Address place = 2; Kind kind = 3; google.protobuf.Timestamp at = 4; bytes raw = 5;
  map<string, string> labels = 6;
  message Line { int64 id = 1; enum State { OPEN = 0; } State state = 2; }
}
`;
  await registered('shop/address.proto', address);
  await registered('shop/kinds.proto', kinds, ['shop/address.proto']);
  const id = await registered('order-value', orders, ['shop/kinds.proto', 'shop/address.proto']);
  const files = { 'shop/address.proto': address, 'shop/kinds.proto': kinds, 'orders.proto': orders };
  const keyText = 'syntax = "proto3"; message Key { int64 id = 1; }';
  const keyId = await registered('order-key', keyText);
  const order = { id: '1', place: { city: 'Bonn', zip: { code: '53113' } }, kind: 'GIFT', raw: base64('ff00') };
  const [key, ...payloads] = await writeProtobuf([
    { files: { 'key.proto': keyText }, message: 'Key', value: { id: '9223372036854775807' } },
    { files, message: 'shop.Order', value: order },
    { files, message: 'shop.Order.Line', value: { id: '2' } },
    { files, message: 'shop.Other', value: { id: '3' } },
  ]);
  const [fixture] = await start({
    columns: "id Int64, city String, code String, kind String, raw String, state String DEFAULT 'none'",
    pipeline: {
      protobuf: { bytes: 'base64' },
      key: { format: 'protobuf' },
      columns: { city: '/place/city', code: '/place/zip/code' },
    },
  });
  const indexes = [[1], [1, 0], [0]];
  await fixture.produce(3, (index) => ({
    key: index === 0 ? withMessageIndexes(keyId, key!) : null,
    value: withMessageIndexes(id, payloads[index]!, indexes[index]),
  }));
  await eventually(() => expect(fixture.acks.map(({ status }) => status)).toEqual(Array(3).fill('inserted')));
  expect(await fixture.query(`SELECT _key FROM ${fixture.table} WHERE id = 1`)).toEqual([
    { _key: '{"id":9223372036854775807}' },
  ]);
  const columns = 'toString(id) AS id, city, code, kind, raw, state';
  expect(await fixture.query(`SELECT ${columns} FROM ${fixture.table} ORDER BY id`)).toEqual([
    { id: '1', city: 'Bonn', code: '53113', kind: 'GIFT', raw: '/wA=', state: 'none' },
    { id: '2', city: '', code: '', kind: '', raw: '', state: 'OPEN' },
    { id: '3', city: '', code: '', kind: '', raw: '', state: 'none' },
  ]);
}, 600_000);

it('what does not decode is rejected alone, and the dead letter has the original bytes', async () => {
  const text = 'syntax = "proto3"; message Plain { int64 id = 1; }';
  const id = await registered('plain-value', text);
  const avroId = await registerSchema(registry().url, 'avro-value', { schema: '"long"' });
  const [good] = (await writeProtobuf([{ files: { 'plain.proto': text }, message: 'Plain', value: { id: '7' } }])) as [
    Buffer,
  ];
  const values: Record<string, Buffer | null> = {
    good: withMessageIndexes(id, good),
    unknown: withMessageIndexes(987_654, good),
    avro: withMessageIndexes(avroId, good),
    short: withMessageIndexes(id, Buffer.of(8, 0x80)),
    message: withMessageIndexes(id, good, [1]),
    noMessage: withSchemaId(id, Buffer.alloc(0)),
    json: Buffer.from('{"id":1}'),
    none: null,
  };
  const [fixture] = await start({ columns: 'id Int64' });
  const why = 'the value cannot be decoded: ';
  await expectRejectedAlone(fixture, values, {
    good: ['inserted', undefined],
    unknown: ['undecodable', `${why}schema 987654: the registry has no schema of this id`],
    avro: ['undecodable', `${why}schema ${avroId}: the registry says that it is of type AVRO, not PROTOBUF`],
    short: ['undecodable', `${why}schema ${id}: its bytes end too early for its schema`],
    message: ['undecodable', `${why}schema ${id}: its schema has no message of the number that it names`],
    noMessage: ['undecodable', `${why}schema ${id}: its bytes end too early for its schema`],
    json: ['undecodable', expect.stringContaining('it does not begin with the magic byte')],
    none: ['not_json', 'the record has no value (a tombstone)'],
  });
  expect(await fixture.query(`SELECT id FROM ${fixture.table}`)).toEqual([{ id: 7 }]);
}, 600_000);

/** A field: its Protobuf, the type of the column that is proposed for it, its value, and what has to be there. */
const PROPOSED: readonly Case[] = [
  ['bool', 'Bool', true, 'true'],
  ['sint32', 'Int32', -2147483648, '-2147483648'],
  ['fixed32', 'UInt32', 4294967295, '4294967295'],
  ['int64', 'Int64', '-9007199254740993', '-9007199254740993'],
  ['uint64', 'UInt64', '18446744073709551615', '18446744073709551615'],
  ['float', 'Float32', 0.1, '0.1'],
  ['double', 'Float64', 5e-324, '5e-324'],
  ['string', 'String', 'grün "é"\n\\', 'grün "é"\n\\'],
  ['optional int32', 'Nullable(Int32)', undefined, null],
  ['optional int32', 'Nullable(Int32)', 0, '0'],
  ['Color', 'LowCardinality(String)', 'GREEN', 'GREEN'],
  ['optional Color', 'LowCardinality(Nullable(String))', undefined, null],
  ['repeated sint64', 'Array(Int64)', ['1', '-9007199254740993'], '[1,-9007199254740993]'],
  ['repeated Item', 'Array(Tuple(q Int32, note Nullable(String)))', [{ q: 1 }, { note: '' }], "[(1,NULL),(0,'')]"],
  ['map<string, uint64>', 'Map(String, UInt64)', { 'ä"': '9007199254740993' }, `{'ä"':9007199254740993}`],
  ['map<int64, string>', 'Map(Int64, String)', { '-9007199254740993': 'x' }, "{-9007199254740993:'x'}"],
  ['map<bool, Item>', 'Map(String, Tuple(q Int32, note Nullable(String)))', { true: { q: 1 } }, "{'true':(1,NULL)}"],
  ['Item', 'Tuple(q Nullable(Int32), note Nullable(String))', { q: 5 }, '(5,NULL)'],
  ['Item', 'Tuple(q Nullable(Int32), note Nullable(String))', undefined, '(NULL,NULL)'],
  ['Tree', 'Tuple(n Nullable(Int32), below Array(String))', { n: 1, below: [{ n: 2 }] }, `(1,['{"n":2,"below":[]}'])`],
  [
    'google.protobuf.Timestamp',
    "Nullable(DateTime64(9, 'UTC'))",
    '2023-11-14T22:13:20.123456789Z',
    '2023-11-14 22:13:20.123456789',
  ],
  ['google.protobuf.Duration', 'Nullable(Decimal(21, 9))', '-3.000000001s', '-3.000000001'],
  ['google.protobuf.Int64Value', 'Nullable(Int64)', undefined, null],
  ['google.protobuf.UInt64Value', 'Nullable(UInt64)', '18446744073709551615', '18446744073709551615'],
  ['google.protobuf.Struct', 'Nullable(String)', { a: [1.5, null, 'y'] }, '{"a":[1.5,null,"y"]}'],
  ['google.protobuf.Empty', 'Nullable(String)', {}, '{}'],
];

it('ktb setup makes a table from the message that records are of, and it holds each type as it was written', async () => {
  const text = `syntax = "proto3"; package test;
${[...IMPORTS, 'empty'].map((file) => `import "google/protobuf/${file}.proto";`).join('\n')}
message First { int32 none_of_these = 1; }
message All { ${PROPOSED.map(([field], index) => `${field} c${index} = ${index + 1};`).join('\n')} }
message Item { int32 q = 1; optional string note = 2; }
message Tree { int32 n = 1; repeated Tree below = 2; }
enum Color { NONE = 0; RED = 1; GREEN = 2; }
`;
  const fixture = await Fixture.create(stack(), { config: { schemaRegistry: { url: registry().url } } });
  const made = `${fixture.table}_made`;
  const config = fixture.config({ format: 'protobuf', table: made });
  const id = await registered(`${fixture.topic}-value`, text);
  // Before there is a record, it is the first message of the file.
  const early = await ktb(config, ['setup', '--from-sample', '10', '--dry-run']);
  expect(early.output).toContain('`none_of_these` Int32,');
  const value = Object.fromEntries(PROPOSED.map(([, , written], index) => [`c${index}`, written]));
  const [payload] = await writeProtobuf([{ files: { 'all.proto': text }, message: 'test.All', value }]);
  await fixture.produce(1, () => ({ value: withMessageIndexes(id, payload!, [1]) }));
  expect((await ktb(config, ['setup', '--from-sample', '10'])).output).toContain(`created from the schema ${id} as`);
  const columns = await fixture.query<{ type: string }>(
    `SELECT type FROM system.columns WHERE table = '${made}' AND NOT startsWith(name, '_') ORDER BY position`,
  );
  expect(columns.map(({ type }) => type)).toEqual(PROPOSED.map(([, type]) => type));
  await fixture.collectAcks();
  await Daemon.start(config);
  await eventually(() => expect(fixture.acks.map(({ status, message }) => message ?? status)).toEqual(['inserted']));
  const texts = PROPOSED.map((_, index) => `toString(c${index})`).join(', ');
  const [row] = await fixture.query<{ stored: unknown[] }>(`SELECT [${texts}] AS stored FROM ${made}`);
  expect(row!.stored).toEqual(PROPOSED.map(([, , , stored]) => stored));
}, 600_000);
