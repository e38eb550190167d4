import { describe, expect, test } from 'vitest';
import { quoteIdentifier, quoteString, readStatement } from '../../../../stack/native/clickhouse-sql.js';

describe('readStatement', () => {
  test.each([
    ['INSERT INTO t FORMAT JSONEachRow\n{"a":1}', 'JSONEachRow', '\n{"a":1}', 'FORMAT'],
    ['insert into db.t (a, `b)`) values (1),(2)', 'Values', ' (1),(2)', 'values'],
    ['INSERT INTO t SETTINGS async_insert=0 FORMAT CSV 1', 'CSV', ' 1', 'SETTINGS'],
    ['/* c */ INSERT INTO TABLE `format` -- FORMAT x\n FORMAT TSV\nq', 'TSV', '\nq', 'FORMAT'],
    ["INSERT INTO FUNCTION file('FORMAT x; ') FORMAT TSV", 'TSV', '', 'FORMAT'],
    ['INSERT INTO values VALUES (1)', 'Values', ' (1)', 'VALUES'],
    ['INSERT INTO a.values (x) FORMAT RowBinary\u0001', 'RowBinary', '\u0001', 'FORMAT'],
  ])('finds where the data of %j begin', (text, format, data, clauses) => {
    const statement = readStatement(text);
    if (statement.kind !== 'insert-data') throw new Error(`It is ${statement.kind}.`);
    expect(statement.format).toBe(format);
    expect(text.slice(statement.dataStart)).toBe(data);
    expect(text.slice(statement.clausesStart).startsWith(clauses)).toBe(true);
  });

  test.each([
    'INSERT INTO t SELECT 1',
    'INSERT INTO t (a) SELECT number FROM numbers(3) FORMAT Null',
    'INSERT INTO t WITH 1 AS x SELECT x',
    'INSERT INTO t (SELECT 1)',
    "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
    'INSERT INTO t',
  ])('%j brings no data', (text) => {
    expect(readStatement(text)).toEqual({ kind: 'insert-select', secondStatementAt: undefined });
  });

  test('input() takes data in a way of its own', () => {
    expect(readStatement("INSERT INTO t SELECT * FROM input('a Int8') FORMAT CSV\n1").kind).toBe('insert-input');
  });

  test.each([
    ['SELECT 1; SELECT 2', 10],
    ['SELECT 1;;; -- done\n x', 21],
    ['SELECT \';\', ";", `;`, $a$ ; $a$ /* ; */ -- ;', undefined],
    ["SELECT 'it\\'s; ', 'it''s; '", undefined],
    ['SELECT 1; -- nothing more', undefined],
    ['INSERT INTO t SELECT 1; DROP TABLE t', 24],
  ])('%j: a second statement begins at %s', (text, at) => {
    const statement = readStatement(text);
    if (statement.kind !== 'other' && statement.kind !== 'insert-select') throw new Error(`It is ${statement.kind}.`);
    expect(statement.secondStatementAt).toBe(at);
  });

  test.each([
    ['SELECT 1 FORMAT JSON', 'JSON'],
    ['SELECT 1 FORMAT JSON;', 'JSON'],
    ['SELECT 1 FORMAT JSON SETTINGS max_threads = 1', 'JSON'],
    ['SELECT format FROM t', undefined],
    ['SELECT (SELECT 1 FORMAT JSON)', undefined],
    ["SELECT 'FORMAT JSON'", undefined],
    ['SELECT 1', undefined],
  ])('%j has the format %s', (text, format) => {
    expect(readStatement(text)).toMatchObject({ kind: 'other', format });
  });

  test.each(['', ' \n', '-- SELECT 1', '/* SELECT 1'])('%j is empty', (text) => {
    expect(readStatement(text)).toEqual({ kind: 'empty' });
  });
});

test('a quoted text is one token, whatever it holds', () => {
  expect(quoteString("a'b\\c")).toBe("'a\\'b\\\\c'");
  expect(quoteIdentifier('a`b\\c')).toBe('`a\\`b\\\\c`');
});
