import { expect, it } from 'vitest';
import { registerSchema } from '../../stack/native/registry.js';
import { register, withSchemaId, writeAvro } from '../support/avro.js';
import { Daemon, ktb } from '../support/daemon.js';
import {
  ofMysql,
  ofPostgres,
  outOfOrder,
  randomChanges,
  seeded,
  withSchema,
  type Change,
  type Customer,
} from '../support/debezium.js';
import { eventually } from '../support/eventually.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { withMessageIndexes, writeProtobuf } from '../support/protobuf.js';
import { useRegistry } from '../support/useRegistry.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const registry = useRegistry();

const OF_ENVELOPE = {
  op: 'envelope:/op',
  by: 'envelope:/source/connector',
  at: { from: 'envelope:/source/ts_ms', unit: 'ms' },
} as const;

/** A pipeline that takes changes, with a table that was not made by `ktb setup`. */
async function start(pipeline: FixtureOptions['pipeline']): Promise<readonly [Fixture, table: string]> {
  const fixture = await Fixture.create(stack(), {
    config: { schemaRegistry: { url: registry().url } },
    pipeline: { envelope: 'debezium', columns: OF_ENVELOPE, ...pipeline },
  });
  const table = `${fixture.table}_changes`;
  await fixture.query(
    `CREATE TABLE ${table} (id Int64, name Nullable(String), balance Decimal(12, 2),
       op String, by String, at DateTime64(3, 'UTC'),
       _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
       _epoch LowCardinality(String), _version UInt64, _is_deleted UInt8)
     ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id SETTINGS non_replicated_deduplication_window = 1000`,
  );
  await fixture.collectAcks();
  await Daemon.start(fixture.config({ table }));
  return [fixture, table];
}

/** Produces events, each with a tombstone after it if it deletes, and waits for their answers. */
async function produce(
  fixture: Fixture,
  events: readonly { readonly change: Change; readonly value: Buffer }[],
): Promise<void> {
  const messages = events.flatMap(({ change, value }) => {
    const payload = { id: (change.after ?? change.before)?.id };
    const key = JSON.stringify(change.at % 2 === 0 ? payload : { schema: { type: 'struct' }, payload });
    return change.op === 'd'
      ? [
          { key, value },
          { key, value: null },
        ]
      : [{ key, value }];
  });
  const before = fixture.produced;
  await fixture.produce(messages.length, (id) => messages[id - before]!);
  await eventually(() => expect(fixture.acks).toHaveLength(fixture.produced), 60_000);
  const tombstones = messages.filter(({ value }) => value === null).length;
  expect(fixture.acks.filter(({ status }) => status === 'skipped')).toHaveLength(tombstones);
  expect(fixture.acks.filter(({ status }) => status === 'rejected')).toEqual([]);
}

async function expectToEqual(fixture: Fixture, table: string, source: ReadonlyMap<number, Customer>): Promise<void> {
  const rows = await fixture.query(
    `SELECT toInt32(id) AS id, name, toString(balance) AS balance FROM ${table} FINAL ORDER BY id`,
  );
  const expected = [...source.values()]
    .toSorted((one, other) => one.id - other.id)
    .map((row) => ({ ...row, balance: String(Number(row.balance)) }));
  expect(rows).toEqual(expected);
  const wrong = `(op = 'd') != (_is_deleted = 1) OR by NOT IN ('postgresql', 'mysql') OR at <= '2023-11-14 22:13:20'`;
  expect(await fixture.query(`SELECT op, by, at FROM ${table} WHERE ${wrong} LIMIT 5`)).toEqual([]);
}

it.each([
  ['PostgreSQL', ofPostgres, 'lsn'],
  ['MySQL', ofMysql, 'pos'],
] as const)('changes of %s, out of order and repeated: FINAL is the source’s table', async (_, write, version) => {
  const random = seeded(7);
  const { changes, table: source } = randomChanges(2_000, random);
  const [fixture, table] = await start({ key: { format: 'json' }, debezium: { version } });
  const shuffled = outOfOrder(changes, random);
  const lastToCome = new Map(shuffled.map(({ before, after }) => [(after ?? before)?.id, after]));
  expect([...source].filter(([id, row]) => lastToCome.get(id) !== row).length).toBeGreaterThan(10);
  const events = shuffled.map((change) => {
    const event = write(change);
    return { change, value: Buffer.from(JSON.stringify(random() < 0.5 ? event : withSchema(event))) };
  });
  await produce(fixture, events);
  await expectToEqual(fixture, table, source);
  await fixture.query(`OPTIMIZE TABLE ${table} FINAL`);
  await expectToEqual(fixture, table, source);
  expect(source.size).toBeGreaterThan(50);
  expect(await fixture.query(`SELECT _key FROM ${table} WHERE _key != concat('{"id":', toString(id), '}')`)).toEqual(
    [],
  );
});

const FIELDS = [
  { name: 'id', type: 'long' },
  { name: 'name', type: ['null', 'string'] },
  { name: 'balance', type: ['null', 'string'] },
];
const SOURCE = [
  { name: 'connector', type: 'string' },
  { name: 'ts_ms', type: 'long' },
  { name: 'lsn', type: ['null', 'long'] },
];
const ENVELOPE = {
  type: 'record',
  name: 'Envelope',
  namespace: 'server.public.customers',
  fields: [
    { name: 'before', type: ['null', { type: 'record', name: 'Value', fields: FIELDS }] },
    { name: 'after', type: ['null', 'Value'] },
    { name: 'source', type: { type: 'record', name: 'Source', fields: SOURCE } },
    { name: 'op', type: 'string' },
    { name: 'ts_ms', type: ['null', 'long'] },
  ],
};
const PROTOBUF = `syntax = "proto3"; package server;
message Envelope {
  message Value { int64 id = 1; optional string name = 2; optional string balance = 3; }
  message Source { string connector = 1; int64 ts_ms = 2; optional int64 lsn = 3; }
  Value before = 1; Value after = 2; Source source = 3; string op = 4; int64 ts_ms = 5;
}`;

/** What a schema knows of a change. */
function known(change: Change) {
  const { source, ...event } = ofPostgres(change) as {
    op: string;
    before: object | null;
    after: object | null;
    source: Record<string, unknown>;
    ts_ms: number;
  };
  const { connector, ts_ms, lsn } = source;
  return {
    before: event.before,
    after: event.after,
    op: event.op,
    ts_ms: event.ts_ms,
    source: { connector, ts_ms, lsn },
  };
}

it('changes in Avro and Protobuf: FINAL is the source’s table', async () => {
  const random = seeded(11);
  const { changes, table: source } = randomChanges(300, random);
  const shuffled = outOfOrder(changes, random);
  const avroId = await register(registry().url, 'debezium-avro-value', ENVELOPE);
  const avro = await writeAvro(shuffled.map((change) => ({ schema: ENVELOPE, value: known(change) })));
  const protobufId = await registerSchema(registry().url, 'debezium-protobuf-value', {
    schema: PROTOBUF,
    schemaType: 'PROTOBUF',
  });
  const files = { 'e.proto': PROTOBUF };
  const withoutNulls = (value: object): object =>
    JSON.parse(JSON.stringify(value, (_, inner: unknown) => inner ?? undefined)) as object;
  const protobuf = await writeProtobuf(
    shuffled.map((change) => ({ files, message: 'server.Envelope', value: withoutNulls(known(change)) })),
  );
  for (const [format, write] of [
    ['avro', (index: number) => withSchemaId(avroId, avro[index]!)],
    ['protobuf', (index: number) => withMessageIndexes(protobufId, protobuf[index]!)],
  ] as const) {
    const [fixture, table] = await start({ format, debezium: { version: 'lsn' } });
    await produce(
      fixture,
      shuffled.map((change, index) => ({ change, value: write(index) })),
    );
    await expectToEqual(fixture, table, source);
  }
}, 600_000);

it('setup makes the table from the changes, check says what another one lacks, and what is no change is rejected', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { envelope: 'debezium' } });
  const table = `${fixture.table}_made`;
  const config = fixture.config({ table, debezium: { truncates: 'skip' } });
  const lacking = await ktb(fixture.config(), ['check']);
  expect(lacking.code).toBe(1);
  expect(lacking.output.replaceAll(/\s+/g, ' ')).toContain('has no column _version and _is_deleted');
  const row = { id: 1, name: 'a', balance: '1.50' };
  // A snapshot reads the row before a transaction commits, whose change has an earlier place in the log.
  const values = [
    ofPostgres({ op: 'r', before: null, after: { ...row, name: 'old' }, at: 9 }),
    ofPostgres({ op: 'u', before: null, after: row, at: 1 }),
    { op: 't', source: { connector: 'postgresql', lsn: 5 }, ts_ms: 1 },
    { id: 5 },
  ];
  for (const value of values)
    await fixture.produce(1, () => ({ key: '{"schema":{},"payload":{"id":1}}', value: JSON.stringify(value) }));
  const setup = await ktb(config, ['setup', '--from-sample', '10']);
  expect(setup.output).toMatch(
    /`id` Int64[\s\S]*_version UInt64[\s\S]*ReplacingMergeTree\(_version, _is_deleted\)\s+ORDER BY \(`id`\)/,
  );
  expect((await ktb(config, ['check'])).output).not.toMatch(/_version|by_identity|sorted/);
  await fixture.collectAcks();
  await Daemon.start(config);
  await eventually(() => expect(fixture.acks).toHaveLength(4));
  expect(fixture.acks.map(({ status, code }) => code ?? status).toSorted()).toEqual([
    'inserted',
    'inserted',
    'no_envelope',
    'skipped',
  ]);
  expect(
    await fixture.query(
      `SELECT toInt32(id) AS id, name, toUInt32(_version) AS version, _is_deleted AS deleted FROM ${table} FINAL`,
    ),
  ).toEqual([{ id: 1, name: 'a', version: 1, deleted: 0 }]);
});

it('a deletion that says only the primary key deletes the row, whatever types the other columns have', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { envelope: 'debezium' } });
  const table = `${fixture.table}_gaps`;
  await fixture.query(
    `CREATE TABLE ${table} (id Int64, u UUID, ip IPv4, state Enum8('new' = 1), kind LowCardinality(String), day Date,
       _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
       _epoch LowCardinality(String), _version UInt64, _is_deleted UInt8)
     ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id SETTINGS non_replicated_deduplication_window = 1000`,
  );
  const known = {
    u: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    ip: '1.2.3.4',
    state: 'new',
    kind: 'k',
    day: '2024-02-29',
  };
  const unknown = { u: '', ip: '', state: '', kind: '', day: '' };
  for (const change of [
    { op: 'c', after: { id: 1, ...known } },
    { op: 'c', after: { id: 2, ...known } },
    { op: 'd', before: { id: 1, ...unknown } },
    { op: 'd', before: { id: 3, ...unknown, state: null } },
  ])
    await fixture.produce(1, () => ({ key: '{"id":1}', value: JSON.stringify(change) }));
  await fixture.collectAcks();
  await Daemon.start(fixture.config({ table }));
  await eventually(() => expect(fixture.acks).toHaveLength(4));
  expect(fixture.acks.map(({ status, code }) => code ?? status)).toEqual(Array(4).fill('inserted'));
  expect(await fixture.query(`SELECT toInt32(id) AS id, state FROM ${table} FINAL`)).toEqual([{ id: 2, state: 'new' }]);
});

it('setup sorts by what only the keys have, as a router of Debezium’s adds it, if it is mapped, and says so if not', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { envelope: 'debezium' } });
  const table = `${fixture.table}_shards`;
  const change = ofPostgres({ op: 'c', before: null, after: { id: 1, name: 'a', balance: '1.50' }, at: 1 });
  const key = JSON.stringify({
    schema: {},
    payload: { id: 1, __dbz__physicalTableIdentifier: 'server.shard1.customers' },
  });
  await fixture.produce(1, () => ({ key, value: JSON.stringify(change) }));
  const lacking = await ktb(fixture.config({ table }), ['setup', '--from-sample', '10']);
  expect(lacking.code).toBe(1);
  expect(lacking.output.replaceAll(/\s+/g, ' ')).toContain(
    "columns: { __dbz__physicalTableIdentifier: 'key:/__dbz__physicalTableIdentifier' }",
  );
  const columns = { shard: 'key:/__dbz__physicalTableIdentifier' };
  const setup = await ktb(fixture.config({ table, key: { format: 'json' }, columns }), [
    'setup',
    '--from-sample',
    '10',
  ]);
  expect(setup.output).toMatch(/`shard` String[\s\S]*ORDER BY \(`id`, `shard`\)/);
  expect(setup.code).toBe(0);
});

it('an old change that is replayed does not win over a newer one', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { envelope: 'debezium' } });
  const table = `${fixture.table}_replayed`;
  await fixture.query(
    `CREATE TABLE ${table} (id Int64, n UInt8,
       _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String,
       _epoch LowCardinality(String), _version UInt64, _is_deleted UInt8)
     ENGINE = ReplacingMergeTree(_version, _is_deleted) ORDER BY id SETTINGS non_replicated_deduplication_window = 1000`,
  );
  const config = fixture.config({ table });
  await fixture.collectAcks();
  await Daemon.start(config);
  for (const n of [300, 5])
    await fixture.produce(1, () => ({ key: '{"id":1}', value: JSON.stringify({ op: 'u', after: { id: 1, n } }) }));
  await eventually(() => expect(fixture.acks.map(({ status }) => status).toSorted()).toEqual(['inserted', 'rejected']));
  await fixture.query(`ALTER TABLE ${table} MODIFY COLUMN n UInt16`);
  const replay = await ktb(config, ['dlq', 'replay', fixture.name, '--all']);
  expect(replay.output).toContain('1 replayed to');
  await eventually(() => expect(fixture.acks).toHaveLength(3));
  const rows = (final: string) =>
    fixture.query(
      `SELECT n, toUInt32(_version) AS version, toUInt32(_offset) AS offset FROM ${table} ${final} ORDER BY version`,
    );
  await eventually(async () =>
    expect(await rows('')).toEqual([
      { n: 300, version: 0, offset: 2 },
      { n: 5, version: 1, offset: 1 },
    ]),
  );
  expect(await rows('FINAL')).toEqual([{ n: 5, version: 1, offset: 1 }]);
});
