import type { ClickHouseConfig } from '../config/config.js';
import {
  INSERT_DEFAULTS,
  INSERT_SETTINGS,
  INSERT_SETTINGS_IF_KNOWN,
  QUERY_SETTINGS,
} from '../config/insertSettings.js';
import { Readable } from 'node:stream';
import {
  ClickHouseError,
  parseError,
  type ClickHouseClient,
  type ClickHouseSettings,
  type ResponseHeaders,
} from '@clickhouse/client';
import type { KafkaRecord, RecordSource, TopicPartition } from '../protocol/record.js';
import { parseTableName } from '../protocol/tables.js';
import { classifyForeignAnswer, classifyInsertError, InsertError } from './insertErrors.js';
import { InsertSizes } from './insertSizes.js';
import type { TableColumns } from './rows.js';
import { quoteName } from './sqlNames.js';
import { DEFAULT_LIMITS, type ValueLimits } from './values/valueChecks.js';

const COLUMNS_MAX_AGE_MS = 30_000;

/** Codes of ClickHouse's UNKNOWN_TABLE and ACCESS_DENIED. */
const UNKNOWN_TABLE = '60';
const ACCESS_DENIED = '497';

/** Tables of the server's own that are read, and that a user needs a grant for, by ClickHouse's default configuration. */
const SYSTEM_TABLES = ['merge_tree_settings', 'replicated_merge_tree_settings', 'parts', 'replicas', 'processes'];

/** Where there is no id, as in a database of an engine without. */
const NO_UUID = '00000000-0000-0000-0000-000000000000';

/** Of a table's views no more than this are followed. */
const VIEWS_MAX = 100;

/** A part may have its time a little before it is in its table. */
const PART_DELAY_MS = 10_000;

/** What one insert sends. */
export interface RowsToInsert {
  /**
   * Every column that the lines were made for: one that has been dropped meanwhile is an error, where ClickHouse would
   * otherwise skip its values without a word.
   */
  readonly columns: TableColumns;
  /** Lines of `JSONEachRow`. */
  readonly lines: readonly Buffer[];
  /** The deduplication token: must never be used with other rows. */
  readonly token: string;
  /** Marks the query as one of this batch: its `log_comment`, see {@link ClickHouseTables.isInserting}. */
  readonly batch: string;
  /** A view that fails leaves the insert and the other views alone. Default: it fails the insert. */
  readonly ignoreViews?: boolean;
}

/** How long a table knows the tokens of what was inserted into it. */
export interface TokenWindow {
  /** With its database, quoted for a statement; null where it cannot be told what a view writes to. */
  readonly table: string | null;
  /** The setting that says how many; null where its engine has none. */
  readonly setting: string | null;
  /** As many of its latest blocks have tokens that it knows; 0 where it knows none. */
  readonly blocks: number;
  readonly ms: number;
}

/** Rows of one record, under one epoch: one, where nothing has gone wrong. */
export interface RowsOfRecord {
  readonly offset: number;
  readonly epoch: string;
  readonly rows: number;
}

/** How rows are looked up. */
export interface LookUps {
  readonly client: ClickHouseClient;
  /** After this long ClickHouse gives a look-up up; the client waits a little longer. */
  readonly timeoutMs: number;
}

const LOOK_UP_TIMEOUT_MS = 30_000;

/** A code of ClickHouse: a query ran for longer than `max_execution_time`. */
const TIMEOUT_EXCEEDED = '159';
const LOOK_UP_TIMEOUT = 'look_up_timeout';

/** The tables of one ClickHouse connection. */
export class ClickHouseTables {
  readonly #client: ClickHouseClient;
  readonly #lookUps: LookUps;
  readonly #database: string;
  readonly #settings: ClickHouseSettings;
  readonly #columns = new Map<string, { readonly columns: TableColumns; readonly readAtMs: number }>();
  readonly #lastInsertAtMs = new Map<string, number>();
  #settingsIfKnown: ClickHouseSettings = {};
  readonly #sizes = new InsertSizes();

  /**
   * @param settings of inserts, beside {@link INSERT_SETTINGS}; look-ups go without, and have {@link QUERY_SETTINGS}
   * @param lookUps the client for look-ups, whose time-out is theirs; by default the same
   */
  constructor(
    client: ClickHouseClient,
    database: string,
    settings: ClickHouseConfig['settings'] = {},
    lookUps: LookUps = { client, timeoutMs: LOOK_UP_TIMEOUT_MS },
  ) {
    this.#client = client;
    this.#lookUps = lookUps;
    this.#database = database;
    this.#settings = settings;
  }

  /**
   * Names and types of a table's columns; read again when older than 30 s or after {@link forget}.
   *
   * @throws InsertError, structural where there is no such table
   */
  async columns(table: string): Promise<TableColumns> {
    const known = this.#columns.get(table);
    if (known !== undefined && performance.now() - known.readAtMs < COLUMNS_MAX_AGE_MS) return known.columns;
    const { database, name } = this.#split(table);
    const rows = await this.#query<[string, string, number | null, string]>(
      `SELECT name, type,
         (SELECT notEmpty(dependencies_table) FROM system.tables WHERE database = {database:String} AND name = {name:String}),
         default_kind
       FROM system.columns
       WHERE database = {database:String} AND table = {name:String} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
       ORDER BY position`,
      { database, name },
    );
    if (rows.length === 0) {
      const message = `there is no table ${database}.${name}: create it, or let \`ktb setup\` propose one`;
      throw new InsertError('structural', { code: UNKNOWN_TABLE, message });
    }
    const columns: TableColumns = Object.assign(new Map(rows.map(([column, type]) => [column, type])), {
      limits: await this.#readServer(),
      hasViews: rows[0]?.[2] !== 0,
      defaults: new Set(rows.filter(([, , , kind]) => kind === 'DEFAULT').map(([column]) => column)),
    });
    this.#columns.set(table, { columns, readAtMs: performance.now() });
    return columns;
  }

  /** Reads what differs between servers: known settings, and what their dates can hold. It may have been upgraded. */
  async #readServer(): Promise<ValueLimits> {
    const names = Object.keys(INSERT_SETTINGS_IF_KNOWN);
    let rows: [string, number, number, string[]][];
    try {
      rows = await this.#query<[string, number, number, string[]]>(
        `SELECT timezone(),
           toYear(toDateTime64('0001-01-02 00:00:00', 0, 'UTC')), toYear(toDateTime64('9999-12-30 00:00:00', 0, 'UTC')),
           (SELECT groupArray(name) FROM system.settings WHERE name IN {names:Array(String)})`,
        { names },
        this.#client,
        // Inserts have it, too.
        Object.fromEntries(Object.entries(this.#settings).filter(([name]) => name === 'session_timezone')),
      );
    } catch (error) {
      // A server that refuses the question is one that has none of these settings.
      if (error instanceof InsertError && error.answered && error.kind !== 'transient') return DEFAULT_LIMITS;
      throw error;
    }
    const [[timeZone, first, last, known]] = rows as [[string, number, number, string[]]];
    this.#settingsIfKnown = Object.fromEntries(
      Object.entries(INSERT_SETTINGS_IF_KNOWN).filter(([name]) => known.includes(name)),
    );
    return { timeZone, years: [first, last] };
  }

  /** The table may have been altered: its columns are read again. */
  forget(table: string): void {
    this.#columns.delete(table);
  }

  /**
   * Inserts rows, all or none of them as far as ClickHouse can. Resolves when they can be queried.
   *
   * @throws InsertError
   */
  async insert(table: string, { columns, lines, token, batch, ignoreViews }: RowsToInsert): Promise<void> {
    await this.#insert(table, columns, lines, {
      insert_deduplication_token: token,
      log_comment: logComment(batch),
      ...(ignoreViews ? { materialized_views_ignore_errors: 1 } : {}),
    });
    this.#lastInsertAtMs.set(table, performance.now());
    if (this.insertBytesMax(table) === Infinity) return;
    const bytes = lines.reduce((sum, { length }) => sum + length, 0);
    this.#sizes.fitted(table, bytes);
  }

  /**
   * An insert without rows: shows that the table is there with these columns, may be written, and has not too many parts.
   * Nothing is written.
   *
   * @throws InsertError
   */
  async probe(table: string, columns: TableColumns): Promise<void> {
    await this.#insert(table, columns, [Buffer.from(' ')], {});
  }

  /**
   * What no other ClickHouse has: ids of the server with the database, and of tables, as far as this user may see them and they
   * are there. Not the paths of replicated tables: two ClickHouses, each with its own Keeper, may have the same.
   *
   * @throws InsertError where ClickHouse does not answer
   */
  async identities(tables: readonly string[]): Promise<readonly string[]> {
    const found = (await this.#ifAllowed<[string]>('SELECT toString(serverUUID())', {}))
      .filter(([uuid]) => uuid !== NO_UUID)
      .map(([uuid]) => `${uuid}/${this.#database}`);
    for (const table of tables) {
      const ids = await this.#ifAllowed<[string]>(
        'SELECT toString(uuid) FROM system.tables WHERE database = {database:String} AND name = {name:String}',
        this.#split(table),
      );
      for (const [id] of ids) if (id !== NO_UUID) found.push(id);
    }
    return found;
  }

  /** Bytes that one insert into a table should have at most, since larger ones were refused for their size. */
  insertBytesMax(table: string): number {
    return this.#sizes.bytesMax(table);
  }

  /** See {@link InsertSizes.wasTooLarge}. */
  wasTooLarge(table: string, bytes: number, mayGrow: boolean): void {
    this.#sizes.wasTooLarge(table, bytes, mayGrow);
  }

  /**
   * Whether a table has materialized views now.
   *
   * @throws InsertError
   */
  async hasViews(table: string): Promise<boolean> {
    const { database, name } = this.#split(table);
    return ((await this.#tableFacts(database, name))?.dependents.length ?? 0) > 0;
  }

  /**
   * Whether a table, what its materialized views write to, and so on, all know the tokens still of what was inserted at most
   * so long ago; also while it is inserted once more. Undefined where the user may not ask.
   *
   * @throws InsertError
   */
  knowsTokens(table: string, ageMs: number): Promise<boolean | undefined> {
    return unlessDenied(this.#knowsTokens(table, ageMs), undefined);
  }

  async #knowsTokens(table: string, ageMs: number): Promise<boolean> {
    const defaults = await this.#windowDefaults();
    for (const facts of await this.#writtenTo(table)) {
      const { blocks, ms } = windowOf(facts, defaults);
      if (facts === undefined || blocks === 0 || ageMs >= ms) return false;
      if ((await this.#blocksSince(facts, ageMs)) > blocks) return false;
    }
    return true;
  }

  /**
   * How long a table's tokens are known: by itself, which comes first, and by what its materialized views write to. Empty where that
   * may not be asked.
   *
   * @throws InsertError
   */
  async tokenWindows(table: string): Promise<TokenWindow[]> {
    const defaults = await unlessDenied(this.#windowDefaults(), null);
    return defaults === null ? [] : (await this.#writtenTo(table)).map((facts) => windowOf(facts, defaults));
  }

  /**
   * Tables of the server's own that the user may not read.
   *
   * @throws InsertError
   */
  async deniedSystemTables(): Promise<string[]> {
    const denied = await Promise.all(
      SYSTEM_TABLES.map((table) =>
        unlessDenied(
          this.#query(`SELECT 1 FROM system.${table} LIMIT 0`, {}).then(() => []),
          [`system.${table}`],
        ),
      ),
    );
    return denied.flat();
  }

  async #windowDefaults(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#query<[string, string]>(
      `SELECT name, value FROM system.merge_tree_settings WHERE name = 'non_replicated_deduplication_window'
       UNION ALL SELECT name, value FROM system.replicated_merge_tree_settings WHERE startsWith(name, 'replicated_deduplication_window')`,
      {},
    );
    return new Map(rows);
  }

  /** A table, what its materialized views write to, what theirs do, and so on; undefined where that cannot be told. */
  async #writtenTo(table: string): Promise<(TableFacts | undefined)[]> {
    const { database, name } = this.#split(table);
    const writtenTo = [await this.#tableFacts(database, name)];
    const seen = new Set<string>();
    // It grows while it is gone through.
    for (const facts of writtenTo) {
      for (const [viewDatabase, viewName] of facts?.dependents ?? []) {
        const id = `${viewDatabase}.${viewName}`;
        if (seen.has(id)) continue;
        seen.add(id);
        if (seen.size > VIEWS_MAX) return [...writtenTo, undefined];
        const view = await this.#tableFacts(viewDatabase, viewName);
        const target = view === undefined ? undefined : targetOf(view);
        writtenTo.push(target === undefined ? undefined : await this.#tableFacts(...target));
      }
    }
    return writtenTo;
  }

  /**
   * How many blocks a table has got since so long ago, from whatever source, or more; and in how many partitions, since the same
   * rows sent again may bring as many. Blocks are numbered in one sequence, in a replicated table in one for each partition. Those
   * before that time end at the latest number of an older part, replaced or not, unless that part was attached since. What a
   * replica has not fetched yet is counted by its queue.
   */
  async #blocksSince({ database, name, engine }: TableFacts, ageMs: number): Promise<number> {
    const replicated = isReplicated(engine);
    const [row] = await this.#query<[number | string]>(
      `WITH now() - toIntervalSecond({seconds:UInt32}) AS since
       SELECT sum(blocks + partitions) + (
         SELECT sum(if(is_readonly OR is_session_expired, 4294967295,
             inserts_in_queue + greatest(0, toInt64(log_max_index) + 1 - toInt64(log_pointer))))
           FROM system.replicas WHERE {replicated:Bool} AND database = {database:String} AND table = {name:String})
       FROM (
         SELECT uniqExactIf(partition_id, modification_time >= since) AS partitions,
           ifNull(minOrNullIf(min_block_number, level = 0 AND modification_time >= since), max(max_block_number) + 1) AS first,
           max(max_block_number) - arrayMax(arrayPushBack(
             arrayFilter(number -> number < first, groupArrayIf(max_block_number, modification_time < since)),
             min(min_block_number) - 1)) AS blocks
         FROM system.parts WHERE database = {database:String} AND table = {name:String}
         GROUP BY if({replicated:Bool}, partition_id, ''))`,
      { database, name, replicated, seconds: Math.ceil((Math.max(0, ageMs) + PART_DELAY_MS) / 1000) },
    );
    return Number(row?.[0] ?? Infinity);
  }

  async #tableFacts(database: string, name: string): Promise<TableFacts | undefined> {
    const [row] = await this.#query<[string, string, string, string, string[], string[]]>(
      `SELECT engine, engine_full, toString(uuid), create_table_query, dependencies_database, dependencies_table
       FROM system.tables WHERE database = {database:String} AND name = {name:String}`,
      { database, name },
    );
    if (row === undefined) return undefined;
    const [engine, engineFull, uuid, createQuery, databases, names] = row;
    const dependents = names.map((dependent, index) => [databases[index] ?? database, dependent] as const);
    return { database, name, engine, engineFull, uuid, createQuery, dependents };
  }

  /** When this process last inserted rows into a table, by `performance.now()`; undefined where it has not. */
  lastInsertAtMs(table: string): number | undefined {
    return this.#lastInsertAtMs.get(table);
  }

  /**
   * Whether an insert of this batch is still running, although nobody waits for its answer any more: ClickHouse goes on
   * with an insert whose connection has broken. Asks the server that answers; of several replicas the others are not
   * asked, there the deduplication token has to do.
   *
   * @throws InsertError
   */
  async isInserting(batch: string): Promise<boolean> {
    const running = this.#query<[string]>(
      `SELECT query_id FROM system.processes
       WHERE query_kind = 'Insert' AND Settings['log_comment'] = {comment:String} LIMIT 1`,
      { comment: logComment(batch) },
    );
    // Where it may not be asked it cannot be known: no reason to hold a batch for ever.
    return (await unlessDenied(running, [])).length > 0;
  }

  /**
   * Which offsets of a source are in the table already.
   *
   * @throws InsertError
   */
  async foundOffsets(table: string, source: RecordSource, from: number, to: number): Promise<Set<number>> {
    const { database, name } = this.#split(table);
    const { topic, partition, epoch } = source;
    const rows = await this.#lookUp<[number | string]>(
      table,
      `SELECT DISTINCT _offset FROM ${quoteName(database)}.${quoteName(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _epoch = {epoch:String}
         AND _offset BETWEEN {from:Int64} AND {to:Int64}`,
      { topic, partition, epoch, from, to },
    );
    return new Set(rows.map(([offset]) => Number(offset)));
  }

  /**
   * Which records of a partition are in the table already, whatever their epoch: as {@link recordName} names them. Another
   * log's record at the same offset has another timestamp.
   *
   * @throws InsertError
   */
  async foundRecords(
    table: string,
    columns: TableColumns,
    { topic, partition }: RecordSource,
    from: number,
    to: number,
  ): Promise<Set<string>> {
    const { database, name } = this.#split(table);
    const rows = await this.#lookUp<[number | string, number | string]>(
      table,
      `SELECT DISTINCT _offset, ${secondsOf(columns.get('_timestamp'))} FROM ${quoteName(database)}.${quoteName(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _offset BETWEEN {from:Int64} AND {to:Int64}`,
      { topic, partition, from, to },
    );
    return new Set(rows.map(([offset, seconds]) => `${offset}@${seconds}`));
  }

  /**
   * How many rows each record of a range of offsets has, by epoch, in the order of offsets.
   *
   * @throws InsertError
   */
  async rowsByOffset(
    table: string,
    { topic, partition }: TopicPartition,
    from: number,
    to: number,
  ): Promise<RowsOfRecord[]> {
    const { database, name } = this.#split(table);
    const rows = await this.#lookUp<[number | string, string, number | string]>(
      table,
      `SELECT _offset, _epoch, count() FROM ${quoteName(database)}.${quoteName(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _offset BETWEEN {from:Int64} AND {to:Int64}
       GROUP BY _offset, _epoch ORDER BY _offset`,
      { topic, partition, from, to },
    );
    return rows.map(([offset, epoch, count]) => ({ offset: Number(offset), epoch, rows: Number(count) }));
  }

  async #insert(
    table: string,
    columns: TableColumns,
    lines: readonly Buffer[],
    settings: ClickHouseSettings,
  ): Promise<void> {
    const { database, name } = this.#split(table);
    const names = [...columns.keys()].map(quoteName).join(', ');
    const statement = `INSERT INTO ${quoteName(database)}.${quoteName(name)} (${names}) FORMAT JSONEachRow\n`;
    try {
      const { stream, response_headers, http_status_code } = await this.#client.exec({
        // At the head of the body: with many columns the statement is longer than an address may be.
        query: '',
        values: Readable.from([Buffer.from(statement), ...lines], { objectMode: false }),
        clickhouse_settings: {
          ...INSERT_DEFAULTS,
          ...this.#settings,
          ...INSERT_SETTINGS,
          ...this.#settingsIfKnown,
          ...settings,
        },
        ignore_error_response: true,
      });
      // Read to its end, or the connection could not be used again.
      const answer: Uint8Array[] = [];
      for await (const part of stream as AsyncIterable<Uint8Array>) answer.push(part);
      mustBeSuccess(http_status_code, response_headers, answer);
      mustBeOfClickHouse(response_headers);
    } catch (error) {
      throw classifyInsertError(error, columns);
    }
  }

  /** Looks rows up. Over its time it is stopped, by ClickHouse, too: repetitions must not pile up there. */
  async #lookUp<Row>(table: string, query: string, parameters: Record<string, unknown>): Promise<Row[]> {
    const { client, timeoutMs } = this.#lookUps;
    const seconds = Math.ceil(timeoutMs / 1000);
    const startedAt = performance.now();
    try {
      return await this.#query<Row>(query, parameters, client, { max_execution_time: seconds });
    } catch (error) {
      const tookTooLong =
        error instanceof InsertError &&
        (error.code === TIMEOUT_EXCEEDED || (!error.answered && performance.now() - startedAt >= timeoutMs));
      if (!tookTooLong) throw error;
      const message =
        `looking for a batch's rows in table ${table} took longer than clickhouse.lookUpTimeout, ${seconds} s: ` +
        'give it an order or a projection for it, as `ktb setup` proposes, or more time';
      // Not the rows' fault, however often it happens: as if ClickHouse were away.
      throw new InsertError('transient', { code: LOOK_UP_TIMEOUT, message, cause: error, answered: false });
    }
  }

  async #query<Row>(
    query: string,
    parameters: Record<string, unknown>,
    client = this.#client,
    settings: ClickHouseSettings = {},
  ): Promise<Row[]> {
    try {
      const result = await client.query({
        query,
        query_params: parameters,
        format: 'JSONCompactEachRow',
        clickhouse_settings: { ...settings, ...QUERY_SETTINGS },
      });
      const rows = await result.json<Row>();
      mustBeOfClickHouse(result.response_headers);
      return rows;
    } catch (error) {
      throw classifyInsertError(error);
    }
  }

  /** Nothing where ClickHouse answers with an error. */
  async #ifAllowed<Row>(query: string, parameters: Record<string, unknown>): Promise<Row[]> {
    try {
      return await this.#query<Row>(query, parameters);
    } catch (error) {
      if (error instanceof InsertError && error.answered) return [];
      throw error;
    }
  }

  #split(table: string): { database: string; name: string } {
    const { database, name } = parseTableName(table);
    return { database: database ?? this.#database, name };
  }
}

interface TableFacts {
  readonly database: string;
  readonly name: string;
  readonly engine: string;
  readonly engineFull: string;
  readonly uuid: string;
  readonly createQuery: string;
  /** Databases and names of its views. */
  readonly dependents: readonly (readonly [database: string, name: string])[];
}

const QUOTED_OR_PLAIN = '(`(?:[^`\\\\]|\\\\.)+`|\\w+)';
const VIEW_TARGET = new RegExp(
  `^CREATE MATERIALIZED VIEW \\S+ (?:UUID '[^']*' )?TO (?:INNER UUID '[^']*' |${QUOTED_OR_PLAIN}\\.${QUOTED_OR_PLAIN})`,
);

/** The table that a materialized view writes to; undefined where that cannot be told. */
function targetOf({ engine, database, name, uuid, createQuery }: TableFacts): [string, string] | undefined {
  if (engine !== 'MaterializedView') return undefined;
  const [, targetDatabase, targetName] = VIEW_TARGET.exec(createQuery) ?? [];
  if (targetDatabase !== undefined && targetName !== undefined) return [unquoted(targetDatabase), unquoted(targetName)];
  return [database, uuid === NO_UUID ? `.inner.${name}` : `.inner_id.${uuid}`];
}

function unquoted(name: string): string {
  return name.startsWith('`') ? name.slice(1, -1).replace(/\\(.)/g, '$1') : name;
}

function isReplicated(engine: string): boolean {
  return engine.startsWith('Replicated') || engine.startsWith('Shared');
}

/** What is answered, or something instead where the user may not ask. */
async function unlessDenied<Answer, Instead>(asked: Promise<Answer>, instead: Instead): Promise<Answer | Instead> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof InsertError && error.code === ACCESS_DENIED) return instead;
    throw error;
  }
}

/** As the table says, else as the server does. */
function windowOf(facts: TableFacts | undefined, defaults: ReadonlyMap<string, string>): TokenWindow {
  const table = facts === undefined ? null : `${quoteName(facts.database)}.${quoteName(facts.name)}`;
  if (facts?.engine.includes('MergeTree') !== true) return { table, setting: null, blocks: 0, ms: 0 };
  const setting = (name: string): number =>
    Number(new RegExp(`\\b${name} = '?(\\d+)`).exec(facts.engineFull)?.[1] ?? defaults.get(name) ?? 0);
  const replicated = isReplicated(facts.engine);
  const name = replicated ? 'replicated_deduplication_window' : 'non_replicated_deduplication_window';
  const seconds = replicated ? setting(`${name}_seconds`) : 0;
  return { table, setting: name, blocks: setting(name), ms: seconds === 0 ? Infinity : seconds * 1000 };
}

/**
 * The columns of a table; null where there is no such table.
 *
 * @throws InsertError
 */
export async function columnsIfAny(
  tables: Pick<ClickHouseTables, 'columns'>,
  table: string,
): Promise<TableColumns | null> {
  try {
    return await tables.columns(table);
  } catch (error) {
    if (error instanceof InsertError && error.code === UNKNOWN_TABLE) return null;
    throw error;
  }
}

/**
 * @throws ClickHouseError where ClickHouse failed
 * @throws InsertError where something else did
 */
function mustBeSuccess(status = 0, headers: ResponseHeaders, answer: readonly Uint8Array[]): void {
  const code = headers['x-clickhouse-exception-code'];
  if (status >= 200 && status < 300 && code === undefined) return;
  const text = Buffer.concat(answer).toString();
  const error = parseError(text);
  if (error instanceof ClickHouseError) throw error;
  // The client reads errors only with their names, and what the libraries of ClickHouse throw has none.
  if (code !== undefined) throw new ClickHouseError({ code: String(code), message: text });
  if (isOfClickHouse(headers)) throw new Error('an error of ClickHouse without its text');
  throw classifyForeignAnswer(status);
}

/**
 * To the client every 2xx is success, also a proxy's page about maintenance. ClickHouse puts both of these headers on every
 * answer to a query; one that a proxy leaves is enough.
 *
 * @throws Error where neither is there: the request may not have reached ClickHouse
 */
function mustBeOfClickHouse(headers: ResponseHeaders): void {
  if (!isOfClickHouse(headers)) throw new Error('an answer without a header of ClickHouse');
}

function isOfClickHouse(headers: ResponseHeaders): boolean {
  return headers['x-clickhouse-query-id'] !== undefined || headers['x-clickhouse-summary'] !== undefined;
}

function logComment(batch: string): string {
  return `ktb ${batch}`;
}

/** A record by its offset and its timestamp in seconds, which columns of every kind of date keep. */
export function recordName({ offset, timestampMs }: KafkaRecord): string {
  return `${offset}@${timestampMs < 0 ? 0 : Math.floor(timestampMs / 1000)}`;
}

/** The column holds milliseconds where it is an integer. `toUnixTimestamp` fails beyond 2106, which `DateTime64` is not. */
function secondsOf(type = ''): string {
  if (/^(Nullable\()?U?Int/.test(type)) return 'intDiv(_timestamp, 1000)';
  return /^(Nullable\()?DateTime64/.test(type)
    ? 'intDiv(toUnixTimestamp64Milli(_timestamp), 1000)'
    : 'toUnixTimestamp(_timestamp)';
}
