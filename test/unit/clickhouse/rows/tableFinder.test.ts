import { expect, it } from 'vitest';
import { opener } from '../../../../src/clickhouse/openedRecords.js';
import { TableFinder } from '../../../../src/clickhouse/rows/tableFinder.js';
import type { RecordHeader } from '../../../../src/protocol/record.js';
import type { Mapping, TablesOfValues } from '../../../../src/protocol/settings.js';
import { amongOthers, record } from '../../../support/records.js';

const TABLES = [
  ['acme', 't_acme'],
  ['größe "x"', 't_size'],
  ['7', 't_seven'],
  ['true', 't_true'],
  ['__proto__', 't_proto'],
] as const;
const SOURCE = { topic: 'orders', partition: 0, epoch: 'e' };

function find(
  given: { value?: string | null; key?: string | null; headers?: readonly RecordHeader[] },
  by: string,
  otherwise: TablesOfValues['otherwise'] = 'reject',
  mapping: Pick<Mapping, 'key' | 'envelope'> = {},
) {
  const bytes = (text: string | null | undefined) => (typeof text === 'string' ? Buffer.from(text) : null);
  const finder = new TableFinder({ by, tables: TABLES, otherwise }, mapping);
  const plain = record(0, { value: bytes(given.value), key: bytes(given.key), headers: given.headers ?? [] });
  const found = [plain, amongOthers(plain)].map((one) => {
    const opened = opener(mapping, undefined)?.(SOURCE, one) ?? one;
    return 'code' in opened ? opened.code : finder.of(opened);
  });
  expect(found[1]).toBe(found[0]);
  return found[0];
}

it.each([
  ['{"t":"acme"}', 't_acme'],
  [' \ufeff{"t":"acme"}'.trim(), 't_acme'],
  ['{"t":"other","t":"\\u0061cme"}', 't_acme'],
  ['{"t":"größe \\"x\\""}', 't_size'],
  ['{"t":7}', 't_seven'],
  ['{"t":"7"}', 't_seven'],
  ['{"t":7.0}', null],
  ['{"t":true}', 't_true'],
  ['{"t":"__proto__"}', 't_proto'],
  ['{"t":"constructor"}', null],
  ['{"t":"Acme"}', null],
  ['{"t":"acme "}', null],
  ['{"t":"\\ud800"}', null],
  ['{"t":null}', null],
  ['{"t":{"acme":1}}', null],
  ['{"t":["acme"]}', null],
  ['{"other":"acme"}', null],
  ['{"t":"acme"', null],
  ['["acme"]', null],
  [null, null],
])('a value %s goes to %s', (value, table) => {
  expect(find({ value }, '/t')).toBe(table);
});

it.each([
  ['{"a":{"b":"acme"}}', '/a/b', 't_acme'],
  [' {"a" : [ 1, {"b" : "acme" } ] } ', '/a/1/b', 't_acme'],
  ['{"a":{"b":{"a":{"b":"acme"}}}}', '/a/b', null],
  ['{"a":"acme"}', '/a/b', null],
  ['{"a":{"b":7},"a":{"b":"acme"}}', '/a/b', 't_acme'],
  ['{"a":{"b":7},"a":{}}', '/a/b', null],
  ['{"":"acme"}', '/', 't_acme'],
  ['{"":{"":"acme"}}', '//', 't_acme'],
  ['{"a/b":{"~":"acme"}}', '/a~1b/~0', 't_acme'],
  ['{"größe":"acme"}', '/größe', 't_acme'],
  ['{"gr\\u00f6\u00dfe":"acme"}', '/größe', 't_acme'],
])('a pointer leads deeper: %s at %s', (value, by, table) => {
  expect(find({ value }, by)).toBe(table);
});

it('a record whose value names no table goes where the others go, but not one whose value is no JSON object', () => {
  const otherwise = { table: 'rest' };
  for (const value of ['{"t":"x"}', '{"t":null}', '{}', null]) expect(find({ value }, '/t', otherwise)).toBe('rest');
  for (const value of ['{"t":"acme"', '[1]', '']) expect(find({ value }, '/t', otherwise)).toBeNull();
});

it('the table goes by headers, keys, what is in keys, and the envelope', () => {
  expect(
    find(
      {
        headers: [
          ['t', Buffer.from('7')],
          ['t', Buffer.from('acme')],
        ],
      },
      'header:t',
    ),
  ).toBe('t_acme');
  expect(find({ headers: [['t', null]] }, 'header:t')).toBeNull();
  expect(find({ value: 'no JSON' }, 'header:t', { table: 'rest' })).toBe('rest');
  expect(find({ key: 'acme' }, 'key')).toBe('t_acme');
  expect(find({ key: null }, 'key', { table: 'rest' })).toBe('rest');
  const json = { key: { format: 'json' } } as const;
  expect(find({ key: '"acme"' }, 'key', 'reject', json)).toBe('t_acme');
  expect(find({ key: '{"t":"acme"}', value: null }, 'key:/t', 'reject', json)).toBe('t_acme');
  expect(find({ key: '{"t":', value: '{}' }, 'key:/t', 'reject', json)).toBe('undecodable');
  const envelope = { envelope: { type: 'debezium', version: 'ts_ms', truncates: 'reject' } } as const;
  const value = '{"op":"c","after":{"t":"7"},"source":{"table":"acme","ts_ms":1}}';
  expect(find({ value }, 'envelope:/source/table', 'reject', envelope)).toBe('t_acme');
  expect(find({ value }, '/t', 'reject', envelope)).toBe('t_seven');
});
