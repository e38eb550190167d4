import { expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/load.js';
import {
  collidingPipelines,
  collidingTopics,
  fixedTables,
  onlyTable,
  parseTableName,
  tableOf,
  tableOfRequests,
  tableOfValue,
  tablesOf,
  tablesOfTopic,
  takesRequests,
  topicsReadTwice,
} from '../../../src/protocol/tables.js';
import type { DestinationTable } from '../../../src/protocol/settings.js';

it('a table without {topic} takes the records of all topics', () => {
  expect(tableOf({ table: 'shop.orders' }, 'orders.eu')).toBe('shop.orders');
  expect(onlyTable({ table: 'shop.orders' })).toBe('shop.orders');
  expect([...tablesOf({ table: 'orders' }, ['b', 'a'])]).toEqual([['orders', ['b', 'a']]]);
  expect([...tablesOf({ table: 'orders' }, [])]).toEqual([['orders', []]]);
});

it.each([
  ['{topic}', 'orders', 'orders'],
  ['{topic}', 'orders.eu-west_1', 'orders_eu_west_1'],
  ['raw.{topic}', 'orders.eu', 'raw.orders_eu'],
  ['{topic}.{topic}_rows', 'a.b', 'a_b.a_b_rows'],
  // An identifier of SQL does not begin with a digit.
  ['{topic}', '2026.orders', '_2026_orders'],
  ['raw.{topic}', '7', 'raw._7'],
  ['t_{topic}', '7', 't_7'],
])('%s of topic %s is %s', (table, topic, expected) => {
  expect(tableOf({ table }, topic)).toBe(expected);
  expect(onlyTable({ table })).toBeNull();
  expect([...tablesOf({ table }, [])]).toEqual([]);
});

it('a topic with a table of its own does not go to that of the others', () => {
  const table = { ofTopics: { 'orders.eu': 'orders', 'orders.us': 'orders' }, others: 'raw_{topic}' };
  expect(tableOf({ table }, 'orders.eu')).toBe('orders');
  // A name that every object has is no entry.
  expect(tableOf({ table }, 'constructor')).toBe('raw_constructor');
  expect([...tablesOf({ table }, ['orders.eu', 'x', 'orders.us'])]).toEqual([
    ['orders', ['orders.eu', 'orders.us']],
    ['raw_x', ['x']],
  ]);
  expect(onlyTable({ table })).toBeNull();
});

it.each([
  ['orders', null, 'orders'],
  ['shop-eu.orders', 'shop-eu', 'orders'],
  ['shop.all orders', 'shop', 'all orders'],
  ['größe.表', 'größe', '表'],
  ['`a.b`', null, 'a.b'],
  ['`a.b`.`c.d`', 'a.b', 'c.d'],
  ['`a\\`b`.`c``d`', 'a`b', 'c`d'],
  ['shop.`back\\\\slash`', 'shop', 'back\\slash'],
])('%s is the database %s and the table %s', (text, database, name) => {
  expect(parseTableName(text)).toEqual({ database, name });
});

it('a topic of a name between backquotes is no part of its own', () => {
  expect(tableOf({ table: '`a.{topic}`' }, '7')).toBe('`a.7`');
  expect(tableOf({ table: '`my.shop`.{topic}' }, '7')).toBe('`my.shop`._7');
});

it('topics collide where each was to have a table of its own', () => {
  expect([...collidingTopics({ table: 'raw_{topic}' }, ['a.b', 'a', 'a-b', 'a_b'])]).toEqual([
    ['raw_a_b', ['a.b', 'a-b', 'a_b']],
  ]);
  expect(collidingTopics({ table: 'orders' }, ['a.b', 'a-b']).size).toBe(0);
  const table = { ofTopics: { 'a-b': 'raw_a_b', x: 'y', z: 'y' }, others: 'raw_{topic}' };
  expect(collidingTopics({ table }, ['a.b', 'a-b', 'x', 'z']).size).toBe(0);
});

it('finds tables that several pipelines fill from different topics by their names', () => {
  const of = (name: string, table: DestinationTable['table'], ...topics: string[]) => ({
    name,
    destination: { table },
    topics,
  });
  const found = collidingPipelines([
    of('one', 'raw_{topic}', 'a.b', 'x', 'same'),
    of('two', 'raw_{topic}', 'a-b', 'y', 'same'),
    of('three', { ofTopics: { 'a+b': 'raw_a_b' }, others: '{topic}' }, 'a+b', 'raw.a-b'),
    of('four', 'raw_x', 'z'),
  ]);
  expect([...found]).toEqual([
    [
      'raw_a_b',
      [
        { pipeline: 'one', topic: 'a.b' },
        { pipeline: 'two', topic: 'a-b' },
        { pipeline: 'three', topic: 'raw.a-b' },
      ],
    ],
  ]);
  expect(collidingPipelines([of('one', '{topic}', 'a.b', 'a-b')]).size).toBe(0);
});

it('the table of decoded values is the one that is named', () => {
  const topics = ['a', 'b-c'];
  for (const table of ['t', '{topic}', { ofTopics: { a: 't' }, others: 'u' }]) {
    const decoded = { table: null, decodedTable: table };
    expect(tablesOf(decoded, topics)).toEqual(tablesOf({ table }, topics));
    expect(onlyTable(decoded)).toBe(onlyTable({ table }));
    expect(tableOfRequests(decoded)).toBe(tableOfRequests({ table }));
    expect(collidingTopics(decoded, topics)).toEqual(collidingTopics({ table }, topics));
  }
});

it('settings without a table are an error, and never another table', () => {
  expect(() => tableOf({ table: null }, 'orders')).toThrow('a newer version has made them');
  expect(() => tableOfRequests({ table: null })).toThrow('a newer version has made them');
});

it.each([
  ['{value}.orders', 'acme', 'acme', 'orders'],
  ['{value}.orders', 'north-west', 'north-west', 'orders'],
  ['{value}.orders', 'a.b', 'a.b', 'orders'],
  ['shop.orders_{value}', '7', 'shop', 'orders_7'],
  ['shop.{value}', '7', 'shop', '7'],
  ['{value}', 'globex shop', null, 'globex shop'],
  ['{value}_{value}', "o'neil `s` \\ $&", null, "o'neil `s` \\ $&_o'neil `s` \\ $&"],
  ['`my {value}`.`all.{value}`', 'x`; DROP TABLE y', 'my x`; DROP TABLE y', 'all.x`; DROP TABLE y'],
  ['{value}.t', '表', '表', 't'],
])('the value stays within its part of the name: %s for %s', (template, value, database, name) => {
  expect(parseTableName(tableOfValue(template, value))).toEqual({ database, name });
});

it('tables of values are the same for all topics, and take rows of workflows', () => {
  const tables = [
    ['acme', 'a.t'],
    ['globex', 'b.t'],
    ['initech', 'a.t'],
  ] as const;
  const reject: DestinationTable = { table: null, tablesOfValues: { by: '/tenant', tables, otherwise: 'reject' } };
  const rest = { table: null, tablesOfValues: { by: '/tenant', tables, otherwise: { table: 'rest' } } };
  expect(fixedTables(reject)).toEqual(['a.t', 'b.t']);
  expect(tablesOfTopic(rest, 'x')).toEqual(['a.t', 'b.t', 'rest']);
  expect([...tablesOf(reject, ['x', 'y'])]).toEqual([
    ['a.t', ['x', 'y']],
    ['b.t', ['x', 'y']],
  ]);
  expect([...tablesOf(reject, [])]).toEqual([
    ['a.t', []],
    ['b.t', []],
  ]);
  expect([onlyTable(reject), takesRequests(reject)]).toEqual([null, true]);
  expect(collidingTopics(reject, ['a.b', 'a-b']).size).toBe(0);
  expect(collidingPipelines([{ name: 'p', destination: reject, topics: ['a.b', 'a-b'] }]).size).toBe(0);
  const read = (name: string) => ({ name, destination: reject, topics: ['x'] });
  expect(topicsReadTwice([read('p'), read('q')], 'd').map(({ table }) => table)).toEqual(['a.t', 'b.t']);
  const other = { name: 'other', destination: { table: 't' }, topics: ['x'] };
  expect(topicsReadTwice([read('p'), other], 'a')).toEqual([{ topic: 'x', table: 'a.t', pipelines: ['p', 'other'] }]);
  expect(topicsReadTwice([read('p'), other], 'd')).toEqual([]);
  expect(fixedTables({ table: '{topic}' })).toBeNull();
});

it('version 0.1.0 fails at decoded values and at tables of values, whether they come from topics or from workflows', () => {
  const text = 'schemaRegistry: { url: http://r }\n';
  const ofValues = 'table: { by: /tenant, tables: { acme: t } }';
  const ofTopics = ['table: t', "table: '{topic}'", 'table: t, tables: { orders: u }'];
  for (const pipeline of [ofValues, ...[...ofTopics, ofValues].map((table) => `format: avro, ${table}`)]) {
    const pipelines = `pipelines: { p: { topics: [orders], ${pipeline} } }`;
    const settings = parseConfig(text + pipelines, 'ktb.yaml', {}).pipelines[0]?.settings;
    // Settings travel as JSON.
    const destination = JSON.parse(JSON.stringify(settings?.destination)) as { table: never };
    expect(onlyTableOf010(destination)).toBeNull();
    expect(() => tableOf010(destination, 'orders')).toThrow(TypeError);
    expect(() => tableOfRequests010(destination)).toThrow(TypeError);
  }
});

// What version 0.1.0 does with `table` of the settings, but for the topic in a table's name.

type Table010 = string | { readonly ofTopics: Readonly<Record<string, string>>; readonly others: string };

function onlyTableOf010({ table }: { readonly table: Table010 }): string | null {
  return typeof table === 'string' && !table.includes('{topic}') ? table : null;
}

function tableOf010({ table }: { readonly table: Table010 }, topic: string): string {
  if (typeof table === 'string') return table;
  return Object.hasOwn(table.ofTopics, topic) ? (table.ofTopics[topic] as string) : table.others;
}

function tableOfRequests010({ table }: { readonly table: Table010 }): string | null {
  return onlyTableOf010({ table: typeof table === 'string' ? table : table.others });
}
