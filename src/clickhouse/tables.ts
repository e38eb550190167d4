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
import { keepsSeconds } from './identityColumns.js';
import { inParts } from './inParts.js';
import type { TableColumns } from './rows.js';
import { quoteName } from './sqlNames.js';
import { innerType } from './values/columnTypes.js';
import { DEFAULT_LIMITS, type ValueLimits } from './values/valueCheck.js';

const COLUMNS_MAX_AGE_MS = 30_000;
/** Tables that one question names. */
const TABLES_ASKED_MAX = 200;

/** Codes of ClickHouse's UNKNOWN_TABLE and ACCESS_DENIED. */
const UNKNOWN_TABLE = '60';
const ACCESS_DENIED = '497';

/** System tables that are read. With ClickHouse's default configuration a user needs a grant for them. */
const SYSTEM_TABLES = ['merge_tree_settings', 'replicated_merge_tree_settings', 'parts', 'replicas', 'processes'];

/** The id of tables that have none, for example in a database whose engine has no ids. */
const NO_UUID = '00000000-0000-0000-0000-000000000000';

/** Views of a table that are followed, at most. */
const VIEWS_MAX = 100;

/** A part's time may be a little before the moment when it is in the table. */
const PART_DELAY_MS = 10_000;

/** What one insert sends. */
export interface RowsToInsert {
  /**
   * Every column that the lines have. Named in the statement, so that a dropped column is an error. Otherwise
   * ClickHouse would skip its values silently.
   */
  readonly columns: TableColumns;
  /** Lines of `JSONEachRow`. */
  readonly lines: readonly Buffer[];
  /** The deduplication token. It must never be used with other rows. */
  readonly token: string;
  /** Marks the query as one of this batch, in its `log_comment`. See {@link ClickHouseTables.isInserting}. */
  readonly batch: string;
  /** Whether a failing view does not stop the insert and the other views. Default: it fails the insert. */
  readonly ignoreViews?: boolean;
}

/** How long a table remembers deduplication tokens. */
export interface TokenWindow {
  /** The name with its database, quoted for a statement. Null if the target of a view is not known. */
  readonly table: string | null;
  /** The setting for `blocks`. Null if the engine has none. */
  readonly setting: string | null;
  /** How many of its latest blocks' tokens it remembers. 0 if none. */
  readonly blocks: number;
  readonly ms: number;
}

/** The number of rows of one record under one epoch. It should be one. */
export interface RowsOfRecord {
  readonly offset: number;
  readonly epoch: string;
  readonly rows: number;
  /** The record's timestamp, see {@link secondsOfRecord}. Null if the table has no column `_timestamp` that keeps it. */
  readonly seconds: number | null;
}

/** How rows are looked up. */
export interface LookUps {
  readonly client: ClickHouseClient;
  /** After this time ClickHouse gives a look-up up. The client waits a little longer. */
  readonly timeoutMs: number;
}

const LOOK_UP_TIMEOUT_MS = 30_000;

/** ClickHouse's code for a query that ran longer than `max_execution_time`. */
const TIMEOUT_EXCEEDED = '159';
/** Code of a look-up that took too long. ClickHouse is not away then. */
export const LOOK_UP_TIMEOUT = 'look_up_timeout';

/** The tables of one ClickHouse connection. */
export class ClickHouseTables {
  readonly #client: ClickHouseClient;
  readonly #lookUps: LookUps;
  readonly #database: string;
  readonly #settings: ClickHouseSettings;
  readonly #columns = new Map<string, { readonly columns: TableColumns; readonly readAtMs: number }>();
  readonly #lastInsertAtMs = new Map<string, number>();
  #server: { readonly limits: ValueLimits; readonly readAtMs: number } | null = null;
  #settingsIfKnown: ClickHouseSettings = {};
  readonly #sizes = new InsertSizes();

  /**
   * @param settings of inserts, in addition to {@link INSERT_SETTINGS}. Look-ups do not use them, only
   *   {@link QUERY_SETTINGS}
   * @param lookUps client and time-out of look-ups. Default: the same client
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
   * Names and types of a table's columns. They are read again after 30 s or after {@link forget}.
   *
   * @throws InsertError, structural if there is no such table
   */
  async columns(table: string): Promise<TableColumns> {
    const found = (await this.columnsOf([table])).get(table);
    if (found === undefined) throw this.missing(table);
    return found;
  }

  /** Says that a table does not exist. */
  missing(table: string): InsertError {
    const { database, name } = this.#split(table);
    const message = `there is no table ${database}.${name}: create it, or let \`ktb setup\` propose one`;
    return new InsertError('structural', { code: UNKNOWN_TABLE, message });
  }

  /**
   * As {@link columns}, of many tables: two questions for 200 of them. A table that does not exist is missing from the answer.
   *
   * @throws InsertError
   */
  async columnsOf(tables: readonly string[]): Promise<Map<string, TableColumns>> {
    const oldestMs = performance.now() - COLUMNS_MAX_AGE_MS;
    const found = new Map<string, TableColumns>();
    const unknown: string[] = [];
    for (const table of new Set(tables)) {
      const known = this.#columns.get(table);
      if (known !== undefined && known.readAtMs > oldestMs) found.set(table, known.columns);
      else unknown.push(table);
    }
    for (let at = 0; at < unknown.length; at += TABLES_ASKED_MAX) {
      const asked = unknown.slice(at, at + TABLES_ASKED_MAX);
      for await (const part of inParts(asked, (some) => this.#readColumns(some))) {
        for (const [table, columns] of part) {
          this.#columns.set(table, { columns, readAtMs: performance.now() });
          found.set(table, columns);
        }
      }
    }
    return found;
  }

  async #readColumns(tables: readonly string[]): Promise<Map<string, TableColumns>> {
    const split = tables.map((table) => ({ table, ...this.#split(table) }));
    const asked = {
      databases: [...new Set(split.map(({ database }) => database))],
      names: split.map(({ name }) => name),
    };
    const existing = await this.#query<[string, string, number]>(
      `SELECT database, name, notEmpty(dependencies_table) FROM system.tables
       WHERE database IN {databases:Array(String)} AND name IN {names:Array(String)}`,
      asked,
    );
    const rows = await this.#query<[string, string, string, string, string]>(
      `SELECT database, table, name, type, default_kind FROM system.columns
       WHERE database IN {databases:Array(String)} AND table IN {names:Array(String)} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
       ORDER BY database, table, position`,
      asked,
    );
    if (rows.length === 0) return new Map();
    const withoutViews = new Set(
      existing.filter(([, , hasViews]) => hasViews === 0).map(([database, name]) => JSON.stringify([database, name])),
    );
    const byTable = new Map<string, typeof rows>();
    for (const row of rows) {
      const key = JSON.stringify(row.slice(0, 2));
      const ofTable = byTable.get(key);
      if (ofTable === undefined) byTable.set(key, [row]);
      else ofTable.push(row);
    }
    const limits = await this.#serverLimits();
    const found = new Map<string, TableColumns>();
    for (const { table, database, name } of split) {
      const key = JSON.stringify([database, name]);
      const columns = byTable.get(key);
      if (columns === undefined) continue;
      found.set(
        table,
        Object.assign(new Map(columns.map(([, , column, type]) => [column, type])), {
          limits,
          // A table that was created in between may have some.
          hasViews: !withoutViews.has(key),
          defaults: new Set(columns.filter(([, , , , kind]) => kind === 'DEFAULT').map(([, , column]) => column)),
        }),
      );
    }
    return found;
  }

  /** What {@link #readServer} read within the last 30 s, or reads now. */
  async #serverLimits(): Promise<ValueLimits> {
    const known = this.#server;
    if (known !== null && performance.now() - known.readAtMs < COLUMNS_MAX_AGE_MS) return known.limits;
    const limits = await this.#readServer();
    this.#server = { limits, readAtMs: performance.now() };
    return limits;
  }

  /**
   * Reads what differs between servers: the settings that they know, and the dates that they can hold. It is read again
   * because the server may have been upgraded.
   */
  async #readServer(): Promise<ValueLimits> {
    const names = Object.keys(INSERT_SETTINGS_IF_KNOWN);
    let rows: ServerRow[];
    try {
      rows = await this.#query<ServerRow>(
        `SELECT timezone(),
           toYear(toDateTime64('0001-01-02 00:00:00', 0, 'UTC')), toYear(toDateTime64('9999-12-30 00:00:00', 0, 'UTC')),
           (SELECT groupArray(name) FROM system.settings WHERE name IN {names:Array(String)}),
           toFloat64OrNull('1e+') IS NULL AND toUUIDOrNull('gggggggg-gggg-gggg-gggg-gggggggggggg') IS NULL,
           parseDateTime64BestEffort('1965-06-09T16:05:37.5Z', 3, 'UTC') = toDateTime64('1965-06-09 16:05:37.5', 3, 'UTC')`,
        { names },
        this.#client,
        // Inserts have this setting, too.
        Object.fromEntries(Object.entries(this.#settings).filter(([name]) => name === 'session_timezone')),
      );
    } catch (error) {
      // A server that refuses this query has none of these settings.
      if (error instanceof InsertError && error.answered && error.kind !== 'transient') return DEFAULT_LIMITS;
      throw error;
    }
    const [[timeZone, first, last, known, refusesNearly, keepsEarlyFractions]] = rows as [ServerRow];
    this.#settingsIfKnown = Object.fromEntries(
      Object.entries(INSERT_SETTINGS_IF_KNOWN).filter(([name]) => known.includes(name)),
    );
    const [keepsIntegers, keepsIntegersOfArrays] = await this.#readIntegersOfJson();
    return {
      timeZone,
      years: [first, last],
      refusesNearly: Boolean(refusesNearly),
      keepsEarlyFractions: Boolean(keepsEarlyFractions),
      keepsIntegers: Boolean(keepsIntegers),
      keepsIntegersOfArrays: Boolean(keepsIntegersOfArrays),
    };
  }

  /** Whether integers keep their digits in JSON, and in arrays of it. By itself: a server may not know the type, or refuse it. */
  async #readIntegersOfJson(): Promise<readonly number[]> {
    const large = '9007199254740993';
    const keeps = (fraction: string, integer: string): string =>
      `toString(JSONExtract('[{"a":${fraction}},{"a":${integer}}]', 'Array(JSON)')) LIKE '%${large}%'`;
    try {
      const query = `SELECT ${keeps('0.5', large)}, ${keeps('[0.5]', `[${large}]`)}`;
      return (await this.#query<number[]>(query, {}))[0] ?? [];
    } catch (error) {
      if (error instanceof InsertError && error.answered && error.kind !== 'transient') return [];
      throw error;
    }
  }

  /**
   * The server's version: `26.7.1.1`.
   *
   * @throws InsertError
   */
  async version(): Promise<string> {
    const [row] = await this.#query<[string]>('SELECT version()', {});
    return row?.[0] ?? '';
  }

  /** Drops the known columns of a table, and what the server knows: the table may have been altered, or the server upgraded. */
  forget(table: string): void {
    this.#columns.delete(table);
    this.#server = null;
  }

  /**
   * Inserts rows: all or none, as far as ClickHouse can promise that. Resolves when they can be queried.
   *
   * @throws InsertError
   */
  async send(table: string, { columns, lines, token, batch, ignoreViews }: RowsToInsert): Promise<void> {
    await this.#send(table, columns, lines, {
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
   * Makes an insert without rows. It shows that the table exists with these columns, may be written, and has not too
   * many parts. Nothing is written.
   *
   * @throws InsertError
   */
  async probe(table: string, columns: TableColumns): Promise<void> {
    await this.#send(table, columns, [Buffer.from(' ')], {});
  }

  /**
   * Ids that no other ClickHouse has: of the server together with the database, and of those tables that exist and that
   * this user may see. Paths of replicated tables are not used: two ClickHouses, each with its own Keeper, may have the
   * same.
   *
   * @throws InsertError if ClickHouse does not answer
   */
  async identities(tables: readonly string[]): Promise<readonly string[]> {
    const found = (await this.#ifAllowed<[string]>('SELECT toString(serverUUID())', {}))
      .filter(([uuid]) => uuid !== NO_UUID)
      .map(([uuid]) => `${uuid}/${this.#database}`);
    for (let at = 0; at < tables.length; at += TABLES_ASKED_MAX) {
      const split = tables.slice(at, at + TABLES_ASKED_MAX).map((table) => this.#split(table));
      const rows = await this.#ifAllowed<[string, string, string]>(
        `SELECT database, name, toString(uuid) FROM system.tables
         WHERE database IN {databases:Array(String)} AND name IN {names:Array(String)}`,
        { databases: split.map(({ database }) => database), names: split.map(({ name }) => name) },
      );
      const ids = new Map(rows.map(([database, name, id]) => [JSON.stringify([database, name]), id]));
      for (const { database, name } of split) {
        const id = ids.get(JSON.stringify([database, name])) ?? NO_UUID;
        if (id !== NO_UUID) found.push(id);
      }
    }
    return found;
  }

  /** The most bytes that one insert into a table should have, see {@link InsertSizes}. */
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
   * Whether a table, the targets of its materialized views, their targets and so on all still remember the tokens of an
   * insert of this age, also while it is inserted once more. Undefined if the user may not ask.
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
   * How long deduplication tokens are remembered: first by the table itself, then by the targets of its materialized
   * views. Empty if the user may not ask.
   *
   * @throws InsertError
   */
  async tokenWindows(table: string): Promise<TokenWindow[]> {
    const defaults = await unlessDenied(this.#windowDefaults(), null);
    return defaults === null ? [] : (await this.#writtenTo(table)).map((facts) => windowOf(facts, defaults));
  }

  /**
   * System tables that the user may not read.
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

  /**
   * A table, the targets of its materialized views, their targets, and so on. Undefined for a target that is not known.
   */
  async #writtenTo(table: string): Promise<(TableFacts | undefined)[]> {
    const { database, name } = this.#split(table);
    const writtenTo = [await this.#tableFacts(database, name)];
    const seen = new Set<string>();
    // The list grows during this loop.
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
   * How many blocks a table has got from any source within this time, or a higher number. The number of partitions is
   * added, because the same rows, sent again, may bring so many blocks. Blocks are numbered in one sequence; in a
   * replicated table in one for each partition. The blocks before this time end at the latest number of an older part,
   * replaced or not, unless that part was attached since. Blocks that a replica has not fetched yet are counted from
   * its queue.
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

  /** When this process last inserted rows into a table, by `performance.now()`. Undefined if it never did. */
  lastInsertAtMs(table: string): number | undefined {
    return this.#lastInsertAtMs.get(table);
  }

  /**
   * Whether an insert of this batch is still running. ClickHouse goes on with an insert whose connection has broken,
   * although nobody waits for its answer. Only the server that answers is asked. For other replicas the deduplication
   * token has to be enough.
   *
   * @throws InsertError
   */
  async isInserting(batch: string): Promise<boolean> {
    const running = this.#query<[string]>(
      `SELECT query_id FROM system.processes
       WHERE query_kind = 'Insert' AND Settings['log_comment'] = {comment:String} LIMIT 1`,
      { comment: logComment(batch) },
    );
    // If the user may not ask, this is not known. That must not hold a batch for ever.
    return (await unlessDenied(running, [])).length > 0;
  }

  /**
   * The offsets of a source, within a range, that are in the table already.
   *
   * @param isOwn which of them are asked for. Others are not kept in memory: the range also holds the rows of all other
   *   batchers. Default: all
   * @throws InsertError
   */
  async foundOffsets(
    table: string,
    source: RecordSource,
    from: number,
    to: number,
    isOwn: (offset: number) => boolean = () => true,
  ): Promise<Set<number>> {
    const { database, name } = this.#split(table);
    const { topic, partition, epoch } = source;
    const rows = await this.#lookUp<[number | string]>(
      table,
      `SELECT DISTINCT _offset FROM ${quoteName(database)}.${quoteName(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _epoch = {epoch:String}
         AND _offset BETWEEN {from:Int64} AND {to:Int64}`,
      { topic, partition, epoch, from, to },
      ([offset]) => isOwn(Number(offset)),
    );
    return new Set(rows.map(([offset]) => Number(offset)));
  }

  /**
   * The records of a partition, within a range of offsets, that are in the table already, whatever their epoch, as named by
   * {@link recordName}. A record of another log at the same offset has another timestamp.
   *
   * @param isOwn as of {@link foundOffsets}
   * @throws InsertError
   */
  async foundRecords(
    table: string,
    columns: TableColumns,
    { topic, partition }: RecordSource,
    from: number,
    to: number,
    isOwn: (offset: number) => boolean = () => true,
  ): Promise<Set<string>> {
    const { database, name } = this.#split(table);
    const rows = await this.#lookUp<[number | string, number | string]>(
      table,
      `SELECT DISTINCT _offset, ${secondsOf(columns.get('_timestamp'))} FROM ${quoteName(database)}.${quoteName(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _offset BETWEEN {from:Int64} AND {to:Int64}`,
      { topic, partition, from, to },
      ([offset]) => isOwn(Number(offset)),
    );
    return new Set(rows.map(([offset, seconds]) => `${offset}@${seconds}`));
  }

  /**
   * How many rows each record of a range of offsets has, by epoch, in the order of offsets. Records of several logs may
   * have been at one offset.
   *
   * @throws InsertError
   */
  async rowsByOffset(
    table: string,
    columns: TableColumns,
    { topic, partition }: TopicPartition,
    from: number,
    to: number,
  ): Promise<RowsOfRecord[]> {
    const { database, name } = this.#split(table);
    const isTimed = keepsSeconds(columns);
    const seconds = isTimed ? `any(${secondsOf(columns.get('_timestamp'))})` : 'NULL';
    const rows = await this.#lookUp<[number | string, string, number | string, number | string | null]>(
      table,
      `SELECT _offset, _epoch, count(), ${seconds} FROM ${quoteName(database)}.${quoteName(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _offset BETWEEN {from:Int64} AND {to:Int64}
       GROUP BY _offset, _epoch ORDER BY _offset`,
      { topic, partition, from, to },
    );
    return rows.map(([offset, epoch, count, time]) => {
      return { offset: Number(offset), epoch, rows: Number(count), seconds: isTimed ? Number(time) : null };
    });
  }

  async #send(
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
        // The statement is at the head of the body, because with many columns it is too long for an address.
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
      // The answer is read to its end. Otherwise the connection could not be used again.
      const answer: Uint8Array[] = [];
      for await (const part of stream as AsyncIterable<Uint8Array>) answer.push(part);
      mustBeSuccess(http_status_code, response_headers, answer);
      mustBeOfClickHouse(response_headers);
    } catch (error) {
      throw classifyInsertError(error, columns);
    }
  }

  /** Looks rows up. After its time-out ClickHouse stops it, too, so that repeated look-ups do not pile up there. */
  async #lookUp<Row>(
    table: string,
    query: string,
    parameters: Record<string, unknown>,
    keeps?: (row: Row) => boolean,
  ): Promise<Row[]> {
    const { client, timeoutMs } = this.#lookUps;
    const seconds = Math.ceil(timeoutMs / 1000);
    const startedAt = performance.now();
    try {
      return await this.#query(query, parameters, client, { max_execution_time: seconds }, keeps);
    } catch (error) {
      const tookTooLong =
        error instanceof InsertError &&
        (error.code === TIMEOUT_EXCEEDED || (!error.answered && performance.now() - startedAt >= timeoutMs));
      if (!tookTooLong) throw error;
      const message =
        `looking for a batch's rows in table ${table} took longer than clickhouse.lookUpTimeout, ${seconds} s: ` +
        'give it an order or a projection for it, as `ktb setup` proposes, or more time';
      // It counts like ClickHouse being away, because it is never the rows' fault.
      throw new InsertError('transient', { code: LOOK_UP_TIMEOUT, message, cause: error, answered: false });
    }
  }

  /** @param keeps which rows are returned. The others are dropped as they come. Default: all */
  async #query<Row>(
    query: string,
    parameters: Record<string, unknown>,
    client = this.#client,
    settings: ClickHouseSettings = {},
    keeps: (row: Row) => boolean = () => true,
  ): Promise<Row[]> {
    try {
      const result = await client.query({
        query,
        query_params: parameters,
        format: 'JSONCompactEachRow',
        clickhouse_settings: { ...settings, ...QUERY_SETTINGS },
      });
      const rows: Row[] = [];
      for await (const part of result.stream<Row>()) {
        for (const text of part) {
          const row = text.json();
          if (keeps(row)) rows.push(row);
        }
      }
      mustBeOfClickHouse(result.response_headers);
      return rows;
    } catch (error) {
      throw classifyInsertError(error);
    }
  }

  /** Empty if ClickHouse answers with an error. */
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

/** Numbers for what is true or false: an older server writes no booleans. */
type ServerRow = [
  timeZone: string,
  firstYear: number,
  lastYear: number,
  knownSettings: string[],
  refusesNearly: number,
  keepsEarlyFractions: number,
];

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

/** The table that a materialized view writes to. Undefined if it is not known. */
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

/** The answer, or a replacement if the user may not ask. */
async function unlessDenied<Answer, Instead>(asked: Promise<Answer>, instead: Instead): Promise<Answer | Instead> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof InsertError && error.code === ACCESS_DENIED) return instead;
    throw error;
  }
}

/** The window by the table's own settings, else by the server's. */
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
 * The columns of a table. Null if there is no such table.
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
 * @throws ClickHouseError if ClickHouse answered with an error
 * @throws InsertError if something else did
 */
function mustBeSuccess(status = 0, headers: ResponseHeaders, answer: readonly Uint8Array[]): void {
  const code = headers['x-clickhouse-exception-code'];
  if (status >= 200 && status < 300 && code === undefined) return;
  const text = Buffer.concat(answer).toString();
  const error = parseError(text);
  if (error instanceof ClickHouseError) throw error;
  // The client reads only errors with a name. Errors of ClickHouse's libraries have none.
  if (code !== undefined) throw new ClickHouseError({ code: String(code), message: text });
  if (isOfClickHouse(headers)) throw new Error('an error of ClickHouse without its text');
  throw classifyForeignAnswer(status);
}

/**
 * Checks that ClickHouse itself answered. The client takes every 2xx for success, even a proxy's page about
 * maintenance. ClickHouse puts both of these headers on every answer to a query. One is enough, because a proxy may
 * remove the other.
 *
 * @throws Error if both are missing: the request may not have reached ClickHouse
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

/** Names a record by its offset and its timestamp in seconds. */
export function recordName({ offset, timestampMs }: KafkaRecord): string {
  return `${offset}@${secondsOfRecord(timestampMs)}`;
}

/** What a column `_timestamp` keeps of a record's timestamp, whatever its type. 0 if the record has none. */
export function secondsOfRecord(timestampMs: number): number {
  return timestampMs < 0 ? 0 : Math.floor(timestampMs / 1000);
}

/**
 * The seconds of a `_timestamp` column. An integer column holds milliseconds. `toUnixTimestamp` fails after 2106, so
 * `DateTime64` uses another function. A nullable column has null for a record without a timestamp.
 */
function secondsOf(type = ''): string {
  const { name } = innerType(type);
  const seconds = /^U?Int/.test(name)
    ? 'intDiv(_timestamp, 1000)'
    : name === 'DateTime64'
      ? 'intDiv(toUnixTimestamp64Milli(_timestamp), 1000)'
      : 'toUnixTimestamp(_timestamp)';
  return `ifNull(${seconds}, 0)`;
}
