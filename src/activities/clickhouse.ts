import type { ClickHouseConfig } from '../config/config.js';
import { INSERT_DEFAULTS, INSERT_SETTINGS, INSERT_SETTINGS_IF_KNOWN } from '../config/insertSettings.js';
import { Readable } from 'node:stream';
import type { ClickHouseClient, ClickHouseSettings, ResponseHeaders } from '@clickhouse/client';
import type { KafkaRecord, RecordSource, TopicPartition } from '../records/record.js';
import { parseTableName } from '../records/tables.js';
import { classifyInsertError, InsertError } from './insertErrors.js';
import type { TableColumns } from './rows.js';
import { quoteName } from './sqlNames.js';
import { DEFAULT_LIMITS, type ValueLimits } from './valueChecks.js';

const COLUMNS_MAX_AGE_MS = 30_000;

/** Codes of ClickHouse's UNKNOWN_TABLE and ACCESS_DENIED. */
const UNKNOWN_TABLE = '60';
const ACCESS_DENIED = '497';

/** Where there is no id, as in a database of an engine without. */
const NO_UUID = '00000000-0000-0000-0000-000000000000';

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

  /**
   * @param settings of inserts, beside {@link INSERT_SETTINGS}; look-ups go without, since some settings cut results short
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
    const rows = await this.#query<[string, string]>(
      `SELECT name, type FROM system.columns
       WHERE database = {database:String} AND table = {name:String} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
       ORDER BY position`,
      { database, name },
    );
    if (rows.length === 0) {
      const message = `there is no table ${database}.${name}: create it, or let \`ktb setup\` propose one`;
      throw new InsertError('structural', { code: UNKNOWN_TABLE, message });
    }
    const columns: TableColumns = Object.assign(new Map(rows), { limits: await this.#readServer() });
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
  async insert(table: string, { columns, lines, token, batch }: RowsToInsert): Promise<void> {
    await this.#insert(table, columns, lines, {
      insert_deduplication_token: token,
      log_comment: logComment(batch),
    });
    this.#lastInsertAtMs.set(table, performance.now());
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
    try {
      const running = await this.#query<[string]>(
        `SELECT query_id FROM system.processes
         WHERE query_kind = 'Insert' AND Settings['log_comment'] = {comment:String} LIMIT 1`,
        { comment: logComment(batch) },
      );
      return running.length > 0;
    } catch (error) {
      // Then it cannot be known; no reason to hold a batch for ever.
      if (error instanceof InsertError && error.code === ACCESS_DENIED) return false;
      throw error;
    }
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
    try {
      const { stream, response_headers } = await this.#client.exec({
        query: `INSERT INTO ${quoteName(database)}.${quoteName(name)} (${names}) FORMAT JSONEachRow`,
        values: Readable.from(lines, { objectMode: false }),
        clickhouse_settings: {
          ...INSERT_DEFAULTS,
          ...this.#settings,
          ...INSERT_SETTINGS,
          ...this.#settingsIfKnown,
          ...settings,
        },
      });
      // Read to its end, or the connection could not be used again.
      for await (const _ of stream);
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
        clickhouse_settings: settings,
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
 * To the client every 2xx is success, also a proxy's page about maintenance. ClickHouse puts both of these headers on every
 * answer to a query; one that a proxy leaves is enough.
 *
 * @throws Error where neither is there: the request may not have reached ClickHouse
 */
function mustBeOfClickHouse(headers: ResponseHeaders): void {
  if (headers['x-clickhouse-query-id'] === undefined && headers['x-clickhouse-summary'] === undefined)
    throw new Error('an answer without a header of ClickHouse');
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
