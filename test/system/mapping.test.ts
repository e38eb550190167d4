import { expect, it } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { useSharedStack } from '../support/useStack.js';
import { quoteTable } from '../../src/clickhouse/sqlNames.js';
import { tableOfValue } from '../../src/protocol/tables.js';

const stack = useSharedStack();
const shared = useSharedDaemon(stack, {
  skipped: { pipeline: { tombstones: 'skip' } },
  inserted: {
    columns: 'id Nullable(Int64), customer String, deleted Nullable(String)',
    pipeline: { tombstones: 'insert', columns: { customer: 'key', deleted: 'header:deleted' } },
  },
  filtered: {
    columns: 'id Int64, kind String',
    pipeline: {
      where: [
        { pointer: '/kind', in: ['a', 'b'] },
        { pointer: '/gone', exists: false },
      ],
    },
  },
  gathered: {
    columns: 'id Int64, extra Map(String, String)',
    pipeline: { unknownFields: { into: 'extra' } },
  },
  gatheredAsJson: { columns: 'id Int64, extra JSON', pipeline: { unknownFields: { into: 'extra' } } },
  ignoring: { columns: 'id Int64' },
  marked: { columns: 'id Int64, text String', pipeline: { columns: { text: '/deep/text' } } },
  evolved: { columns: 'id Int64', pipeline: { evolve: 'apply' } },
  capped: { columns: 'id Int64', pipeline: { evolve: { mode: 'apply', maxColumns: 3 }, unknownFields: 'reject' } },
  proposed: { columns: 'id Int64', pipeline: { evolve: 'propose' } },
  altered: { columns: 'id Int64, amount UInt8', pipeline: { unknownFields: 'reject' } },
});
let fixture: Fixture;
let daemon: Daemon;

async function start(options: FixtureOptions): Promise<void> {
  fixture = await Fixture.create(stack(), options);
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config());
}

/** As {@link start}, in the daemon that tests share. */
async function begin(name: Parameters<typeof shared.fixture>[0]): Promise<void> {
  fixture = shared.fixture(name);
  await fixture.collectAcks();
}

const untilAnswered = (records: number) => eventually(() => expect(fixture.acks.length).toBe(records));
const statuses = () =>
  Object.fromEntries(
    fixture.acks.map(({ key, status, code }): [string | null, string] => [key, code ?? status]),
  ) as Record<string, string>;

it('any bytes reach a String column as they are; text has to be UTF-8', async () => {
  const bytes = Buffer.from([...Array(256).keys()]);
  await start({ columns: 'value String', pipeline: { format: 'bytes' } });
  await fixture.produce(1, () => ({ key: 'all', value: bytes }));
  await fixture.produce(1, () => ({ key: 'none', value: null }));
  await fixture.produce(1, () => ({ key: 'empty', value: '' }));
  await untilAnswered(3);
  expect(statuses()).toEqual({ all: 'inserted', none: 'no_value', empty: 'inserted' });
  expect(await fixture.query(`SELECT _key AS k, hex(value) AS h FROM ${fixture.table} ORDER BY k`)).toEqual([
    { k: 'all', h: bytes.toString('hex').toUpperCase() },
    { k: 'empty', h: '' },
  ]);

  await daemon.kill();
  daemon = await Daemon.start(fixture.config({ format: 'text', columns: { value: 'value' } }));
  await fixture.produce(1, () => ({ key: 'text', value: 'grün "é"\n\\' }));
  await fixture.produce(1, () => ({ key: 'broken', value: Buffer.from([0xc3, 0x28]) }));
  await untilAnswered(5);
  expect(statuses()).toMatchObject({ text: 'inserted', broken: 'not_text' });
  expect(await fixture.query(`SELECT value AS v FROM ${fixture.table} WHERE _key = 'text'`)).toEqual([
    { v: 'grün "é"\n\\' },
  ]);
});

it('tombstones are skipped, and acknowledged as that, where the pipeline says so', async () => {
  await begin('skipped');
  await fixture.produce(100, (id) => ({ key: `key-${id}`, ...(id % 4 === 0 ? { value: null } : {}) }));
  await untilAnswered(100);
  expect(fixture.acks.filter(({ status }) => status === 'skipped')).toHaveLength(25);
  expect(fixture.acks.filter(({ status }) => status === 'inserted')).toHaveLength(75);
  expect((await fixture.rowCounts()).rows).toBe(75);
  await eventually(async () => {
    const offsets = await fixture.offsets();
    expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ end }) => end));
  });
});

it('records that the pipeline does not want are skipped, and acknowledged as that', async () => {
  await begin('filtered');
  const values: Record<string, string | null> = {
    wanted: '{"id":1,"kind":"a"}',
    other: '{"id":2,"kind":"c"}',
    otherAndWrong: '{"id":"x","kind":"c"}',
    wrong: '{"id":"x","kind":"a"}',
    gone: '{"id":3,"kind":"b","gone":true}',
    without: '{"id":4}',
    noJson: '{"kind":"c"',
    noObject: '[1]',
    tombstone: null,
  };
  const keys = Object.keys(values);
  await fixture.produce(keys.length, (index) => ({ key: keys[index]!, value: values[keys[index]!]! }));
  await untilAnswered(keys.length);
  expect(statuses()).toEqual({
    ...{ wanted: 'inserted', other: 'skipped', otherAndWrong: 'skipped', wrong: 'refused_by_clickhouse' },
    ...{ gone: 'skipped', without: 'skipped', noJson: 'not_json', noObject: 'not_object', tombstone: 'not_json' },
  });
  expect(await fixture.query(`SELECT id, kind FROM ${fixture.table}`)).toEqual([{ id: 1, kind: 'a' }]);
  await fixture.deadLetters(4);
  const { code, output } = await ktb(fixture.config(), ['reconcile', fixture.name, '--json']);
  const reports = JSON.parse(output) as Record<'inserted' | 'rejected' | 'skipped', number>[];
  const sum = (key: 'inserted' | 'rejected' | 'skipped') => reports.reduce((total, report) => total + report[key], 0);
  expect([code, sum('inserted'), sum('rejected'), sum('skipped')]).toEqual([0, 1, 4, 4]);
  const { topic, partition, offset } = fixture.acks.find(({ key }) => key === 'other')!;
  const { output: found } = await ktb(fixture.config(), ['where', `${topic}/${partition}/${offset}`]);
  expect(found).toContain('skipped: ');
});

it('fields without a column go to the one that takes them, or are counted by their names', async () => {
  const value = '{"id":1,"a":"x","b":{"c":[1,2]},"d":9007199254740993}';
  for (const [name, shown, stored] of [
    ['gathered', 'extra', { extra: { a: 'x', b: '{"c":[1,2]}', d: '9007199254740993' } }],
    ['gatheredAsJson', 'toString(extra.a) AS a, toString(extra.d) AS d', { a: 'x', d: '9007199254740993' }],
  ] as const) {
    await begin(name);
    await fixture.produce(1, () => ({ key: 'k', value }));
    await untilAnswered(1);
    expect(statuses()).toEqual({ k: 'inserted' });
    expect(await fixture.query(`SELECT ${shown} FROM ${fixture.table}`)).toEqual([stored]);
  }
  await begin('ignoring');
  await fixture.produce(3, () => ({ key: 'k', value }));
  await untilAnswered(3);
  const series = { pipeline: fixture.name, field: 'b' };
  expect(await shared.daemon().metric('ktb_ignored_fields_total', series)).toBe(3);
});

it('tombstones become rows of key, headers and coordinates, where the pipeline says so', async () => {
  await begin('inserted');
  await fixture.produce(1, () => ({ key: 'c-1', value: '{"id": 1}' }));
  await fixture.produce(1, () => ({ key: 'c-1', value: null, headers: { deleted: 'yes' } }));
  await untilAnswered(2);
  expect(await fixture.query(`SELECT id, customer, deleted FROM ${fixture.table} ORDER BY _offset`)).toEqual([
    { id: 1, customer: 'c-1', deleted: null },
    { id: null, customer: 'c-1', deleted: 'yes' },
  ]);
});

it('JSON after a byte-order mark becomes a row, and bytes of a schema registry are rejected with what to do', async () => {
  await begin('marked');
  await fixture.produce(1, () => ({ key: 'marked', value: '\ufeff{"id": 9007199254740993, "deep": {"text": "é"}}' }));
  const header = Buffer.from([0, 0, 0, 1, 0]);
  await fixture.produce(1, () => ({ key: 'avro', value: Buffer.concat([header, Buffer.from([2, 6, 97, 98, 99])]) }));
  await fixture.produce(1, () => ({ key: 'schema', value: Buffer.concat([header, Buffer.from('{"id": 1}')]) }));
  await untilAnswered(3);
  expect(statuses()).toEqual({ marked: 'inserted', avro: 'not_json', schema: 'not_json' });
  expect(await fixture.query(`SELECT toString(id) AS id, text FROM ${fixture.table}`)).toEqual([
    { id: '9007199254740993', text: 'é' },
  ]);
  const messages = new Map(fixture.acks.map(({ key, message }) => [key, message]));
  expect(messages.get('avro')).toMatch(/schema registry: it is Avro or Protobuf.* format: bytes/);
  expect(messages.get('schema')).toMatch(/a JSON Schema serializer has written it/);
});

it('a field or a value that the table was altered for is accepted at once, another is rejected alone', async () => {
  await begin('altered');
  await fixture.produce(1, () => ({ key: 'known', value: '{"id": 1, "amount": 5}' }));
  await fixture.produce(1, () => ({ key: 'unknown', value: '{"id": 2, "colour": "secret"}' }));
  await fixture.produce(1, () => ({ key: 'large', value: '{"id": 3, "amount": 500}' }));
  await untilAnswered(3);
  expect(statuses()).toEqual({ known: 'inserted', unknown: 'unknown_field', large: 'out_of_range' });
  const message = fixture.acks.find(({ key }) => key === 'unknown')?.message;
  expect(message).toBe('the value has a field colour, which the table has no column for');

  await fixture.clickhouse.command({
    query: `ALTER TABLE ${fixture.table} ADD COLUMN colour String, MODIFY COLUMN amount UInt32`,
  });
  await fixture.produce(1, () => ({ key: 'added', value: '{"id": 4, "colour": "green", "amount": 500}' }));
  await untilAnswered(4);
  expect(statuses()).toMatchObject({ added: 'inserted' });
  expect(await fixture.query(`SELECT colour, amount FROM ${fixture.table} WHERE id = 4`)).toEqual([
    { colour: 'green', amount: 500 },
  ]);
});

it('ClickHouse’s own settings take effect on inserts', async () => {
  const clickhouse = { url: stack().clickhouse.url, settings: { input_format_json_read_numbers_as_strings: false } };
  await start({ config: { clickhouse } });
  await fixture.produce(1, () => ({ key: 'number', value: '{"id": 1, "text": 5}' }));
  await fixture.produce(1, () => ({ key: 'well', value: '{"id": 2, "text": "t"}' }));
  await untilAnswered(2);
  // By default a number becomes a text in a String column.
  expect(statuses()).toEqual({ number: 'refused_by_clickhouse', well: 'inserted' });
});

const columnsOf = async () =>
  Object.fromEntries(
    (
      await fixture.query<{ name: string; type: string }>(
        `SELECT name, type FROM system.columns WHERE table = '${fixture.table}' AND NOT startsWith(name, '_')`,
      )
    ).map(({ name, type }) => [name, type]),
  );

it('fields without a column get one, if their name may be one and they have a value; a later value has to fit', async () => {
  await begin('evolved');
  const value = {
    n: 5,
    amount: 1.5,
    day: '2026-01-31',
    flag: true,
    list: [1, 2],
    inner: { a: 1 },
    'größe "`\\': 'x',
    ['long'.repeat(2_500)]: 1,
    'a.b': 1,
    ID: 1,
    nothing: null,
    none: [],
    _part: 'x',
  };
  await fixture.produce(20, (id) => ({ key: `key-${id}`, value: JSON.stringify({ id, ...value }) }));
  await untilAnswered(20);
  expect(new Set(Object.values(statuses()))).toEqual(new Set(['inserted']));
  expect(await columnsOf()).toEqual({
    id: 'Int64',
    n: 'Nullable(Int64)',
    amount: 'Nullable(Float64)',
    // A later text that is no date, or an earlier one than a Date holds, goes in, too.
    day: 'Nullable(String)',
    flag: 'Nullable(Bool)',
    list: 'Array(Nullable(Int64))',
    // A tuple would take only the members of the first values.
    inner: 'Nullable(String)',
    'größe "`\\': 'Nullable(String)',
  });
  const sums = 'toUInt32(uniqExact(id)) AS ids, toUInt32(sum(n)) AS numbers, sum(amount) AS amounts';
  expect(
    await fixture.query(`SELECT ${sums}, any(inner) AS object, any(\`größe "\\\`\\\\\`) AS text FROM ${fixture.table}`),
  ).toEqual([{ ids: 20, numbers: 100, amounts: 30, object: '{"a":1}', text: 'x' }]);
  await fixture.produce(1, () => ({ key: 'later', value: '{"id":100,"n":"no number","nothing":3,"inner":{"b":2}}' }));
  await fixture.produce(1, () => ({ key: 'reserved', value: '{"id":101,"_epoch":"x"}' }));
  await untilAnswered(22);
  expect(statuses()).toMatchObject({ later: 'refused_by_clickhouse', reserved: 'reserved_field' });
  await fixture.produce(1, () => ({ key: 'fits', value: '{"id":102,"nothing":3,"inner":{"b":2}}' }));
  await untilAnswered(23);
  expect(await fixture.query(`SELECT inner, toUInt32(nothing) AS number FROM ${fixture.table} WHERE id = 102`)).toEqual(
    [{ inner: '{"b":2}', number: 3 }],
  );
});

it('ever new fields add no more columns than may be added, and then unknownFields decides', async () => {
  await begin('capped');
  await fixture.produce(60, (id) => ({ key: `key-${id}`, value: `{"id":${id},"field ${id}":1}` }));
  await untilAnswered(60);
  const names = Object.keys(await columnsOf());
  expect(names).toHaveLength(4);
  const expected = Array.from({ length: 60 }, (_, id) => [
    `key-${id}`,
    names.includes(`field ${id}`) ? 'inserted' : 'unknown_field',
  ]);
  expect(statuses()).toEqual(Object.fromEntries(expected));
});

it('with propose, the statement is logged once for each field, and the table stays as it is', async () => {
  await begin('proposed');
  await fixture.produce(40, (id) => ({ key: `key-${id}`, value: `{"id":${id},"new \\u0060one":1}` }));
  await untilAnswered(40);
  expect(await columnsOf()).toEqual({ id: 'Int64' });
  const statement = 'ADD COLUMN IF NOT EXISTS `new \\\\`one` Nullable(Int64)';
  await eventually(() => expect(shared.daemon().output.split(statement)).toHaveLength(2));
});

it('the table goes by a value, whatever its name is; a rewind finds rows in the tables that they were in before', async () => {
  fixture = await Fixture.create(stack(), { columns: 'id Int64', partitions: 2 });
  await fixture.collectAcks();
  const odd = 'north-west o\'neil `s` "x" \\';
  const template = `${fixture.table}_{value}`;
  const other = tableOfValue(template, odd);
  await fixture.clickhouse.command({ query: `CREATE TABLE ${quoteTable(other)} AS ${fixture.table}` });
  const byTenant = (tables: Readonly<Record<string, string>>, values: readonly string[]) =>
    fixture.config({ table: { by: '/tenant', tables, template, values: [...values] } });
  const config = byTenant({ acme: fixture.table }, [odd]);
  daemon = await Daemon.start(config);
  const values: Record<string, string> = {
    acme: '{"id":1,"tenant":"acme"}',
    odd: JSON.stringify({ id: 2, tenant: odd }),
    unknown: '{"id":3,"tenant":"acme2"}',
    without: '{"id":4}',
    noJson: '{"tenant":"acme"',
  };
  const keys = Object.keys(values);
  await fixture.produce(keys.length, (index) => ({ key: keys[index]!, value: values[keys[index]!]! }));
  await untilAnswered(keys.length);
  const rejected = { unknown: 'no_such_table', without: 'no_such_table', noJson: 'not_json' };
  expect(statuses()).toEqual({ acme: 'inserted', odd: 'inserted', ...rejected });
  await fixture.deadLetters(3);
  const ids = () =>
    Promise.all(
      [fixture.table, quoteTable(other)].map(async (table) =>
        (await fixture.query<{ id: string }>(`SELECT id FROM ${table} ORDER BY id`)).map(({ id }) => Number(id)),
      ),
    );
  expect(await ids()).toEqual([[1], [2]]);

  const setup = await ktb(config, ['setup', '--dry-run']);
  expect(setup.output).toContain(`table ${fixture.table}: exists`);
  expect(setup.output).toContain(`table ${other}: exists`);
  const reconcile = await ktb(config, ['reconcile', fixture.name, '--json']);
  const reports = JSON.parse(reconcile.output) as Record<'inserted' | 'rejected', number>[];
  const sum = (key: 'inserted' | 'rejected') => reports.reduce((total, report) => total + report[key], 0);
  expect([reconcile.code, sum('inserted'), sum('rejected')]).toEqual([0, 2, 3]);
  const { topic, partition, offset } = fixture.acks.find(({ key }) => key === 'odd')!;
  const where = await ktb(config, ['where', `${topic}/${partition}/${offset}`]);
  expect(where.output).toContain(`one in table ${other}`);

  await daemon.stop();
  const swapped = fixture.config({
    table: { by: '/tenant', tables: { acme: other, [odd]: fixture.table, acme2: fixture.table } },
  });
  const rewind = await ktb(swapped, ['rewind', fixture.name, '--to', 'earliest']);
  expect(rewind, rewind.output).toMatchObject({ code: 0 });
  daemon = await Daemon.start(swapped);
  await fixture.produce(1, () => ({ key: 'new', value: '{"id":5,"tenant":"acme"}' }));
  await eventually(async () => {
    const offsets = await fixture.offsets();
    expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ end }) => end));
    expect(await ids()).toEqual([
      [1, 3],
      [2, 5],
    ]);
  });
  const after = await ktb(swapped, ['reconcile', fixture.name]);
  expect(after, after.output).toMatchObject({ code: 0 });
});

it('what names no table is known as skipped without acknowledgements, also if the key or a header says the table', async () => {
  fixture = await Fixture.create(stack(), { columns: 'id Int64', partitions: 1 });
  const tables = { acme: fixture.table };
  const config = fixture.config({
    ...{ reply: undefined, key: { format: 'json' } },
    table: { by: 'key:/tenant', tables, otherwise: 'skip' },
  });
  daemon = await Daemon.start(config);
  const keys = ['{"tenant":"acme"}', '{"tenant":"globex"}', '{}'];
  await fixture.produce(3, (id) => ({ key: keys[id]! }));
  await eventually(async () => expect(await fixture.rowCounts()).toMatchObject({ rows: 1 }));
  const states = [];
  for (const offset of [0, 1, 2]) {
    const { code, output } = await ktb(config, ['where', `${fixture.topic}/0/${offset}`, '--json']);
    states.push([code, (JSON.parse(output) as { state: string }[])[0]?.state]);
  }
  expect(states).toEqual([
    [0, 'inserted'],
    [0, 'skipped'],
    [0, 'skipped'],
  ]);
  const reconcile = await ktb(config, ['reconcile', fixture.name, '--json']);
  expect(reconcile, reconcile.output).toMatchObject({ code: 0 });
  expect(JSON.parse(reconcile.output)).toMatchObject([{ records: 3, inserted: 1, skipped: 2, missing: [] }]);
});

it('setup makes the tables of all values from one reading, and says of how many records none is of a value', async () => {
  fixture = await Fixture.create(stack(), { columns: 'id Int64', partitions: 2 });
  const template = `${fixture.table}_{value}`;
  const config = fixture.config({ table: { by: '/tenant', template, values: ['acme', 'globex', 'none'] } });
  const values = ['{"tenant":"acme","a":1}', '{"tenant":"other"}', '{"tenant":"globex","g":"x"}'];
  await fixture.produce(9, (id) => ({ value: values[id % 3]! }));
  const { code, output } = await ktb(config, ['setup', '--from-sample', '3']);
  expect(code, output).toBe(1);
  expect(output).toMatch(/_acme: created from 3 records/);
  expect(output).toMatch(/_globex: created from 3 records/);
  expect(output).toContain('no JSON object that goes to this table among the last 9 records of');
  const columns = await fixture.query<{ name: string }>(
    `SELECT name FROM system.columns WHERE table = '${fixture.table}_globex' AND name NOT LIKE '\\_%' ORDER BY name`,
  );
  expect(columns.map(({ name }) => name)).toEqual(['g', 'tenant']);
});
