import { expect, it } from 'vitest';
import { RowBlocks } from '../../../../src/clickhouse/rowBlocks.js';
import { IgnoredFields, OTHER_FIELDS } from '../../../../src/clickhouse/rows/ignoredFields.js';
import { createRowBuilder } from '../../../../src/clickhouse/rows/rowBuilder.js';
import type { Mapping } from '../../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { record } from '../../../support/records.js';

const source = { topic: 'orders', partition: 3, epoch: 'e1' };

/** The row of a value in a table with the columns `id` and `n.a`, or why it becomes none. */
function rowOf(
  value: string,
  type: string,
  {
    columns = {},
    unknownFields = { into: 'extra' },
  }: Partial<{ columns: object; unknownFields: Mapping['unknownFields'] }> = {},
  ignored?: IgnoredFields,
) {
  const table = new Map([
    ['id', 'Int64'],
    ['n.a', 'Int64'],
    ['extra', type],
  ]);
  const build = createRowBuilder(table, { ...columns }, { ...DEFAULT_MAPPING, unknownFields }, ignored);
  const rows = new RowBlocks();
  const rejection = build(rows, source, record(1, { value: Buffer.from(value) }));
  if (rejection !== undefined) return rejection.code;
  rows.endRow();
  return Buffer.from(rows.textOf(0), 'latin1').toString();
}

const VALUE = '{"id":1,"x":"gr\\u00fcn","ä":1234567890,"o":{"b":[true,null]},"z":null}';

it.each([
  ['JSON', '{"x":"gr\\u00fcn","ä":1234567890,"o":{"b":[true,null]},"z":null}'],
  ['Map(String, String)', '{"x":"gr\\u00fcn","ä":"1234567890","o":"{\\"b\\":[true,null]}","z":"null"}'],
  [
    'Map(LowCardinality(String), Nullable(String))',
    '{"x":"gr\\u00fcn","ä":"1234567890","o":"{\\"b\\":[true,null]}","z":null}',
  ],
  ['String', '"{\\"x\\":\\"gr\\\\u00fcn\\",\\"ä\\":1234567890,\\"o\\":{\\"b\\":[true,null]},\\"z\\":null}"'],
])('what has no column goes into a column of type %s', (type, extra) => {
  expect(rowOf(VALUE, type)).toBe(`{"id":1,"extra":${extra}}`);
});

it('a row whose fields all have columns stays as it is written', () => {
  expect(rowOf('{ "id" : 1 }', 'JSON')).toBe('{ "id" : 1 }');
});

it('a field of the name of that column is a field without a column', () => {
  expect(rowOf('{"extra":{"a":1},"x":2}', 'JSON')).toBe('{"extra":{"extra":{"a":1},"x":2}}');
});

it.each(['JSON', 'Map(String, String)', 'String'])(
  'of two fields of one name none is lost without a word in a column of type %s: the record is rejected',
  (type) => {
    for (const value of [
      '{"d":1,"d":2}',
      '{"n":{"a":1,"b":2},"n.b":3}',
      '{"n.b":3,"n":{"b":2}}',
      '{"n":{"b":1,"b":2}}',
      '{"n":1,"n":2}',
    ])
      expect([value, rowOf(value, type)]).toEqual([value, 'out_of_range']);
    expect(rowOf('{"n":{"a":1,"b":2},"n.c":3}', type)).toContain('n.c');
    // The next record has its own.
    expect(rowOf('{"d":1}', type)).toContain('"extra"');
  },
);

it('what a mapped column takes has a column; what is beside it within an object has none', () => {
  const columns = { id: '/deep/id' };
  expect(rowOf('{"deep":{"id":5,"x":1},"y":2}', 'JSON', { columns })).toContain('"extra":{"y":2}');
  expect(rowOf('{"n":{"a":1,"b":{"c":2}},"y":3}', 'JSON')).toBe('{"n.a":1,"extra":{"n.b":{"c":2},"y":3}}');
  expect(rowOf('{"n":5}', 'JSON')).toBe('{"extra":{"n":5}}');
});

it('what does not fit into that column rejects the record', () => {
  expect(rowOf('{"x":300}', 'Map(String, UInt8)')).toBe('out_of_range');
  expect(rowOf('{"x":200}', 'Map(String, UInt8)')).toBe('{"extra":{"x":200}}');
  expect(rowOf('{"x":"\\udc00"}', 'JSON')).toBe('out_of_range');
});

it('fields that are left out are counted by name, whatever places they have', () => {
  const ignored = new IgnoredFields();
  const ignore = { unknownFields: 'ignore' } as const;
  for (const value of ['{"id":1,"x":1,"y":1}', '{"x":1}', '{"y":1,"x":1}', '{"id":1}', '{"id":1,"x":1,"y":1}'])
    rowOf(value, 'JSON', ignore, ignored);
  expect(Object.fromEntries(ignored.counts())).toEqual({ x: 4, y: 3 });
  // Each is counted once, however often it is asked.
  expect(Object.fromEntries(ignored.counts())).toEqual({ x: 4, y: 3 });
  rowOf(VALUE, 'JSON', {}, ignored);
  expect(ignored.counts().size).toBe(2);
});

it('a field of a tuple’s object without an element is left out and counted with its path, or rejects its record', () => {
  const ofTable = (unknownFields: Mapping['unknownFields'], ignored = new IgnoredFields()) => {
    const tuple = 'Tuple(city String, `ü` Array(Tuple(lat Float64, n UInt8)), m Map(String, Tuple(k UInt8)))';
    const table = new Map([
      ['adr', tuple],
      ['n.t', 'Tuple(a UInt8)'],
      ['of', 'Tuple(a UInt8)'],
      ['v', 'Variant(Tuple(a UInt8), String)'],
    ]);
    const build = createRowBuilder(table, { of: '/from' }, { ...DEFAULT_MAPPING, unknownFields }, ignored);
    return (value: string) => {
      const rows = new RowBlocks();
      return build(rows, source, record(1, { value: Buffer.from(value) }))?.message;
    };
  };
  const ignored = new IgnoredFields();
  const ignoring = ofTable('ignore', ignored);
  const values = [
    '{"adr":{"zip":{"a":[{}]},"city":"X"}}',
    '{"adr":{"zip":"1","ü":[{"lat":1,"alt":2},{"alt":3}],"m":{"x":{"k":1,"é":2}}}}',
    '{"adr":{"z\\u0069p":1}}',
    '{"n":{"t":{"b":1,"a":2}}}',
    '{"from":{"a":1,"c":1}}',
  ];
  expect(values.map(ignoring)).toEqual(values.map(() => undefined));
  const counts = { 'adr.zip': 3, 'adr.ü.alt': 2, 'adr.m.é': 1, 'n.t.b': 1, 'of.c': 1 };
  const named = [...ignored.counts()].map(([name, count]) => [Buffer.from(name, 'latin1').toString(), count]);
  expect(Object.fromEntries(named)).toEqual(counts);
  const unfit = /does not fit/;
  // ClickHouse does not know the element by such a name.
  expect(ignoring('{"adr":{"c\\u0069ty":"X"}}')).toMatch(unfit);
  expect(ignoring('{"adr":{"zip":1,"ü":[{"n":256}]}}')).toMatch(unfit);
  expect(ignoring('{"v":{"a":1,"b":2}}')).toMatch(unfit);
  for (const unknownFields of ['reject', { into: 'extra' }] as const) {
    const rejecting = ofTable(unknownFields);
    const paths = ['adr.zip', 'adr.zip', 'adr.zip', 'n.t.b', 'of.c'];
    expect(values.map(rejecting)).toEqual(
      paths.map((path) => `the value has a field ${path}, which the Tuple of its column has no element for`),
    );
    expect(rejecting('{"adr":{"ü":[{"n":256}]}}')).toMatch(unfit);
  }
});

it('a bounded number of names is told, however many there are', () => {
  const ignored = new IgnoredFields();
  for (let name = 0; name < 3_000; name++) ignored.count(`n${name}`, name % 2_000);
  const counts = ignored.counts();
  expect(counts.size).toBeLessThanOrEqual(1_001);
  expect(counts.get(OTHER_FIELDS)).toBeGreaterThan(1_000);
  expect([...counts.values()].reduce((sum, count) => sum + count, 0)).toBe(3_000);
});
