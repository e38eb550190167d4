/**
 * The ClickHouse of a native stack: the engine of npm's chdb behind as much of ClickHouse's HTTP interface as its clients
 * use, in a process of its own, so that it can be queried by anybody and killed by tests.
 *
 *     node --import tsx clickhouse-front.ts --host 127.0.0.1 --port 18123 --data DIRECTORY
 *
 * As a server: GET /ping; a query in the URL, in the body, or begun in the one and ended in the other; settings, query
 * parameters and database in the URL, each request for itself; multipart forms; bodies and answers in gzip;
 * statuses, exception codes and texts; acknowledged inserts survive SIGKILL.
 *
 * Otherwise than a server: an answer is sent when it is complete (as with `wait_end_of_query=1`), so that an exception never
 * follows half a result; asynchronous inserts are made synchronously; a query goes on when its client has gone; there are no
 * sessions, users, passwords, quotas, replicas, query log, external tables, input(), or other protocols. What is not there
 * is refused, not ignored.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import { parseArgs, promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { Engine, type Outcome } from './clickhouse-engine.js';
import { ClickHouseException, ERROR, exception, httpStatusOf } from './clickhouse-errors.js';
import { readForm, readOptions, readWork, type RequestOptions } from './clickhouse-request.js';

/** Body as received and as uncompressed. */
const BODY_BYTES_MAX = 512 * 1024 * 1024;
/** The server's `http_max_uri_size` is 1 MiB; Node's default of 16 KiB for URL and headers would cut query parameters off. */
const HEADER_BYTES_MAX = 1024 * 1024 + 64 * 1024;
/** As the server's default; clients close idle connections before. */
const KEEP_ALIVE_MS = 30_000;
const DRAIN_WITHIN_MS = 10_000;
/** The server's `http_zlib_compression_level`. */
const GZIP_LEVEL = 3;

const decompress = promisify(gunzip);
const compress = promisify(gzip);

const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^JSON.*EachRow|^NDJSON|^JSONLines/i, 'application/x-ndjson; charset=UTF-8'],
  [/^JSON/i, 'application/json; charset=UTF-8'],
  [/^CSV/i, 'text/csv; charset=UTF-8; header=absent'],
  [/^TabSeparated|^TSV/i, 'text/tab-separated-values; charset=UTF-8'],
  [/^Native|^RowBinary|^Arrow|^Parquet|^ORC|^Avro/i, 'application/octet-stream'],
];

interface Facts {
  readonly version: string;
  readonly timezone: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { host: { type: 'string' }, port: { type: 'string' }, data: { type: 'string' } },
  });
  if (!values.host || !values.port || !values.data) throw new Error('Usage: --host HOST --port PORT --data DIRECTORY');
  const engine = await Engine.open(values.data);
  const facts = await readFacts(engine);
  let running = 0;

  const server = createServer(
    { maxHeaderSize: HEADER_BYTES_MAX, keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 },
    (request, response) => {
      running += 1;
      void answer(request, response, { engine, facts }).finally(() => {
        running -= 1;
      });
    },
  );
  server.once('error', (error) => {
    console.error(error.message);
    engine.close();
    process.exit(1);
  });
  server.listen(Number(values.port), values.host);

  const shutDown = async (): Promise<void> => {
    server.close();
    server.closeIdleConnections();
    const deadline = Date.now() + DRAIN_WITHIN_MS;
    while (running > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    // Closing it under a running statement would abort the process.
    if (running === 0) engine.close();
    process.exit(0);
  };
  process.once('SIGTERM', () => void shutDown());
}

async function readFacts(engine: Engine): Promise<Facts> {
  const session = { database: undefined, settings: new Map(), parameters: new Map(), readOnly: true };
  const { body } = await engine.query('SELECT version(), timezone()', 'TabSeparated', session);
  const [version = '', timezone = ''] = Buffer.from(body).toString().trimEnd().split('\t');
  return { version, timezone };
}

/** Never rejects. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { engine, facts }: { readonly engine: Engine; readonly facts: Facts },
): Promise<void> {
  response.setHeader('X-ClickHouse-Server-Display-Name', 'local-stack');
  try {
    const url = new URL(request.url ?? '/', 'http://stack');
    const method = request.method ?? 'GET';
    if (url.pathname === '/ping' || url.pathname === '/replicas_status' || isGreeting(method, url)) {
      response.setHeader('Content-Type', 'text/html; charset=UTF-8');
      response.end('Ok.\n');
      return;
    }
    if (url.pathname !== '/') {
      response.statusCode = 404;
      response.end(`There is no handle ${url.pathname}\n\nUse / or /ping for health checks.\n`);
      return;
    }
    response.setHeader('X-ClickHouse-Timezone', facts.timezone);
    let options = readOptions({ method, url, headers: request.headers });
    response.setHeader('X-ClickHouse-Query-Id', options.queryId ?? randomUUID());
    const body = await readBody(request);
    let query = url.searchParams.get('query') ?? '';
    const isForm = /^multipart\/form-data/i.test(request.headers['content-type'] ?? '');
    if (isForm) ({ query, options } = readForm({ method, url, headers: request.headers, body }, options));
    await run(query, isForm ? Buffer.alloc(0) : body, options, { engine, response });
  } catch (error) {
    sendException(response, error, facts.version);
  }
}

async function run(
  query: string,
  body: Buffer,
  options: RequestOptions,
  { engine, response }: { readonly engine: Engine; readonly response: ServerResponse },
): Promise<void> {
  const work = readWork(query, body, options.defaultFormat);
  switch (work.kind) {
    case 'query': {
      const outcome = await engine.query(work.sql, options.defaultFormat, options.session);
      const [, contentType] = CONTENT_TYPES.find(([pattern]) => pattern.test(work.format)) ?? [];
      response.setHeader('X-ClickHouse-Format', work.format);
      response.setHeader('Content-Type', contentType ?? 'text/plain; charset=UTF-8');
      await send(response, outcome, options);
      return;
    }
    case 'insert-select':
      await send(response, await engine.insertSelect(work.sql, options.session), options);
      return;
    case 'insert-data':
      await send(response, await engine.insertData(work.insert, options.session), options);
  }
}

async function send(response: ServerResponse, outcome: Outcome, options: RequestOptions): Promise<void> {
  response.setHeader('X-ClickHouse-Summary', summaryOf(outcome));
  let body: Uint8Array = outcome.body;
  if (options.gzipAnswer && body.length > 0) {
    body = await compress(body, { level: GZIP_LEVEL });
    response.setHeader('Content-Encoding', 'gzip');
  }
  response.end(body);
}

/** Numbers are strings in it, as they may be larger than JSON's. */
function summaryOf(outcome: Outcome): string {
  const isInsert = outcome.writtenRows > 0;
  return JSON.stringify({
    read_rows: String(outcome.readRows),
    read_bytes: String(outcome.readBytes),
    written_rows: String(outcome.writtenRows),
    written_bytes: String(outcome.writtenBytes),
    total_rows_to_read: '0',
    result_rows: String(isInsert ? outcome.writtenRows : outcome.readRows),
    result_bytes: String(isInsert ? outcome.writtenBytes : outcome.body.length),
    elapsed_ns: String(Math.round(outcome.elapsedSeconds * 1e9)),
  });
}

function sendException(response: ServerResponse, error: unknown, version: string): void {
  if (response.headersSent || response.destroyed) {
    response.destroy();
    return;
  }
  const failure =
    error instanceof ClickHouseException
      ? error
      : exception(ERROR.STD_EXCEPTION, error instanceof Error ? error.message : String(error));
  response.statusCode = httpStatusOf(failure.code);
  response.setHeader('X-ClickHouse-Exception-Code', String(failure.code));
  response.setHeader('Content-Type', 'text/plain; charset=UTF-8');
  response.removeHeader('X-ClickHouse-Format');
  if (failure.code === ERROR.AUTHENTICATION_FAILED.code)
    response.setHeader('WWW-Authenticate', 'Basic realm="ClickHouse server HTTP API"');
  response.end(`${failure.message} (version ${version} (official build))\n`);
}

function isGreeting(method: string, url: URL): boolean {
  return method === 'GET' && url.pathname === '/' && !url.searchParams.has('query');
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX)
      throw exception(ERROR.QUERY_IS_TOO_LARGE, `A body is at most ${BODY_BYTES_MAX} bytes here`);
    chunks.push(chunk);
  }
  const body = chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, bytes);
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding === 'identity' || body.length === 0) return body;
  if (encoding !== 'gzip')
    throw exception(ERROR.NOT_IMPLEMENTED, `The local stack does not know the content encoding '${encoding}'`);
  try {
    return await decompress(body, { maxOutputLength: BODY_BYTES_MAX });
  } catch (error) {
    throw exception(
      ERROR.ZLIB_INFLATE_FAILED,
      `The body is no ${encoding}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
