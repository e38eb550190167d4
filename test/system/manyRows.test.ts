import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { createClickHouse } from '../../src/clickhouse/clients.js';
import { insertRecords } from '../../src/clickhouse/insertRecords.js';
import { ClickHouseTables } from '../../src/clickhouse/tables.js';
import { DEFAULT_MAPPING } from '../support/chunks.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { record } from '../support/records.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const COLUMNS = 'id Int64, text String, _row UInt32, CONSTRAINT positive CHECK id >= 0';
const of = (format: 'json-lines' | 'json-array', pipeline: FixtureOptions['pipeline'] = {}): FixtureOptions => ({
  partitions: 1,
  columns: COLUMNS,
  pipeline: { format, ...pipeline },
});
const shared = useSharedDaemon(stack, {
  lines: of('json-lines'),
  array: of('json-array', { where: { pointer: '/id', notEquals: 13 }, tombstones: 'insert' }),
});

const rowsOf = (fixture: Fixture) =>
  fixture.query(
    `SELECT toUInt32(_offset) AS offset, toUInt32(_row) AS row, toString(id) AS id, _key AS key FROM ${fixture.table} ORDER BY offset, row`,
  );
const answers = (fixture: Fixture) =>
  Object.fromEntries(fixture.acks.map(({ offset, status, code, message }) => [offset, [code ?? status, message]]));

it('each line is a row, a record has one answer, and one bad row rejects all of its record', async () => {
  const fixture = shared.fixture('lines');
  await fixture.collectAcks();
  const values = [
    '{"id": 1}\n{"id": 9007199254740993}\n\n{"id": 3}\r\n',
    '{"id": 4}\n{"id": "abc"}\n{"id": 6}',
    '{"id": 7}\n{"id": 8}\n{"id": -9}',
    '',
    '{"id": 10}\n[11]',
    '\ufeff{"id": 12}',
    '{"id": 13}\n{"id": 14, "_row": 7}',
    null,
  ];
  for (const [index, value] of values.entries()) await fixture.produce(1, () => ({ key: `k${index}`, value }));
  await eventually(() => expect(fixture.acks).toHaveLength(values.length));
  expect(answers(fixture)).toEqual({
    0: ['inserted', undefined],
    1: ['refused_by_clickhouse', expect.stringMatching(/^row 1: /)],
    2: ['refused_by_clickhouse', expect.stringMatching(/^row 2: /)],
    3: ['skipped', undefined],
    4: ['not_object', 'row 1: the value is an array, not a JSON object'],
    5: ['inserted', undefined],
    6: ['reserved_field', expect.stringMatching(/^row 1: the value has a field _row/)],
    7: ['not_json', 'the record has no value (a tombstone)'],
  });
  expect(await rowsOf(fixture)).toEqual([
    { offset: 0, row: 0, id: '1', key: 'k0' },
    { offset: 0, row: 1, id: '9007199254740993', key: 'k0' },
    { offset: 0, row: 2, id: '3', key: 'k0' },
    { offset: 5, row: 0, id: '12', key: 'k5' },
  ]);
  const where = async (offset: number) =>
    (await ktb(fixture.config(), ['where', `${fixture.topic}/0/${offset}`])).output;
  expect(await where(0)).toMatch(/: inserted[\s\S]*row +3 of 3 under epoch/);
  expect(await where(1)).toMatch(/: rejected[\s\S]*dead letter +refused_by_clickhouse.*row 1: /);
  expect(await where(3)).toContain(': skipped');
  expect(await ktb(fixture.config(), ['reconcile', fixture.name])).toMatchObject({ code: 0 });
  expect((await ktb(fixture.config(), ['dlq', 'list', fixture.name, '--json'])).output).toContain('"a row: ');

  await fixture.query(`ALTER TABLE ${fixture.table} DELETE WHERE _offset = 0 AND _row = 1 SETTINGS mutations_sync = 2`);
  expect(await where(0)).toMatch(/: MISSING[\s\S]*row +2 of 3 under epoch/);
  const lacking = await ktb(fixture.config(), ['reconcile', fixture.name, '--json']);
  expect(lacking.code).toBe(1);
  expect(JSON.parse(lacking.output)).toMatchObject([
    { missing: [], incomplete: [{ from: 0, to: 0, records: 1 }], doubled: [], inserted: 1, rejected: 5, skipped: 1 },
  ]);
});

it('each element of an array is a row, except those that the pipeline leaves out', async () => {
  const fixture = shared.fixture('array');
  await fixture.collectAcks();
  const values = [
    '[{"id": 1}, {"id": 13}, {"id": 2, "text": "],["}]',
    '[]',
    '[{"id": 13}]',
    '{"id": 3}',
    '[{"id": 4}, {"id": 5}',
    '[{"id": 6}] [{"id": 7}]',
    null,
    '[{"id": 13}, {"id": 8}, 9]',
  ];
  for (const [index, value] of values.entries()) await fixture.produce(1, () => ({ key: `k${index}`, value }));
  await eventually(() => expect(fixture.acks).toHaveLength(values.length));
  expect(answers(fixture)).toEqual({
    0: ['inserted', undefined],
    1: ['skipped', undefined],
    2: ['skipped', undefined],
    3: ['not_json', 'the value is an object, not a JSON array'],
    4: ['not_json', 'the value is not JSON: it ends too early'],
    5: ['not_json', expect.stringContaining('more follows after the array')],
    6: ['inserted', undefined],
    7: ['not_object', 'row 2: the value is a number, not a JSON object'],
  });
  expect(await rowsOf(fixture)).toEqual([
    { offset: 0, row: 0, id: '1', key: 'k0' },
    { offset: 0, row: 2, id: '2', key: 'k0' },
    { offset: 6, row: 0, id: '0', key: 'k6' },
  ]);
  expect(await ktb(fixture.config(), ['reconcile', fixture.name])).toMatchObject({ code: 0 });
});

it('workers that are killed lose no row and double none', async () => {
  const fixture = await Fixture.create(stack(), { columns: COLUMNS, pipeline: { format: 'json-lines' } });
  await fixture.collectAcks();
  const lines = (id: number) =>
    Array.from({ length: 1 + (id % 9) }, (_, row) => JSON.stringify({ id: id * 10 + row, text: 'x'.repeat(id % 50) }));
  const RECORDS = 12_000;
  const producing = (async () => {
    for (let produced = 0; produced < RECORDS; produced += 500) {
      await fixture.produce(500, (id) => ({ value: lines(id).join('\n') }));
      await sleep(150);
    }
  })();
  await Daemon.start(fixture.config(), ['--role', 'consumer']);
  for (let round = 1; round <= 4; round++) {
    const victim = await Daemon.start(fixture.config(), ['--role', 'worker']);
    await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThanOrEqual(round * 1_500));
    await sleep(97 * round);
    await victim.kill();
  }
  await producing;
  await Daemon.start(fixture.config(), ['--role', 'worker']);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(RECORDS), 120_000);
  expect(fixture.acks.filter(({ status }) => status !== 'inserted')).toEqual([]);
  const rows = Array.from({ length: RECORDS }, (_, id) => 1 + (id % 9)).reduce((sum, count) => sum + count);
  expect(
    await fixture.query(
      `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(id)) AS ids,
         toUInt32(uniqExact(_partition, _epoch, _offset, _row)) AS identities FROM ${fixture.table}`,
    ),
  ).toEqual([{ rows, ids: rows, identities: rows }]);
  expect(await ktb(fixture.config(), ['reconcile', fixture.name])).toMatchObject({ code: 0 });
});

it('a table of 0.1.0 is refused, with the statement that mends it, and then keeps all rows of a record', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { format: 'json-lines' } });
  const table = `${fixture.table}_old`;
  const config = fixture.config({ table });
  await fixture.produce(1, () => ({ value: '{"id": 1}\n{"id": 2}' }));
  const sampled = await ktb(fixture.config({ table, format: 'json-lines' }), [
    'setup',
    '--from-sample',
    '10',
    '--dry-run',
  ]);
  expect(sampled.output).toMatch(
    /2 rows of records[\s\S]*_row UInt32[\s\S]*ORDER BY \(_topic, _partition, _epoch, _offset, _row\)/,
  );
  await fixture.query(
    `CREATE TABLE ${table} (id Int64, _topic LowCardinality(String), _partition UInt32, _offset UInt64, _timestamp DateTime64(3), _key String, _epoch LowCardinality(String))
     ENGINE = ReplacingMergeTree ORDER BY (_topic, _partition, _epoch, _offset) SETTINGS non_replicated_deduplication_window = 1000`,
  );
  const alter = `ALTER TABLE \`${table}\` ADD COLUMN _row UInt32, MODIFY ORDER BY (_topic, _partition, _epoch, _offset, _row)`;
  const checked = await ktb(config, ['check']);
  expect(checked.code).toBe(1);
  expect(checked.output.replaceAll(/\s+/g, ' ')).toContain('has no column _row');
  expect((await ktb(config, ['setup'])).output).toContain(alter);
  const daemon = Daemon.launch(config);
  await fixture.collectAcks();
  await eventually(() => expect(daemon.output).toContain('has no column _row'));
  await fixture.query(alter);
  await eventually(() => expect(fixture.acks).toMatchObject([{ status: 'inserted' }]), 60_000);
  await fixture.query(`OPTIMIZE TABLE ${table} FINAL`);
  expect(await fixture.query(`SELECT toUInt32(_row) AS row, toString(id) AS id FROM ${table} ORDER BY row`)).toEqual([
    { row: 0, id: '1' },
    { row: 1, id: '2' },
  ]);
  expect((await ktb(config, ['check'])).output).not.toContain('_row');
});

it('of a record of which the table has a part only the rest is inserted, also in a rewind', async () => {
  const { url, username, password, database } = stack().clickhouse;
  const client = createClickHouse({
    ...{ urls: [url], username, password, database, accessToken: null, tls: null, settings: {}, maxConnections: 4 },
    ...{ requestTimeoutMs: 60_000, lookUpTimeoutMs: 60_000 },
  });
  try {
    const table = `many_${process.pid}`;
    await client.command({
      query: `CREATE TABLE ${table} (id Int64, _topic String, _partition UInt32, _offset UInt64, _epoch String, _timestamp DateTime64(3), _row UInt32)
        ENGINE = MergeTree ORDER BY id`,
    });
    const part = (epoch: string, offset: number, row: number) =>
      `('orders', 0, ${offset}, '${epoch}', fromUnixTimestamp64Milli(1700000000000), ${row}, ${offset * 10 + row})`;
    await client.command({
      query: `INSERT INTO ${table} (_topic, _partition, _offset, _epoch, _timestamp, _row, id) VALUES
        ${[part('e1', 1, 0), part('e1', 1, 2), part('e1', 2, 0), part('e0', 3, 1), part('e0', 4, 0)].join(', ')}`,
    });
    const source = { topic: 'orders', partition: 0, epoch: 'e1' };
    const of = (offset: number, rows: number) => ({
      source,
      record: record(offset, {
        timestampMs: 1_700_000_000_123,
        value: Buffer.from(Array.from({ length: rows }, (_, row) => `{"id":${offset * 10 + row}}`).join('\n')),
      }),
    });
    const insert = (records: readonly ReturnType<typeof of>[], own: object = {}) =>
      insertRecords(records, {
        tables: new ClickHouseTables(client, 'default'),
        ...{ table, columns: {}, mapping: { ...DEFAULT_MAPPING, format: 'json-lines' }, batch: table },
        ...{ repeated: true, overdue: false, mustBeAlive: () => undefined, pause: () => Promise.resolve() },
        ...own,
      });
    const first = await insert([of(1, 3), of(2, 1), of(5, 2)]);
    expect([first.inserted.length, first.found, first.rejected]).toEqual([3, 3, []]);
    const again = await insert([of(1, 3), of(2, 1), of(5, 2)]);
    expect([again.inserted.length, again.found]).toEqual([3, 6]);
    const filled = await insert([of(3, 2), of(4, 1)], { fill: { sources: new Set([source]), salt: 's' } });
    expect([filled.inserted.length, filled.found]).toEqual([2, 2]);
    const result = await client.query({ query: `SELECT id FROM ${table} ORDER BY id`, format: 'JSONCompactEachRow' });
    expect((await result.json<[string]>()).map(([id]) => Number(id))).toEqual([10, 11, 12, 20, 30, 31, 40, 50, 51]);
  } finally {
    await client.close();
  }
});
