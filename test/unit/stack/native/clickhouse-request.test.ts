import { describe, expect, test } from 'vitest';
import { readForm, readOptions, readWork } from '../../../../stack/native/clickhouse-request.js';

const noBody = Buffer.alloc(0);
const request = (query: string, headers: Record<string, string> = {}, method = 'POST') => ({
  method,
  url: new URL(`http://stack/?${query}`),
  headers,
});

describe('readOptions', () => {
  test('settings, parameters and what is neither are told apart', () => {
    const { session, queryId, defaultFormat } = readOptions(
      request('query=SELECT+1&query_id=q&max_threads=1&param_x=a&database=d&wait_end_of_query=1&default_format=CSV'),
    );
    expect(Object.fromEntries(session.settings)).toEqual({ max_threads: '1' });
    expect(Object.fromEntries(session.parameters)).toEqual({ x: 'a' });
    expect([session.database, session.readOnly, queryId, defaultFormat]).toEqual(['d', false, 'q', 'CSV']);
  });

  test('GET is read-only', () => {
    expect(readOptions(request('query=SELECT+1', {}, 'GET')).session.readOnly).toBe(true);
  });

  test('an answer is compressed only when both the setting and the header ask for it', () => {
    const accept = { 'accept-encoding': 'gzip, br' };
    expect(readOptions(request('enable_http_compression=1', accept)).gzipAnswer).toBe(true);
    expect(readOptions(request('', accept)).gzipAnswer).toBe(false);
    expect(readOptions(request('enable_http_compression=1')).gzipAnswer).toBe(false);
  });

  test.each([
    ['param_a-b=1', 36],
    ['a;b=1', 115],
    ['session_id=1', 48],
    ['decompress=1', 48],
    ['password=x', 516],
  ])('%s is refused with code %i', (query, code) => {
    expect(() => readOptions(request(query))).toThrow(expect.objectContaining({ code }));
  });

  test.each(['default:', 'anybody:'])('user and password %j are let in', (credentials) => {
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`;
    expect(() => readOptions(request('', { authorization }))).not.toThrow();
  });
});

describe('readWork', () => {
  const insertOf = (query: string, body: string) => {
    const work = readWork(query, Buffer.from(body), 'TSV');
    if (work.kind !== 'insert-data') throw new Error(`It is ${work.kind}.`);
    return { sql: work.insert.sql.toString(), data: work.insert.data.toString() };
  };

  test.each([
    ['INSERT INTO t FORMAT CSV', '1,2\n', 'INSERT INTO t FORMAT CSV', '1,2\n'],
    ['INSERT INTO t FORMAT CSV\n', '1,2\n', 'INSERT INTO t FORMAT CSV', '1,2\n'],
    ['', 'INSERT INTO t FORMAT CSV\r\n1,2', 'INSERT INTO t FORMAT CSV', '1,2'],
    ['', 'INSERT INTO t FORMAT CSV 1,2', 'INSERT INTO t FORMAT CSV', ' 1,2'],
    ['INSERT INTO t', 'FORMAT CSV\n1,2', 'INSERT INTO t\nFORMAT CSV', '1,2'],
    ['INSERT INTO t FORMAT CSV\n1,2', '3,4', 'INSERT INTO t FORMAT CSV', '1,2\n3,4'],
    ['INSERT INTO t FORMAT CSV', '\n\n1', 'INSERT INTO t FORMAT CSV', '\n1'],
    ['INSERT INTO ü FORMAT CSV', 'ü', 'INSERT INTO ü FORMAT CSV', 'ü'],
  ])('%j with the body %j', (query, body, sql, data) => {
    expect(insertOf(query, body)).toEqual({ sql, data });
  });

  test('a query may begin in the URL and end in the body', () => {
    expect(readWork('SELECT', Buffer.from('1 FORMAT JSON'), 'TSV')).toEqual({
      kind: 'query',
      sql: 'SELECT\n1 FORMAT JSON',
      format: 'JSON',
    });
  });

  test.each(['', ' ', 'SELECT 1; SELECT 2'])('%j is a syntax error', (query) => {
    expect(() => readWork(query, noBody, 'TSV')).toThrow(expect.objectContaining({ code: 62 }));
  });
});

test('a form brings the query and its parameters, byte for byte', () => {
  const boundary = '----x-1';
  const part = (name: string, value: string) =>
    `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  const body = Buffer.from(`${part('query', 'SELECT {p:String}')}${part('param_p', 'ü\r\n--x')}--${boundary}--\r\n`);
  const raw = { ...request('max_threads=1', { 'content-type': `multipart/form-data; boundary=${boundary}` }), body };
  const { query, options } = readForm(raw, readOptions(raw));
  expect(query).toBe('SELECT {p:String}');
  expect(Object.fromEntries(options.session.parameters)).toEqual({ p: 'ü\r\n--x' });
});
