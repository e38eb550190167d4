import { ClickHouseError } from '@clickhouse/client';
import { expect, it } from 'vitest';
import { classifyInsertError } from '../../../src/activities/clickhouse.js';

const error = (code: string, message: string) => new ClickHouseError({ code, type: 'SOME_TYPE', message });

it('tells bad data from a wrong table from what may pass', () => {
  expect(classifyInsertError(error('27', 'Cannot parse input')).kind).toBe('data');
  expect(classifyInsertError(error('60', 'Unknown table')).kind).toBe('structural');
  expect(classifyInsertError(error('241', 'Memory limit exceeded')).kind).toBe('transient');
});

it('tells the two errors of code 252 apart: only one of them passes', () => {
  expect(classifyInsertError(error('252', 'Too many parts (3000)')).kind).toBe('transient');
  expect(classifyInsertError(error('252', 'Too many partitions for single INSERT block (more than 100)')).kind).toBe(
    'structural',
  );
});

it('repeats what it does not know', () => {
  expect(classifyInsertError(error('9999', 'new in some version')).kind).toBe('transient');
  expect(classifyInsertError(new Error('socket hang up')).kind).toBe('transient');
  expect(classifyInsertError(undefined).kind).toBe('transient');
});

it('names the column', () => {
  const text = "Cannot parse input: expected '\"' before: 'late' (while reading the value of key delay): (at row 1)";
  expect(classifyInsertError(error('27', text)).message).toBe('ClickHouse error 27 (SOME_TYPE) in column delay');
});

it('does not quote the row that ClickHouse’s message quotes', () => {
  expect(classifyInsertError(error('27', 'Cannot parse input: before secret-4711')).message).not.toContain('secret');
});
