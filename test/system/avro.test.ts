import { expect, it } from 'vitest';
import { startRegistry } from '../../stack/native/registry.js';
import { murmur2 } from '../../src/lib/murmur2.js';
import { register, withSchemaId, writeAvro, type ToWrite } from '../support/avro.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { expectRejectedAlone } from '../support/rejectedAlone.js';
import { decoding, useRegistry } from '../support/useRegistry.js';
import { reportSetUp, useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const registry = useRegistry();
const start = decoding('avro', stack, registry);

/** One field: its Avro type, its column, what is written, and the text of what has to be in the table. */
type Case = readonly [avro: unknown, column: string, value: unknown, stored: string | null];

const bytes = (text: string, encoding: BufferEncoding = 'latin1') => ({
  $bytes: Buffer.from(text, encoding).toString('base64'),
});
const decimal = (text: string) => ({ $decimal: text });
const logical = (type: string, logicalType: string, more: object = {}) => ({ type, logicalType, ...more });
const fixed = (name: string, size: number, more: object = {}) => ({ type: 'fixed', name, size, ...more });
const long = (digits: string) => ({ $long: digits });

const CASES: readonly Case[] = [
  ['boolean', 'Bool', true, 'true'],
  ['boolean', 'UInt8', false, '0'],
  ['int', 'Int32', -2147483648, '-2147483648'],
  ['int', 'Int64', 2147483647, '2147483647'],
  ['long', 'Int64', long('9223372036854775807'), '9223372036854775807'],
  ['long', 'Int64', long('-9223372036854775808'), '-9223372036854775808'],
  ['long', 'UInt64', long('9007199254740993'), '9007199254740993'],
  ['long', 'Int64', long('-9007199254740993'), '-9007199254740993'],
  ['long', 'Int64', 68719476735, '68719476735'],
  ['long', 'Int8', -64, '-64'],
  ['long', 'String', long('9223372036854775807'), '9223372036854775807'],
  ['long', 'Decimal(21, 2)', long('9223372036854775807'), '9223372036854775807'],
  ['float', 'Float32', 0.1, '0.1'],
  ['float', 'Float64', 0.5, '0.5'],
  ['double', 'Float64', 0.1, '0.1'],
  ['double', 'Float64', -1.7976931348623157e308, '-1.7976931348623157e308'],
  ['double', 'Float64', 5e-324, '5e-324'],
  ['double', 'Float64', { $float: 'nan' }, 'nan'],
  ['double', 'Float64', { $float: '-inf' }, '-inf'],
  ['double', 'Float64', { $float: '-0.0' }, '-0'],
  ['string', 'String', 'grün "é"\n\\\u0000\u0001 𝄞', 'grün "é"\n\\\u0000\u0001 𝄞'],
  ['string', 'LowCardinality(String)', '', ''],
  ['bytes', 'String', bytes('00ff8022c35c0a28', 'hex'), '00FF8022C35C0A28'],
  [fixed('F4', 4), 'FixedString(4)', bytes('80ff0022', 'hex'), '80FF0022'],
  [
    logical('bytes', 'decimal', { precision: 38, scale: 10 }),
    'Decimal(38, 10)',
    decimal('-1234567890123456789012345678.0123456789'),
    '-1234567890123456789012345678.0123456789',
  ],
  [logical('bytes', 'decimal', { precision: 9, scale: 2 }), 'Decimal(9, 2)', decimal('-0.05'), '-0.05'],
  [logical('bytes', 'decimal', { precision: 9, scale: 2 }), 'String', decimal('1.50'), '1.50'],
  [logical('bytes', 'decimal', { precision: 5 }), 'Decimal(5, 0)', decimal('-128'), '-128'],
  [
    fixed('D16', 16, { logicalType: 'decimal', precision: 30, scale: 3 }),
    'Decimal(30, 3)',
    decimal('123456789012345678901234567.125'),
    '123456789012345678901234567.125',
  ],
  [logical('bytes', 'decimal', { precision: 76, scale: 0 }), 'Decimal(76, 0)', decimal('9'.repeat(76)), '9'.repeat(76)],
  [logical('string', 'uuid'), 'UUID', '61f0c404-5cb3-11e7-907b-a6006ad3dba0', '61f0c404-5cb3-11e7-907b-a6006ad3dba0'],
  [
    fixed('U16', 16, { logicalType: 'uuid' }),
    'UUID',
    bytes('61f0c4045cb311e7907ba6006ad3dba0', 'hex'),
    '61f0c404-5cb3-11e7-907b-a6006ad3dba0',
  ],
  [logical('int', 'date'), 'Date', 20_000, '2024-10-04'],
  [logical('int', 'date'), 'Date32', -25_000, '1901-07-22'],
  [logical('int', 'time-millis'), 'Time64(3)', 86_399_999, '23:59:59.999'],
  [logical('int', 'time-millis'), 'String', 1, '00:00:00.001'],
  [logical('long', 'time-micros'), 'Time64(6)', 3_723_000_004, '01:02:03.000004'],
  [logical('long', 'timestamp-millis'), "DateTime64(3, 'UTC')", 1_700_000_000_123, '2023-11-14 22:13:20.123'],
  [logical('long', 'timestamp-millis'), "DateTime64(3, 'Asia/Tokyo')", 1_700_000_000_123, '2023-11-15 07:13:20.123'],
  [logical('long', 'timestamp-millis'), "DateTime('UTC')", 1_700_000_000_000, '2023-11-14 22:13:20'],
  [logical('long', 'timestamp-millis'), "DateTime64(3, 'UTC')", -1, '1969-12-31 23:59:59.999'],
  [logical('long', 'timestamp-micros'), "DateTime64(6, 'UTC')", 1_700_000_000_123_456, '2023-11-14 22:13:20.123456'],
  [
    logical('long', 'timestamp-nanos'),
    "DateTime64(9, 'UTC')",
    long('1700000000123456789'),
    '2023-11-14 22:13:20.123456789',
  ],
  [
    logical('long', 'local-timestamp-millis'),
    "DateTime64(3, 'Asia/Tokyo')",
    1_700_000_000_123,
    '2023-11-14 22:13:20.123',
  ],
  [
    logical('long', 'local-timestamp-micros'),
    "DateTime64(6, 'Asia/Tokyo')",
    1_700_000_000_123_456,
    '2023-11-14 22:13:20.123456',
  ],
  [
    fixed('Dur', 12, { logicalType: 'duration' }),
    'Tuple(months UInt32, days UInt32, milliseconds UInt32)',
    bytes('0100000002000000ffffffff', 'hex'),
    '(1,2,4294967295)',
  ],
  [{ type: 'enum', name: 'E', symbols: ['RED', 'GREEN'] }, "Enum8('RED' = 1, 'GREEN' = 2)", 'GREEN', 'GREEN'],
  [{ type: 'enum', name: 'E', symbols: ['RED'] }, 'String', 'RED', 'RED'],
  [{ type: 'array', items: 'long' }, 'Array(Int64)', [1, long('-9007199254740993')], '[1,-9007199254740993]'],
  [{ type: 'array', items: ['null', 'string'] }, 'Array(Nullable(String))', ['a', null], "['a',NULL]"],
  [{ type: 'array', items: 'int' }, 'Array(Int32)', [], '[]'],
  [
    { type: 'map', values: 'long' },
    'Map(String, Int64)',
    { 'ä"': long('9007199254740993') },
    `{'ä"':9007199254740993}`,
  ],
  [{ type: 'map', values: 'int' }, 'Map(String, Int32)', {}, '{}'],
  [
    {
      type: 'record',
      name: 'test.R',
      fields: [
        { name: 'a', type: 'long' },
        { name: 'b', type: ['null', 'test.R'] },
      ],
    },
    'Tuple(a Int64, b Tuple(a Int64, b Nullable(String)))',
    { a: 1, b: { a: 2, b: null } },
    '(1,(2,NULL))',
  ],
  [
    { type: 'array', items: { type: 'record', name: 'I', fields: [{ name: 'q', type: 'int' }] } },
    'Array(Tuple(q Int32))',
    [{ q: 1 }, { q: 2 }],
    '[(1),(2)]',
  ],
  [['null', 'string'], 'Nullable(String)', null, null],
  [['null', 'string'], 'Nullable(String)', 'x', 'x'],
  [['int', 'string'], 'String', 5, '5'],
  [
    {
      type: 'record',
      name: 'J',
      fields: [
        { name: 'n', type: 'long' },
        { name: 't', type: 'string' },
      ],
    },
    'JSON',
    { n: long('9007199254740993'), t: 'x' },
    '{"n":9007199254740993,"t":"x"}',
  ],
];

it('each Avro type and logical type that another library writes is in the table as it was', async () => {
  const cases = CASES.map(([type, column, value, stored], index) => {
    const name = `c${index}`;
    const schema = { type: 'record', name: `R${index}`, namespace: 'test', fields: [{ name, type }] };
    return { name, type, column, stored, schema, value: { [name]: value } };
  });
  const ids: number[] = [];
  for (const { name, schema } of cases) ids.push(await register(registry().url, `${name}-value`, schema));
  const payloads = await writeAvro(cases);
  const [fixture] = await start({ columns: cases.map(({ name, column }) => `${name} ${column}`).join(', ') });
  await fixture.produce(cases.length, (index) => ({
    key: `c${index}`,
    value: withSchemaId(ids[index]!, payloads[index]!),
  }));
  await eventually(() => expect(fixture.acks.length).toBe(cases.length));
  const outcomes = new Map(fixture.acks.map(({ key, status, message }) => [key, message ?? status]));
  const stored = new Map<string, string | null>();
  for (const { name, column, type } of cases) {
    const isBinary = type === 'bytes' || column.startsWith('FixedString');
    const [row] = await fixture.query<{ x: string | null }>(
      `SELECT ${isBinary ? 'hex' : 'toString'}(${name}) AS x FROM ${fixture.table} WHERE _key = '${name}'`,
    );
    stored.set(name, row === undefined ? (outcomes.get(name) ?? 'missing') : row.x);
  }
  expect(cases.map(({ name, type, column }) => [type, column, stored.get(name)])).toEqual(
    cases.map(({ type, column, stored: expected }) => [type, column, expected]),
  );
}, 600_000);

const ORDER = (fields: readonly object[]) => ({ type: 'record', name: 'Order', namespace: 'shop', fields });

it('a union may keep its names, bytes may be base64, and a type may come from another subject', async () => {
  const address = { type: 'record', name: 'Address', namespace: 'shop', fields: [{ name: 'city', type: 'string' }] };
  const schema = ORDER([
    { name: 'id', type: 'long' },
    { name: 'place', type: ['null', 'Address', 'string'] },
    { name: 'raw', type: 'bytes' },
  ]);
  await register(registry().url, 'address', address);
  const references = [{ name: 'shop.Address', subject: 'address', version: 1 }];
  const id = await register(registry().url, 'order-value', schema, references);
  const values = [{ $tuple: ['shop.Address', { city: 'Bonn' }] }, 'Bern', null].map((place, index) => ({
    schema,
    named: [address],
    value: { id: index, place, raw: bytes('ff00', 'hex') },
  }));
  const payloads = await writeAvro(values);
  const [fixture] = await start({
    columns: 'id Int64, place String, raw String, city String',
    pipeline: { avro: { bytes: 'base64', unions: 'named' }, columns: { city: '/place/shop.Address/city' } },
  });
  await fixture.produce(3, (index) => ({ value: withSchemaId(id, payloads[index]!) }));
  await eventually(() => expect(fixture.acks.map(({ status }) => status)).toEqual(Array(3).fill('inserted')));
  expect(await fixture.query(`SELECT id, place, raw, city FROM ${fixture.table} ORDER BY id`)).toEqual([
    { id: 0, place: '{"shop.Address":{"city":"Bonn"}}', raw: '/wA=', city: 'Bonn' },
    { id: 1, place: '{"string":"Bern"}', raw: '/wA=', city: '' },
    { id: 2, place: '', raw: '/wA=', city: '' },
  ]);
}, 600_000);

it('what does not decode is rejected alone, with the id and the reason, and its dead letter has the original bytes', async () => {
  const schema = ORDER([{ name: 'id', type: 'long' }]);
  const id = await register(registry().url, 'plain-value', schema);
  const [good] = (await writeAvro([{ schema, value: { id: 7 } }])) as [Buffer];
  const values: Record<string, Buffer | null> = {
    good: withSchemaId(id, good),
    unknown: withSchemaId(987_654, good),
    short: withSchemaId(id, Buffer.of(0x80)),
    long: withSchemaId(id, Buffer.concat([good, Buffer.of(0)])),
    json: Buffer.from('{"id":1}'),
    beyond: withSchemaId(-1, good),
    none: null,
  };
  const [fixture] = await start({ columns: 'id Int64' });
  const why = 'the value cannot be decoded: ';
  await expectRejectedAlone(fixture, values, {
    good: ['inserted', undefined],
    unknown: ['undecodable', `${why}schema 987654: the registry has no schema of this id`],
    short: ['undecodable', `${why}schema ${id}: its bytes end too early for its schema`],
    long: ['undecodable', `${why}schema ${id}: bytes are left over after its value`],
    json: ['undecodable', expect.stringContaining('it does not begin with the magic byte')],
    beyond: ['undecodable', expect.stringContaining('no registry gives such an id')],
    none: ['not_json', 'the record has no value (a tombstone)'],
  });
  expect(await fixture.query(`SELECT id FROM ${fixture.table}`)).toEqual([{ id: 7 }]);
}, 600_000);

const KEY = {
  type: 'record',
  name: 'Key',
  fields: [
    { name: 'tenant', type: 'string' },
    { name: 'number', type: 'long' },
  ],
};

it('keys in Avro are in _key as JSON, and one that does not decode rejects its record alone', async () => {
  const schema = ORDER([{ name: 'id', type: 'long' }]);
  const id = await register(registry().url, 'keyed-value', schema);
  const keyId = await register(registry().url, 'keyed-key', KEY);
  const textId = await register(registry().url, 'keyed-text-key', 'string');
  const number = long('9223372036854775807');
  const [key, text, ...values] = (await writeAvro([
    { schema: KEY, value: { tenant: 'grün "é"', number } },
    { schema: 'string', value: 'a "text"' },
    ...[0, 1, 2, 3].map((value) => ({ schema, value: { id: value } })),
  ])) as [Buffer, Buffer, ...Buffer[]];
  const keys = [withSchemaId(keyId, key), withSchemaId(textId, text), Buffer.from('plain'), null];
  const [fixture] = await start({
    columns: 'id Int64, tenant String, number Int64',
    pipeline: { key: { format: 'avro' }, columns: { tenant: 'key:/tenant', number: 'key:/number' } },
  });
  await fixture.produce(keys.length, (index) => ({ key: keys[index]!, value: withSchemaId(id, values[index]!) }));
  await eventually(() => expect(fixture.acks.length).toBe(keys.length));
  expect(
    await fixture.query(
      `SELECT toInt32(id) AS id, tenant, toString(number) AS number, _key FROM ${fixture.table} ORDER BY id`,
    ),
  ).toEqual([
    {
      id: 0,
      tenant: 'grün "é"',
      number: '9223372036854775807',
      _key: '{"tenant":"grün \\"é\\"","number":9223372036854775807}',
    },
    { id: 1, tenant: '', number: '0', _key: 'a "text"' },
    { id: 3, tenant: '', number: '0', _key: '' },
  ]);
  const [letter] = await fixture.deadLetters(1);
  expect([letter?.key, letter?.value]).toEqual([keys[2], withSchemaId(id, values[2]!)]);
  const why = expect.stringContaining('the key cannot be decoded: it does not begin') as string;
  expect(fixture.acks.filter(({ status }) => status === 'rejected')).toMatchObject([
    { code: 'undecodable', message: why },
  ]);
  const shown = await ktb(fixture.config(), ['dlq', 'show', fixture.name, '--values']);
  expect(JSON.parse(shown.output)).toMatchObject({ key: 'plain', value: '{"id":2}', notDecoded: why });
}, 600_000);

it('ktb check says whether the registry answers, and ktb setup that no schema says which columns there are', async () => {
  const at = async (url: string) => {
    const pipeline = { format: 'avro' as const, table: 'no_such_table' };
    const fixture = await Fixture.create(stack(), { config: { schemaRegistry: { url } }, pipeline });
    const { output } = await ktb(fixture.config(), ['check', '--json']);
    const findings = JSON.parse(output) as { level: string; subject: string; message: string }[];
    const finding = findings.find(({ subject }) => subject.startsWith('schema registry'));
    return { fixture, found: [finding?.level, finding?.message] };
  };
  const { fixture, found } = await at(registry().url);
  expect(found).toEqual(['ok', 'answers']);
  expect((await at(`${registry().url}/nowhere`)).found).toEqual([
    'wrong',
    expect.stringContaining('is no schema registry'),
  ]);
  const { code, output } = await ktb(fixture.config(), ['setup', '--from-sample', '10', '--dry-run']);
  expect([code, output]).toEqual([1, expect.stringContaining(`There is no schema of avro for topic ${fixture.topic}`)]);
}, 600_000);

it('JSON with the header of a JSON Schema serializer needs no registry', async () => {
  const fixture = await Fixture.create(stack(), { pipeline: { format: 'json-schema' } });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  const value = withSchemaId(4_711, Buffer.from('{"id":9007199254740993,"text":"x"}'));
  await fixture.produce(1, () => ({ value }));
  await fixture.produce(1, () => ({ value: '{"id":1}' }));
  await eventually(() => expect(fixture.acks.length).toBe(2));
  expect(fixture.acks.map(({ code, status }) => code ?? status).sort()).toEqual(['inserted', 'undecodable']);
  expect(await fixture.query(`SELECT toString(id) AS id, text FROM ${fixture.table}`)).toEqual([
    { id: '9007199254740993', text: 'x' },
  ]);
}, 600_000);

it('records are divided by what is in them: the same value has one batcher, and without the registry partitions wait', async () => {
  const schemas = [
    ORDER([{ name: 'customer', type: 'int' }]),
    ORDER([
      { name: 'id', type: 'long' },
      { name: 'customer', type: 'string' },
    ]),
    ORDER([
      { name: 'note', type: 'string' },
      { name: 'customer', type: 'long' },
    ]),
  ];
  const own = await startRegistry(reportSetUp);
  try {
    const ids: number[] = [];
    for (const [index, schema] of schemas.entries()) ids.push(await register(own.url, `divided${index}`, schema));
    const count = 600;
    const ofSchema = (record: number) => (record < 200 ? 0 : record < 400 ? 1 : 2);
    const values = Array.from({ length: count }, (_, record) => {
      const customer = record % 20;
      return [{ customer }, { id: record, customer: String(customer) }, { note: 'x', customer }][ofSchema(record)]!;
    });
    const payloads = await writeAvro(values.map((value, record) => ({ schema: schemas[ofSchema(record)], value })));
    const fixture = await Fixture.create(stack(), {
      config: { schemaRegistry: { url: own.url, requestTimeout: '1s' } },
      columns: 'customer String',
      pipeline: { format: 'avro', shardBy: '/customer', columns: { customer: '/customer' } },
    });
    await fixture.collectAcks();
    const daemon = await Daemon.start(fixture.config());
    const produce = (records: number) =>
      fixture.produce(records, (record) =>
        record === 399
          ? { key: 'bad', value: 'no Avro' }
          : { value: withSchemaId(ids[ofSchema(record)]!, payloads[record]!) },
      );
    await produce(400);
    await eventually(() => expect(fixture.acks.length).toBe(400));
    const members = async () =>
      (await fixture.admin.describeGroups([`ktb-${fixture.name}`])).groups[0]?.members[0]?.memberId;
    const member = await members();
    await own.part.suspend();
    await produce(200);
    await eventually(() =>
      expect(daemon.output).toContain('shardBy needs the schemas of its records: the schema registry at'),
    );
    expect(fixture.acks.length).toBe(400);
    await own.part.resume();
    await eventually(() => expect(fixture.acks.length).toBe(count), 120_000);
    expect([typeof member, await members()]).toEqual(['string', member]);
    expect(fixture.acks.filter(({ status }) => status !== 'inserted')).toMatchObject([
      { key: 'bad', code: 'undecodable' },
    ]);
    const rows = await fixture.query<{ customer: string; _partition: number; _offset: string }>(
      `SELECT customer, _partition, _offset FROM ${fixture.table}`,
    );
    // A batch is of one batcher.
    const batchOf = new Map(fixture.acks.map(({ partition, offset, batch }) => [`${partition}/${offset}`, batch]));
    const lanes = new Map<string | undefined, Set<number>>();
    for (const { customer, _partition, _offset } of rows) {
      const batch = batchOf.get(`${_partition}/${_offset}`);
      const known = lanes.get(batch) ?? new Set();
      lanes.set(batch, known.add(murmur2(Buffer.from(customer)) % fixture.batchers));
    }
    expect([...lanes.values()].map(({ size }) => size)).toEqual(Array(lanes.size).fill(1));
    expect(new Set([...lanes.values()].flatMap((some) => [...some])).size).toBeGreaterThan(3);
    const { _partition, _offset } = rows.find(({ customer }) => customer === '7')!;
    const place = `${fixture.topic}/${_partition}/${_offset}`;
    const found = await ktb(fixture.config(), ['where', place, '--values']);
    expect([found.code, found.output]).toEqual([
      0,
      expect.stringMatching(/inserted[^]*value +\{[^]*"customer":"?7"?\}/),
    ]);
    const [report] = JSON.parse((await ktb(fixture.config(), ['where', place, '--json'])).output) as [
      { record: { batcher: string }; acceptances: { workflowId: string }[] },
    ];
    expect(report.acceptances.map(({ workflowId }) => workflowId)).toEqual([report.record.batcher]);
  } finally {
    await own.stop();
  }
}, 600_000);

it('a registry that goes away holds only what it has to be asked for; a schema that evolves under load loses nothing', async () => {
  const first = ORDER([{ name: 'id', type: 'int' }]);
  const second = ORDER([
    { name: 'id', type: 'long' },
    { name: 'text', type: 'string', default: '' },
  ]);
  const own = await startRegistry(reportSetUp);
  try {
    const firstId = await register(own.url, 'evolving', first);
    const secondId = await register(own.url, 'evolving', second);
    const each = 3_000;
    const payloads = await writeAvro(
      Array.from({ length: 2 * each }, (_, id): ToWrite =>
        id < each
          ? { schema: first, value: { id } }
          : { schema: second, value: { id: { $long: String(BigInt(id) + 2n ** 60n) }, text: `n${id}` } },
      ),
    );
    const fixture = await Fixture.create(stack(), {
      config: { schemaRegistry: { url: own.url, requestTimeout: '1s' } },
      pipeline: { format: 'avro', insert: { retryFor: '1m' } },
    });
    await fixture.collectAcks();
    const daemon = await Daemon.start(fixture.config());
    const produce = (records: number) =>
      fixture.produce(records, (id) => ({ value: withSchemaId(id < each ? firstId : secondId, payloads[id]!) }));
    await produce(each / 2);
    await eventually(() => expect(fixture.acks.length).toBe(each / 2));
    await own.part.suspend();
    // Its schema is known, so nothing waits.
    await produce(each / 2);
    await eventually(() => expect(fixture.acks.length).toBe(each));
    await produce(each);
    await eventually(() => expect(daemon.output).toContain('and holds its batches: the schema registry at'));
    expect(fixture.acks.length).toBe(each);
    await own.part.resume();
    await eventually(() => expect(fixture.acks.length).toBe(2 * each), 120_000);
    expect(new Set(fixture.acks.map(({ status }) => status))).toEqual(new Set(['inserted']));
    expect(await fixture.rowCounts()).toEqual({ rows: 2 * each, identities: 2 * each, ids: 2 * each });
    const sums = `SELECT toString(sum(toInt128(id))) AS sum, countIf(text = concat('n', toString(id - ${2n ** 60n}))) AS texts`;
    const sumOfIds = BigInt(each) * 2n ** 60n + (BigInt(2 * each) * BigInt(2 * each - 1)) / 2n;
    expect(await fixture.query(`${sums} FROM ${fixture.table}`)).toEqual([{ sum: String(sumOfIds), texts: each }]);
  } finally {
    await own.stop();
  }
}, 600_000);

/** A field: its Avro type, the type of the column that is proposed for it, what is written, and what has to be there. */
type Proposed = readonly [avro: unknown, column: string, value: unknown, stored: string | null];

const TREE = {
  type: 'record',
  name: 'test.Tree',
  fields: [
    { name: 'n', type: 'int' },
    { name: 'left', type: ['null', 'test.Tree'] },
  ],
};

const PROPOSED: readonly Proposed[] = [
  ['boolean', 'Bool', true, 'true'],
  ['int', 'Int32', -2147483648, '-2147483648'],
  ['long', 'Int64', long('-9007199254740993'), '-9007199254740993'],
  [['null', 'long'], 'Nullable(Int64)', null, null],
  [['null', 'long'], 'Nullable(Int64)', 5, '5'],
  ['float', 'Float32', 0.1, '0.1'],
  ['double', 'Float64', 5e-324, '5e-324'],
  ['string', 'String', 'grün "é"\n\\', 'grün "é"\n\\'],
  ['bytes', 'String', bytes('00ff8022', 'hex'), '00FF8022'],
  [fixed('test.F4', 4), 'FixedString(4)', bytes('80ff0022', 'hex'), '80FF0022'],
  [
    logical('bytes', 'decimal', { precision: 38, scale: 10 }),
    'Decimal(38, 10)',
    decimal('-12.0123456789'),
    '-12.0123456789',
  ],
  [
    ['null', logical('bytes', 'decimal', { precision: 9, scale: 2 })],
    'Nullable(Decimal(9, 2))',
    decimal('-0.05'),
    '-0.05',
  ],
  [logical('bytes', 'decimal', { precision: 77, scale: 0 }), 'String', decimal('9'.repeat(77)), '9'.repeat(77)],
  [logical('string', 'uuid'), 'UUID', '61f0c404-5cb3-11e7-907b-a6006ad3dba0', '61f0c404-5cb3-11e7-907b-a6006ad3dba0'],
  [logical('int', 'date'), 'Date32', -25_000, '1901-07-22'],
  [logical('int', 'time-millis'), 'String', 1, '00:00:00.001'],
  [logical('long', 'timestamp-millis'), "DateTime64(3, 'UTC')", 1_700_000_000_123, '2023-11-14 22:13:20.123'],
  [logical('long', 'timestamp-micros'), "DateTime64(6, 'UTC')", 1_700_000_000_123_456, '2023-11-14 22:13:20.123456'],
  [
    logical('long', 'timestamp-nanos'),
    "DateTime64(9, 'UTC')",
    long('1700000000123456789'),
    '2023-11-14 22:13:20.123456789',
  ],
  [
    logical('long', 'local-timestamp-micros'),
    "DateTime64(6, 'UTC')",
    1_700_000_000_123_456,
    '2023-11-14 22:13:20.123456',
  ],
  [
    fixed('test.Dur', 12, { logicalType: 'duration' }),
    'Tuple(months UInt32, days UInt32, milliseconds UInt32)',
    bytes('0100000002000000ffffffff', 'hex'),
    '(1,2,4294967295)',
  ],
  [{ type: 'enum', name: 'test.E', symbols: ['RED', 'GREEN'] }, 'LowCardinality(String)', 'GREEN', 'GREEN'],
  [['null', 'test.E'], 'LowCardinality(Nullable(String))', null, null],
  [{ type: 'array', items: ['null', 'string'] }, 'Array(Nullable(String))', ['a', null], "['a',NULL]"],
  [['null', { type: 'array', items: 'int' }], 'Array(Int32)', null, '[]'],
  [
    { type: 'map', values: 'long' },
    'Map(String, Int64)',
    { 'ä"': long('9007199254740993') },
    `{'ä"':9007199254740993}`,
  ],
  [TREE, 'Tuple(n Int32, left Nullable(String))', { n: 1, left: { n: 2, left: null } }, `(1,'{"n":2,"left":null}')`],
  [
    ['null', { type: 'record', name: 'test.Q', fields: [{ name: 'q', type: 'int' }] }],
    'Tuple(q Nullable(Int32))',
    null,
    '(NULL)',
  ],
  [{ type: 'array', items: 'test.Q' }, 'Array(Tuple(q Int32))', [{ q: 1 }], '[(1)]'],
  [['int', 'string'], 'String', 5, '5'],
  [['int', 'long', 'null'], 'Nullable(Int64)', { $tuple: ['long', long('9007199254740993')] }, '9007199254740993'],
];

it('ktb setup makes a table from the schemas of a topic, and it holds each type as it was written', async () => {
  const schema = ORDER([
    ...PROPOSED.map(([type], index) => ({ name: `c${index}`, type })),
    { name: '_topic', type: 'null' },
  ]);
  const value = Object.fromEntries(PROPOSED.map(([, , written], index) => [`c${index}`, written]));
  const [payload] = (await writeAvro([{ schema, value }])) as [Buffer];
  const fixture = await Fixture.create(stack(), { config: { schemaRegistry: { url: registry().url } } });
  const made = `${fixture.table}_made`;
  const config = fixture.config({ format: 'avro', table: made, columns: { trace: 'header:trace' } });
  // Before there is a record, the latest schema of the topic's subject counts.
  const id = await register(registry().url, `${fixture.topic}-value`, schema);
  const early = await ktb(config, ['setup', '--from-sample', '10', '--dry-run']);
  expect(early.output).toContain(`would be created from the schema of subject ${fixture.topic}-value as`);
  const withoutTopic = ORDER(schema.fields.slice(0, -1));
  const laterId = await register(registry().url, `${fixture.topic}-value`, withoutTopic);
  await fixture.produce(1, () => ({ value: withSchemaId(laterId, payload), headers: { trace: 't' } }));
  expect((await ktb(config, ['setup', '--from-sample', '10'])).output).toContain(
    `created from the schema ${laterId} and 1 records as`,
  );
  expect(id).not.toBe(laterId);
  const columns = await fixture.query<{ name: string; type: string }>(
    `SELECT name, type FROM system.columns WHERE table = '${made}' AND NOT startsWith(name, '_') ORDER BY position`,
  );
  expect(columns.map(({ name, type }) => [name, type])).toEqual([
    ...PROPOSED.map(([, type], index) => [`c${index}`, type]),
    ['trace', 'Nullable(String)'],
  ]);
  await fixture.collectAcks();
  await Daemon.start(config);
  await eventually(() => expect(fixture.acks.map(({ status, message }) => message ?? status)).toEqual(['inserted']));
  const texts = PROPOSED.map(([type, column], index) =>
    type === 'bytes' || column.startsWith('FixedString') ? `hex(c${index})` : `toString(c${index})`,
  );
  const [row] = await fixture.query<{ stored: unknown[] }>(`SELECT [${texts.join(', ')}] AS stored FROM ${made}`);
  expect(row!.stored).toEqual(PROPOSED.map(([, , , stored]) => stored));
}, 600_000);

it('ktb setup makes one table for all schemas of the newest records; it takes the records of each, and grows with a later schema', async () => {
  const first = ORDER([
    { name: 'id', type: 'int' },
    { name: 'gone', type: 'string' },
  ]);
  const second = ORDER([
    { name: 'id', type: 'long' },
    { name: 'note', type: ['null', 'string'] },
  ]);
  const fixture = await Fixture.create(stack(), { config: { schemaRegistry: { url: registry().url } } });
  const ids: number[] = [];
  for (const schema of [first, second]) ids.push(await register(registry().url, `${fixture.topic}-value`, schema));
  const payloads = await writeAvro([
    { schema: first, value: { id: 1, gone: 'x' } },
    { schema: second, value: { id: long('9007199254740993'), note: null } },
  ]);
  await fixture.produce(2, (index) => ({ value: withSchemaId(ids[index]!, payloads[index]!) }));
  const made = `${fixture.table}_made`;
  const config = fixture.config({ format: 'avro', table: made, evolve: 'apply' });
  expect((await ktb(config, ['setup', '--from-sample', '100'])).code).toBe(0);
  await fixture.collectAcks();
  await Daemon.start(config);
  await eventually(() => expect(fixture.acks.map(({ status }) => status)).toEqual(['inserted', 'inserted']));
  expect(
    await fixture.query(
      `SELECT toString(id) AS id, gone, note, toTypeName(t.id) AS type FROM ${made} AS t ORDER BY t.id`,
    ),
  ).toEqual([
    { id: '1', gone: 'x', note: null, type: 'Int64' },
    { id: '9007199254740993', gone: null, note: null, type: 'Int64' },
  ]);
  const third = ORDER([
    { name: 'id', type: 'long' },
    { name: 'price', type: logical('bytes', 'decimal', { precision: 9, scale: 2 }) },
    { name: 'tags', type: { type: 'array', items: 'string' } },
    { name: 'note', type: 'string' },
  ]);
  const thirdId = await register(registry().url, `${fixture.topic}-value`, third);
  const [later] = await writeAvro([
    { schema: third, value: { id: 3, price: decimal('1.50'), tags: ['a'], note: 'n' } },
  ]);
  await fixture.produce(1, () => ({ value: withSchemaId(thirdId, later!) }));
  await eventually(() => expect(fixture.acks.map(({ status }) => status)).toEqual(Array(3).fill('inserted')));
  expect(
    await fixture.query(
      `SELECT toString(price) AS text, toTypeName(price) AS type, toTypeName(tags) AS list, note FROM ${made} WHERE id = 3`,
    ),
  ).toEqual([{ text: '1.5', type: 'Nullable(Decimal(9, 2))', list: 'Array(String)', note: 'n' }]);
}, 600_000);
