import { expect, it } from 'vitest';
import { lackingText, sortingColumns } from '../../../../src/commands/setup/sortingColumns.js';

const COLUMNS = ['`id` Int64', '`name` String', '`shard` String'];

it('a table of changes is sorted by the columns of its records’ keys, or by what is taken from there', () => {
  const of = (key: readonly string[], columns = {}) => sortingColumns(key, COLUMNS, columns);
  expect(of(['name', 'id'])).toEqual({ columns: ['name', 'id'], lacking: [] });
  expect(of(['id', 'a/b'], { shard: 'key:/a~1b', more: 'key:/a~1b' })).toEqual({
    columns: ['id', 'shard'],
    lacking: [],
  });
  expect(of(['id', 'a'], { shard: { first: ['/a', 'key:/a'] } }).columns).toEqual(['id', 'shard']);
  // A field of the row counts first.
  expect(of(['id'], { shard: 'key:/id' }).columns).toEqual(['id']);
  for (const source of ['/a', 'envelope:/a', 'key:/a/b', 'key'])
    expect(of(['id', 'a'], { shard: source })).toEqual({ columns: ['id'], lacking: ['a'] });
});

it('what is lacking is named with what to set', () => {
  expect(lackingText(['a/b', 'c'])).toContain("columns: { a/b: 'key:/a~1b', c: 'key:/c' }");
});
