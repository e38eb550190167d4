import { expect, it } from 'vitest';
import { RowBlocks } from '../../../../src/clickhouse/rowBlocks.js';
import { DebeziumEnvelopes } from '../../../../src/clickhouse/rows/debeziumEnvelope.js';
import { createRowBuilder } from '../../../../src/clickhouse/rows/rowBuilder.js';
import type { Mapping } from '../../../../src/protocol/settings.js';
import { DEFAULT_MAPPING } from '../../../support/chunks.js';
import { record } from '../../../support/records.js';

const SOURCE = { topic: 'server.public.orders', partition: 0, epoch: 'e' };
const ENVELOPE = { type: 'debezium', version: 'offset', truncates: 'reject' } as const;
const MAPPING: Mapping = { ...DEFAULT_MAPPING, envelope: ENVELOPE };

/** The row of a change in a table with the columns `id` and `v`, or the code of its rejection. */
function rowOf(op: 'd' | 'u', type: string, value: unknown, { columns = {}, sortedBy = ['id'] } = {}): unknown {
  const table = Object.assign(new Map([...['id', 'm'].map((name) => [name, 'UUID'] as const), ['v', type]]), {
    sortedBy: new Set(sortedBy),
  });
  const row = { id: 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', v: value };
  const change = Buffer.from(JSON.stringify({ op, [op === 'd' ? 'before' : 'after']: row }));
  const opened = new DebeziumEnvelopes(ENVELOPE).open(SOURCE, record(1, { value: change }));
  if ('code' in opened) return opened.code;
  const rows = new RowBlocks();
  const rejection = createRowBuilder(table, columns, MAPPING)(rows, SOURCE, opened);
  if (rejection !== undefined) return rejection.code;
  rows.endRow();
  const { id, ...others } = JSON.parse(rows.textOf(0)) as { id: string };
  expect(id).toBe(row.id);
  return others;
}

it.each([
  ['UUID', ''],
  ['Nullable(UUID)', ''],
  ['IPv4', ''],
  ['IPv6', ''],
  ["Enum8('new' = 1)", ''],
  ["LowCardinality(Enum8('new' = 1))", ''],
  ["Enum8('new' = 1)", null],
  ['Date', ''],
  ['DateTime64(3)', ''],
  ['JSON', ''],
  ['Array(String)', ''],
  ["Enum8('new' = 1)", 0],
])(
  'a deletion comes in although a column of type %s does not take %j, which stands for something unknown',
  (type, value) => {
    expect(rowOf('d', type, value)).toEqual({});
    expect(rowOf('d', 'UUID', undefined, { columns: { v: '/m' } })).toEqual({});
  },
);

it.each([
  ['String', ''],
  ['Nullable(String)', ''],
  ["Enum8('' = 0)", ''],
  ['Variant(String, UUID)', ''],
  ['Nullable(UUID)', null],
  ['Int32', 0],
  ['Decimal(9, 2)', '0.00'],
  ['Bool', false],
])('what a column of type %s takes stays in a deletion: %j', (type, value) => {
  expect(rowOf('d', type, value)).toEqual({ v: value });
});

it('what is known still has to fit, and so has every value of the sorting key and of other changes', () => {
  expect(rowOf('d', 'UInt8', 300)).toBe('out_of_range');
  expect(rowOf('d', "Enum8('new' = 1)", null, { sortedBy: ['id', 'v'] })).toBe('out_of_range');
  expect(rowOf('u', "Enum8('new' = 1)", null)).toBe('out_of_range');
  expect(rowOf('u', 'UUID', '')).toBe('out_of_range');
  // ClickHouse refuses it.
  expect(rowOf('d', 'IPv4', '', { sortedBy: ['v'] })).toEqual({ v: '' });
});

it('a mapped column that a deletion does not know has its default', () => {
  const columns = { m: '/v' };
  expect(rowOf('d', 'String', '', { columns })).toEqual({ v: '' });
  expect(rowOf('u', 'String', '', { columns })).toBe('out_of_range');
});
