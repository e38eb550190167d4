import type { IncomingHttpHeaders } from 'node:http';
import { ERROR, exception } from './clickhouse-errors.js';
import { readStatement, type Statement } from './clickhouse-sql.js';
import type { InsertStatement, SessionOptions } from './clickhouse-engine.js';

/** The longest text that is looked at for an INSERT whose data follow in the body. */
const INSERT_HEAD_BYTES_MAX = 256 * 1024;

/** Parameters of the URL that are neither settings nor query parameters. The last three change nothing here. */
const RESERVED = new Set([
  'query',
  'database',
  'default_format',
  'query_id',
  'user',
  'password',
  'session_id',
  'session_timeout',
  'session_check',
  'close_session',
  'compress',
  'decompress',
  'role',
  'quota_key',
  'stacktrace',
  'client_protocol_version',
  'buffer_size',
  'wait_end_of_query',
]);

const PARAMETER_PREFIX = 'param_';
const SETTING_NAME = /^[A-Za-z_][A-Za-z0-9_.]*$/;

/** A statement as the engine takes it. */
export type Work =
  | { readonly kind: 'insert-data'; readonly insert: InsertStatement }
  | { readonly kind: 'insert-select'; readonly sql: string }
  | { readonly kind: 'query'; readonly sql: string; readonly format: string };

/** The URL, headers and body of a request; the body is uncompressed already. */
export interface RawRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What a request says besides its statement. */
export interface RequestOptions {
  readonly session: SessionOptions;
  readonly queryId: string | undefined;
  readonly defaultFormat: string;
  /** Compress the answer with gzip. */
  readonly gzipAnswer: boolean;
}

/**
 * Reads what the URL and the headers say.
 *
 * @throws ClickHouseException for what this front does not do: sessions, ClickHouse's own compression, a password.
 */
export function readOptions({ method, url, headers }: Omit<RawRequest, 'body'>): RequestOptions {
  refuseUnsupported(url.searchParams);
  refusePassword(url.searchParams, headers);
  const settings = new Map<string, string>();
  const parameters = new Map<string, string>();
  for (const [name, value] of url.searchParams) {
    if (name.startsWith(PARAMETER_PREFIX)) parameters.set(parameterName(name), value);
    else if (!RESERVED.has(name)) settings.set(settingName(name), value);
  }
  return {
    session: {
      database: nonEmpty(url.searchParams.get('database')) ?? nonEmpty(headers['x-clickhouse-database']),
      settings,
      parameters,
      readOnly: method === 'GET',
    },
    queryId: nonEmpty(url.searchParams.get('query_id')),
    defaultFormat:
      nonEmpty(url.searchParams.get('default_format')) ?? nonEmpty(headers['x-clickhouse-format']) ?? 'TabSeparated',
    gzipAnswer: isTrue(settings.get('enable_http_compression')) && /\bgzip\b/.test(headers['accept-encoding'] ?? ''),
  };
}

/**
 * Query and parameters of a multipart/form-data body, added to what the URL says.
 *
 * @throws ClickHouseException when it brings files: external tables are not supported.
 */
export function readForm(
  request: RawRequest,
  options: RequestOptions,
): { readonly query: string; readonly options: RequestOptions } {
  const [, quoted, plain] = /boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(request.headers['content-type'] ?? '') ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw exception(ERROR.BAD_ARGUMENTS, 'A multipart body without a boundary');
  const parameters = new Map(options.session.parameters);
  let query = request.url.searchParams.get('query') ?? '';
  // As latin1, one character is one byte. The first piece comes before the first part, the last one after the last.
  const pieces = `\r\n${request.body.toString('latin1')}`.split(`\r\n--${boundary}`).slice(1, -1);
  for (const piece of pieces) {
    const valueStart = piece.indexOf('\r\n\r\n');
    const header = piece.slice(0, valueStart);
    const name = /;\s*name="([^"]*)"/i.exec(header)?.[1] ?? '';
    if (valueStart < 0 || /;\s*filename=/i.test(header)) {
      throw exception(ERROR.NOT_IMPLEMENTED, 'The ClickHouse of the local stack takes no external tables');
    }
    const value = Buffer.from(piece.slice(valueStart + 4), 'latin1').toString();
    if (name === 'query') query += value;
    else if (name.startsWith(PARAMETER_PREFIX)) parameters.set(parameterName(name), value);
  }
  return { query, options: { ...options, session: { ...options.session, parameters } } };
}

/**
 * Finds the statement of a request, and the data of an INSERT. As in the server, the text is that of `query` in the URL
 * followed by the body.
 *
 * @throws ClickHouseException SYNTAX_ERROR for two statements.
 */
export function readWork(query: string, body: Buffer, defaultFormat: string): Work {
  const queryBytes = Buffer.from(query);
  if (queryBytes.length > 0) {
    const statement = readStatement(queryBytes.toString('latin1'));
    if (statement.kind === 'insert-data') {
      const rest = queryBytes.subarray(statement.dataStart);
      const data = isBlank(rest) ? body : Buffer.concat([rest, NEWLINE, body]);
      return insertWork(statement, queryBytes, data);
    }
    if (body.length === 0) return plainWork(statement, query, defaultFormat);
  }
  const text = queryBytes.length > 0 ? Buffer.concat([queryBytes, NEWLINE, body]) : body;
  // The data of an INSERT may be many megabytes: they are not to be decoded.
  const head = readStatement(text.toString('latin1', 0, INSERT_HEAD_BYTES_MAX));
  if (head.kind === 'insert-data') return insertWork(head, text, text.subarray(head.dataStart));
  const statement = text.length <= INSERT_HEAD_BYTES_MAX ? head : readStatement(text.toString('latin1'));
  if (statement.kind === 'insert-data') return insertWork(statement, text, text.subarray(statement.dataStart));
  return plainWork(statement, text.toString(), defaultFormat);
}

const NEWLINE = Buffer.from('\n');

function insertWork(statement: Extract<Statement, { kind: 'insert-data' }>, text: Buffer, data: Buffer): Work {
  const { clausesStart, format, valuesKeyword, dataStart } = statement;
  return {
    kind: 'insert-data',
    insert: {
      sql: text.subarray(0, dataStart),
      data: withoutLineEnd(data),
      clausesStart,
      format,
      valuesKeyword,
    },
  };
}

/** Data begin after the line end that follows the statement, if there is one: the engine is given another one. */
function withoutLineEnd(data: Buffer): Buffer {
  const [, spaceAndLineEnd = ''] = /^([ \t\f]*\r?\n)/.exec(data.toString('latin1', 0, 256)) ?? [];
  return data.subarray(spaceAndLineEnd.length);
}

function plainWork(statement: Exclude<Statement, { kind: 'insert-data' }>, sql: string, defaultFormat: string): Work {
  if (statement.kind === 'empty')
    throw exception(ERROR.SYNTAX_ERROR, 'Syntax error: failed at position 1 (end of query)');
  if (statement.kind === 'insert-input') {
    // The engine would look for the data on standard input, find none, and report success.
    throw exception(ERROR.NOT_IMPLEMENTED, 'The ClickHouse of the local stack does not support input() in an INSERT');
  }
  if (statement.secondStatementAt !== undefined) {
    throw exception(
      ERROR.SYNTAX_ERROR,
      `Syntax error (Multi-statements are not allowed): failed at position ${statement.secondStatementAt + 1}`,
    );
  }
  if (statement.kind === 'other') return { kind: 'query', sql, format: statement.format ?? defaultFormat };
  return { kind: 'insert-select', sql };
}

function isBlank(bytes: Buffer): boolean {
  return bytes.toString('latin1').trim() === '';
}

function isTrue(value: string | undefined): boolean {
  return value === '1' || value?.toLowerCase() === 'true';
}

function nonEmpty(value: string | readonly string[] | null | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function settingName(name: string): string {
  if (!SETTING_NAME.test(name)) throw exception(ERROR.UNKNOWN_SETTING, `Unknown setting '${name}'`);
  return name;
}

function parameterName(name: string): string {
  const bare = name.slice(PARAMETER_PREFIX.length);
  if (!/^\w+$/.test(bare)) throw exception(ERROR.BAD_ARGUMENTS, `'${bare}' is no name for a query parameter`);
  return bare;
}

function refuseUnsupported(search: URLSearchParams): void {
  for (const name of ['session_id', 'compress', 'decompress']) {
    const value = search.get(name);
    if (value !== null && value !== '' && value !== '0') {
      throw exception(ERROR.NOT_IMPLEMENTED, `The ClickHouse of the local stack does not support '${name}'`);
    }
  }
}

/** As a server whose users have no password: any name is let in, any password is wrong. */
function refusePassword(search: URLSearchParams, headers: IncomingHttpHeaders): void {
  const [scheme = '', credentials = ''] = (headers.authorization ?? '').split(' ', 2);
  const basic = scheme.toLowerCase() === 'basic' ? Buffer.from(credentials, 'base64').toString() : '';
  const passwords = [basic.slice(basic.indexOf(':') + 1), search.get('password'), headers['x-clickhouse-key']];
  if (passwords.every((password) => password === undefined || password === null || password === '')) return;
  const user = nonEmpty(basic.split(':', 1)[0]) ?? search.get('user') ?? 'default';
  throw exception(
    ERROR.AUTHENTICATION_FAILED,
    `${user}: Authentication failed: password is incorrect, or there is no user with such name`,
  );
}
