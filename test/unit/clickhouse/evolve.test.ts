import { expect, it } from 'vitest';
import { addColumnsStatement } from '../../../src/clickhouse/evolve/addColumns.js';
import { ColumnNames } from '../../../src/clickhouse/evolve/newColumnNames.js';
import { NewFields } from '../../../src/clickhouse/evolve/newFields.js';
import { typeToAdd } from '../../../src/clickhouse/evolve/tableEvolution.js';
import { insertRecords } from '../../../src/clickhouse/insertRecords.js';
import { createRowBuilder } from '../../../src/clickhouse/rows/rowBuilder.js';
import { RowBlocks } from '../../../src/clickhouse/rowBlocks.js';
import { DEFAULT_MAPPING } from '../../support/chunks.js';
import { FakeTable } from '../../support/fakeTable.js';
import { record } from '../../support/records.js';

const latin1 = (text: string) => Buffer.from(text).toString('latin1');

function noted(values: readonly [name: string, json: string][], getsNone: (name: string) => boolean = () => false) {
  const fields = new NewFields(getsNone);
  for (const [name, json] of values) fields.note(name, ` ${json},`, 1, json.length + 1);
  return fields;
}

it('a field waits for a value that has a type; a long value stands for a text', () => {
  const fields = noted([
    ['a', 'null'],
    ['a', '5'],
    ['b', 'null'],
    ['c', '[]'],
    ['c', '[[], null]'],
    ['d', `[${'1,'.repeat(20_000)}1]`],
    ['e', '[true]'],
    // What has no type by itself speaks against other types all the same.
    ['f', '[]'],
    ['f', '5'],
  ]);
  expect([...fields.types]).toEqual([
    ['a', 'Nullable(Int64)'],
    ['d', 'Nullable(String)'],
    ['e', 'Array(Nullable(Bool))'],
    ['f', 'Nullable(String)'],
  ]);
});

it('all values of a batch decide on a type, also the last of many', () => {
  const many = Array.from({ length: 5_000 }, (): [string, string] => ['f', '5']);
  expect([...noted([...many, ['f', '5.5']]).types]).toEqual([['f', 'Nullable(Float64)']]);
  expect([...noted([...many, ['f', '"n/a"']]).types]).toEqual([['f', 'Nullable(String)']]);
});

it('however many fields a batch has, what is kept of them is bounded', () => {
  let asked = 0;
  const fields = noted(
    Array.from({ length: 5_000 }, (_, index) => [`f${index % 2_500}`, '1'] as [string, string]),
    (name) => {
      asked++;
      return Number(name.slice(1)) >= 1_200;
    },
  );
  expect(fields.types.size).toBe(100);
  expect(asked).toBeLessThan(5_000);
});

it('no column is added whose name means something else, or is too long, or differs from another in case only', () => {
  const names = new ColumnNames(['id', 'Größe', 'extra']);
  const refused = [
    '',
    'a.b',
    'ID',
    'größe',
    'extra',
    '_topic',
    '_row',
    '_version',
    '_part',
    'a\nb',
    'a\0',
    'x'.repeat(201),
  ];
  expect(refused.filter((name) => names.whyNot(latin1(name)) === undefined)).toEqual([]);
  expect(names.whyNot('\xff')).toBe('its name is no UTF-8');
  const good = ['name', 'größer', '_id', 'select', 'a`b', "x'); DROP TABLE t; --", '__proto__', '表', 'x'.repeat(200)];
  expect(good.filter((name) => names.whyNot(latin1(name)) !== undefined)).toEqual([]);
  names.add('name');
  expect(names.whyNot('NAME')).toContain('differs from the column name in upper and lower case only');
});

it('a column that is added takes null or has a default, and takes later values of an object', () => {
  expect(
    ['Int64', 'Nullable(Bool)', 'Array(Nullable(Int64))', 'LowCardinality(String)', 'Map(String, Int64)'].map(
      typeToAdd,
    ),
  ).toEqual([
    'Nullable(Int64)',
    'Nullable(Bool)',
    'Array(Nullable(Int64))',
    'LowCardinality(Nullable(String))',
    'Map(String, Int64)',
  ]);
  expect(['Tuple(`a` Int64)', 'Array(Tuple(`a` Int64))'].map(typeToAdd)).toEqual(Array(2).fill('Nullable(String)'));
});

it('the statement quotes the names, and does nothing about columns that are there', () => {
  const columns = new Map([
    ['a`b\\', 'Nullable(Int64)'],
    ['c', 'String'],
  ]);
  expect(addColumnsStatement({ database: 'd`', name: 't' }, columns)).toBe(
    "ALTER TABLE `d\\``.`t` ADD COLUMN IF NOT EXISTS `a\\`b\\\\` Nullable(Int64) COMMENT 'added by ktb', " +
      "ADD COLUMN IF NOT EXISTS `c` String COMMENT 'added by ktb'",
  );
});

it('all fields without a column are noted, also those of a record that is rejected because of the first', () => {
  for (const unknownFields of ['ignore', 'reject'] as const) {
    const fields = new NewFields(() => false);
    const build = createRowBuilder(
      new Map([['id', 'Int64']]),
      {},
      { ...DEFAULT_MAPPING, unknownFields },
      undefined,
      fields,
    );
    const value = Buffer.from('{"id":1,"a":1,"b":"x","c":null}');
    const rejection = build(new RowBlocks(), { topic: 't', partition: 0, epoch: 'e' }, record(0, { value }));
    expect(rejection?.code).toBe(unknownFields === 'reject' ? 'unknown_field' : undefined);
    expect([...fields.types]).toEqual([
      ['a', 'Nullable(Int64)'],
      ['b', 'Nullable(String)'],
    ]);
  }
});

it('a batch waits if a column that was added is not there: its values would be lost', async () => {
  const { tables, rows } = new FakeTable();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const insert = (names: readonly string[]) =>
    insertRecords([{ source, record: record(0, { value: Buffer.from('{"new":1}') }) }], {
      ...{ tables, table: 't', columns: {}, batch: 'b', repeated: false, overdue: false, mustBeAlive: () => undefined },
      mapping: { ...DEFAULT_MAPPING, evolve: { mode: 'apply', columnsMax: 10 } },
      evolution: { fieldsOf: () => new NewFields(() => false), place: () => Promise.resolve(names) },
    });
  await expect(insert(['new'])).rejects.toMatchObject({ kind: 'transient', code: 'column_is_late' });
  expect(rows).toHaveLength(0);
  await insert([]);
  expect(rows).toHaveLength(1);
});

it('the rows of a batch are made once if no column is added, however many fields it has', async () => {
  const { tables, rows } = new FakeTable();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const value = Buffer.from(JSON.stringify(Object.fromEntries(Array.from({ length: 250 }, (_, at) => [`f${at}`, 1]))));
  let made = 0;
  await insertRecords([{ source, record: record(0, { value }) }], {
    ...{ tables, table: 't', columns: {}, batch: 'b', repeated: false, overdue: false, mustBeAlive: () => undefined },
    mapping: { ...DEFAULT_MAPPING, evolve: { mode: 'propose', columnsMax: 10 } },
    evolution: { fieldsOf: () => (made++, new NewFields(() => false)), place: () => Promise.resolve([]) },
  });
  expect([made, rows.length]).toEqual([1, 1]);
});

it('fields that come after a hundred others get their columns, also if none of those gets one', async () => {
  const { tables } = new FakeTable();
  const source = { topic: 'orders', partition: 0, epoch: 'e1' };
  const names = Array.from({ length: 250 }, (_, at) => `f${at}`);
  const value = Buffer.from(JSON.stringify(Object.fromEntries(names.map((name) => [name, 1]))));
  const refused = new Set<string>();
  await insertRecords([{ source, record: record(0, { value }) }], {
    ...{ tables, table: 't', columns: {}, batch: 'b', repeated: false, overdue: false, mustBeAlive: () => undefined },
    mapping: { ...DEFAULT_MAPPING, evolve: { mode: 'apply', columnsMax: 10 } },
    evolution: {
      fieldsOf: () => new NewFields((name) => refused.has(name)),
      place: ({ fields, report }) => {
        for (const name of fields.types.keys()) {
          refused.add(name);
          report({ outcome: 'refused', name, why: 'no' });
        }
        return Promise.resolve([]);
      },
    },
  });
  expect([...refused]).toEqual(names);
});
