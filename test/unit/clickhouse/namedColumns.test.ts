import { expect, it } from 'vitest';
import {
  defaultRows,
  namedColumns,
  typesBeforeRecords,
  typeWithRecords,
} from '../../../src/clickhouse/namedColumns.js';
import type { ColumnSource } from '../../../src/protocol/columnSource.js';

const naming = (columns: Record<string, ColumnSource>, into?: string) =>
  ({ columns, mapping: { unknownFields: into === undefined ? 'ignore' : { into } } }) as const;
const typesOf = (columns: Record<string, ColumnSource>, ofSchema: Record<string, string> = {}) =>
  Object.fromEntries(typesBeforeRecords(naming(columns), new Map(Object.entries(ofSchema))));

it('a pipeline names the columns that it maps, and the one for fields that have none', () => {
  expect(namedColumns(naming({ a: '/x' }))).toEqual(['a']);
  expect(namedColumns(naming({ a: '/x' }, 'extra'))).toEqual(['a', 'extra']);
});

it('a source whose values are always of one type says it, whatever the sampled records have', () => {
  expect(typesOf({ h: 'headers', d: 'document', k: 'key', kind: 'kind', p: 'partition', at: 'timestamp' })).toEqual({
    ...{ h: 'Map(String, String)', d: 'Nullable(String)', k: 'Nullable(String)', kind: 'LowCardinality(String)' },
    ...{ p: 'UInt32', at: "Nullable(DateTime64(3, 'UTC'))" },
  });
  expect(typesOf({ text: { constant: '2026-01-31' }, number: { constant: -1 }, flag: { constant: true } })).toEqual({
    ...{ text: 'String', number: 'Int64', flag: 'Bool' },
  });
  expect(typesOf({ b: 'header:b', v: 'value' })).toEqual({ b: 'Nullable(String)', v: 'Nullable(String)' });
  expect(typesOf({ a: '/a', c: { first: ['/c', 'key'] }, d: { first: ['/d'], unit: 'ms' } })).toEqual({});
  expect([...typesBeforeRecords(naming({}, 'extra'), new Map([['extra', 'Int64']]))]).toEqual([
    ['extra', 'Map(String, String)'],
  ]);
});

it('a schema says the type of a mapped column only if this has the values of the field of its name', () => {
  const ofSchema = {
    a: 'Int64',
    'b/c': 'Int64',
    constructor: 'Int64',
    d: 'Int64',
    e: 'Int64',
    f: 'Int64',
    g: 'Decimal(20, 4)',
  };
  const columns: Record<string, ColumnSource> = {
    ...{ a: '/a', 'b/c': { first: ['/b~1c'], required: true }, d: '/other' },
    ...{ e: { first: ['/e'], unit: 'us' }, f: { first: ['/f'], default: 'none' } },
    g: { first: ['/g'], default: 0 },
  };
  expect(typesOf(columns, ofSchema)).toEqual({ a: 'Int64', 'b/c': 'Int64', constructor: 'Int64', g: 'Decimal(20, 4)' });
});

it('a column of times has a type of times, also if they are numbers in the sample, or in arrays, or not there', () => {
  const time = (unit: 's' | 'ms' | 'us' | 'ns', inferred?: string) =>
    typeWithRecords({ first: ['/t'], unit }, inferred);
  expect(time('s')).toBe("Nullable(DateTime64(0, 'UTC'))");
  expect(time('ms', 'Nullable(Int64)')).toBe("Nullable(DateTime64(3, 'UTC'))");
  expect(time('us', 'Array(Array(Nullable(Int64)))')).toBe("Array(Array(Nullable(DateTime64(6, 'UTC'))))");
  expect(time('ns', 'Nullable(String)')).toBe("Nullable(DateTime64(9, 'UTC'))");
  expect(typeWithRecords('/t', 'Nullable(Int64)')).toBe('Nullable(Int64)');
  expect(typeWithRecords('/t', undefined)).toBe('Nullable(String)');
});

it('a default is a value that its column has to take', () => {
  const columns: Record<string, ColumnSource> = {
    ...{ a: { first: ['/a'], default: 'unknown' }, b: { first: ['/b'], default: 0 }, c: '/c', d: { constant: 1 } },
  };
  expect(defaultRows(columns)).toEqual(['{"a":"unknown"}', '{"b":0}']);
});
