import { mkdirSync, existsSync, writeFileSync } from 'node:fs';
import { unlink, writeFile } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fromEngine } from './clickhouse-errors.js';
import { quoteIdentifier, quoteString } from './clickhouse-sql.js';

/** A statement longer than this needs a higher `max_query_size`: the engine's default. */
const MAX_QUERY_SIZE_DEFAULT = 262_144;

/** Opaque: one client of the embedded server, with its own session. */
type Connection = object;

interface QueryOutcome {
  readonly bytes: Uint8Array;
  readonly elapsed: number;
  readonly rowsRead: number;
  readonly bytesRead: number;
}

interface InsertOutcome {
  readonly elapsed: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
}

/**
 * The functions of chdb's native module that are used here. chdb's own API on top of it takes only a table's name, a few
 * formats and checked settings for an insert of bytes; a server must take any statement.
 */
interface Addon {
  CreateConnection(directory: string, commandLine: readonly string[]): Connection;
  CloseConnection(connection: Connection): void;
  QueryAsyncConnection(connection: Connection, sql: string, defaultFormat: string): Promise<QueryOutcome>;
  /** Runs `prefix`, a newline and `data` as one text without copying the data through JavaScript. */
  InsertRawAsyncConnection(
    connection: Connection,
    prefix: string,
    data: Buffer,
    countLines: boolean,
  ): Promise<InsertOutcome>;
}

/** What a request asks of the session in which its statement runs. */
export interface SessionOptions {
  readonly database: string | undefined;
  readonly settings: ReadonlyMap<string, string>;
  /** Query parameters (`{name:Type}`) by name, in the text form of the HTTP interface. */
  readonly parameters: ReadonlyMap<string, string>;
  /** Refuses statements that change anything, as the HTTP interface does for GET. */
  readonly readOnly: boolean;
}

/** What a statement did; counts as in the X-ClickHouse-Summary header. */
export interface Outcome {
  readonly body: Uint8Array;
  readonly readRows: number;
  readonly readBytes: number;
  readonly writtenRows: number;
  readonly writtenBytes: number;
  readonly elapsedSeconds: number;
}

/** An INSERT whose data come separately. */
export interface InsertStatement {
  /** The statement up to its data. */
  readonly sql: Buffer;
  readonly data: Buffer;
  /** Byte offset in `sql` of what follows the table and its columns: SETTINGS, FORMAT or VALUES. */
  readonly clausesStart: number;
  readonly format: string;
  readonly valuesKeyword: boolean;
}

/**
 * The ClickHouse engine of npm's chdb on one data directory, used as a server uses it.
 *
 * Every statement runs on a connection of its own, opened before and closed after (0.2 ms): settings, query parameters and
 * the current database are set on it by SET and USE, with the engine's own checks, and go with it. Nothing can leak into
 * another request, and requests run in parallel, as many as libuv has threads.
 *
 * One connection stays open from `open` to `close`, because the engine shuts down with its last one.
 */
export class Engine {
  readonly #addon: Addon;
  readonly #directory: string;
  readonly #keeper: Connection;

  /**
   * Opens a data directory, which may be new. The folder's `default` database is an ordinary Atomic one: chdb would make it
   * an overlay over the file system, in which a missing table can turn out to be a file.
   *
   * @throws Error when the platform is not supported or the directory cannot be loaded.
   */
  static async open(directory: string): Promise<Engine> {
    const addon = await loadAddon();
    prepareDirectory(directory);
    return new Engine(addon, directory);
  }

  private constructor(addon: Addon, directory: string) {
    this.#addon = addon;
    this.#directory = directory;
    this.#keeper = this.#connect();
  }

  /** Runs a statement that brings no data. */
  query(sql: string, defaultFormat: string, options: SessionOptions): Promise<Outcome> {
    return this.#inSession(options, async (connection) => {
      const outcome = await this.#addon.QueryAsyncConnection(connection, sql, defaultFormat);
      return {
        body: outcome.bytes,
        readRows: outcome.rowsRead,
        readBytes: outcome.bytesRead,
        writtenRows: 0,
        writtenBytes: 0,
        elapsedSeconds: outcome.elapsed,
      };
    });
  }

  /** Runs INSERT ... SELECT, whose written rows count. */
  insertSelect(sql: string, options: SessionOptions): Promise<Outcome> {
    return this.#insert(sql, NO_DATA, options);
  }

  /** Runs INSERT with its data, which JavaScript never looks into. */
  async insertData(statement: InsertStatement, options: SessionOptions): Promise<Outcome> {
    const { sql, data, clausesStart } = statement;
    if (data.length === 0) return this.query(sql.toString(), 'Null', options);
    if (!mustGoByFile(statement)) return this.#insert(sql.toString(), data, options);
    const file = join(this.#directory, 'tmp', `insert-${randomUUID()}`);
    const head = sql.toString('utf8', 0, clausesStart);
    const clauses = statement.valuesKeyword ? 'FORMAT Values' : sql.toString('utf8', clausesStart);
    await writeFile(file, data);
    try {
      return await this.#insert(`${head} FROM INFILE ${quoteString(file)} COMPRESSION 'none' ${clauses}`, NO_DATA, {
        ...options,
        // The engine refuses asynchronous inserts from files; it makes none in any case.
        settings: new Map([...options.settings, ['async_insert', '0']]),
      });
    } finally {
      await unlink(file);
    }
  }

  /** Shuts the engine down. No statement may be running. */
  close(): void {
    this.#addon.CloseConnection(this.#keeper);
  }

  #insert(sql: string, data: Buffer, options: SessionOptions): Promise<Outcome> {
    return this.#inSession(options, async (connection) => {
      const outcome = await this.#addon.InsertRawAsyncConnection(connection, sql, data, false);
      return {
        body: new Uint8Array(),
        readRows: outcome.rowsWritten,
        readBytes: outcome.bytesWritten,
        writtenRows: outcome.rowsWritten,
        writtenBytes: outcome.bytesWritten,
        elapsedSeconds: outcome.elapsed,
      };
    });
  }

  async #inSession(options: SessionOptions, run: (connection: Connection) => Promise<Outcome>): Promise<Outcome> {
    const connection = this.#connect();
    try {
      for (const sql of sessionStatements(options)) await this.#addon.QueryAsyncConnection(connection, sql, 'Null');
      return await run(connection);
    } catch (error) {
      throw fromEngine(error);
    } finally {
      this.#addon.CloseConnection(connection);
    }
  }

  #connect(): Connection {
    return this.#addon.CreateConnection(this.#directory, [
      `--config-file=${configFile(this.#directory)}`,
      // No overlay database; the one named default is loaded from the metadata of the directory.
      '--default_database=',
      '--database=default',
      '--log-level=error',
      ...SERVER_LIKE_SETTINGS,
    ]);
  }
}

/** Where the engine as an embedded one behaves otherwise than a server. */
const SERVER_LIKE_SETTINGS = [
  // A bare expression is no query.
  '--implicit_select=0',
  '--allow_introspection_functions=0',
  // The data of an INSERT are parsed by the server half, as of an HTTP request, not by the client half.
  '--send_table_structure_on_insert_with_inline_data=0',
  // An INSERT without rows is no error over HTTP.
  '--throw_if_no_data_to_insert=0',
];

/** What follows a statement that is complete. */
const NO_DATA = Buffer.from('\n');

/**
 * The engine reads statement and data from one text, in which an empty line ends the data of an INSERT, and a semicolon
 * those of VALUES: what follows would be run as another statement. Such data go by way of a file, which is a little slower
 * and takes any bytes. Line formats such as JSONEachRow hardly ever have empty lines.
 */
function mustGoByFile({ data, format }: InsertStatement): boolean {
  return data.includes(format.toUpperCase() === 'VALUES' ? ';' : '\n\n');
}

function* sessionStatements(options: SessionOptions): Generator<string> {
  if (options.database !== undefined) yield `USE ${quoteIdentifier(options.database)}`;
  const changes = [
    ...Array.from(options.settings, ([name, value]) => `${name} = ${quoteString(value)}`),
    ...Array.from(options.parameters, ([name, value]) => `param_${name} = ${quoteString(value)}`),
  ];
  if (changes.length > 0) {
    const set = `SET ${changes.join(', ')}`;
    // Parameters may be longer than a statement.
    const isLong = set.length * 2 > MAX_QUERY_SIZE_DEFAULT;
    if (isLong) yield `SET max_query_size = ${set.length * 4}`;
    yield set;
    if (isLong && !options.settings.has('max_query_size')) yield `SET max_query_size = ${MAX_QUERY_SIZE_DEFAULT}`;
  }
  if (options.readOnly) yield 'SET readonly = 2';
}

function prepareDirectory(directory: string): void {
  mkdirSync(join(directory, 'tmp'), { recursive: true });
  mkdirSync(join(directory, 'metadata'), { recursive: true });
  const defaultDatabase = join(directory, 'metadata', 'default.sql');
  if (!existsSync(defaultDatabase)) {
    writeFileSync(defaultDatabase, `ATTACH DATABASE default UUID '${randomUUID()}'\nENGINE = Atomic\n`);
  }
  // An explicit file keeps the engine from reading one of the user's, and turns its log on.
  const log = join(directory, 'engine.log');
  const cacheBytes = 256 * 1024 * 1024;
  writeFileSync(
    configFile(directory),
    `<clickhouse>
  <logger><log>${log}</log><size>4M</size><count>1</count></logger>
  <mark_cache_size>${cacheBytes}</mark_cache_size>
  <uncompressed_cache_size>${cacheBytes}</uncompressed_cache_size>
</clickhouse>
`,
  );
}

function configFile(directory: string): string {
  return join(directory, 'config.xml');
}

async function loadAddon(): Promise<Addon> {
  // Finds the package of this platform, or says which ones there are; it loads no native code.
  const { resolveLibchdb } = await import('chdb/libchdb');
  const { packageName } = resolveLibchdb();
  if (!packageName) throw new Error('chdb has no native package for this platform.');
  const fromChdb = createRequire(createRequire(import.meta.url).resolve('chdb/package.json'));
  return fromChdb(packageName) as Addon;
}
