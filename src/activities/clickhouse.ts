import { Readable } from 'node:stream';
import { ClickHouseError, type ClickHouseClient, type ClickHouseSettings } from '@clickhouse/client';
import type { RecordSource } from '../records/record.js';
import type { TableColumns } from './rows.js';

/**
 * What is to be done about a failed insert.
 *
 * - `data`: a row is refused, and would be again; find it
 * - `structural`: the table or a permission is not as it has to be; every row would be refused until a person acts
 * - `transient`: it may pass
 */
export type InsertErrorKind = 'data' | 'structural' | 'transient';

/** A failed insert. `code` is ClickHouse's number, or a word where ClickHouse did not answer. */
export class InsertError extends Error {
  override readonly name = 'InsertError';
  readonly kind: InsertErrorKind;
  readonly code: string;

  constructor(kind: InsertErrorKind, code: string, message: string, cause: unknown) {
    super(message, { cause });
    this.kind = kind;
    this.code = code;
  }
}

/**
 * Codes by which ClickHouse refuses a value. Source: `src/Common/ErrorCodes.cpp` of ClickHouse; which ones an insert in
 * a JSON format gives was tried out.
 */
const DATA_CODES = new Set([
  6, 25, 26, 27, 32, 33, 38, 41, 42, 53, 69, 70, 72, 117, 130, 131, 190, 321, 349, 376, 407, 441, 467, 469, 503, 636,
  645, 675, 676, 691,
]);

/**
 * Codes that a person has to do something about: no such table, database, column; no permission; a read-only or misspelt
 * setting.
 */
const STRUCTURAL_CODES = new Set([
  10, 15, 16, 36, 44, 46, 47, 48, 60, 62, 81, 115, 164, 192, 193, 194, 291, 452, 497, 516,
]);

/** Structural among 252, which otherwise means that merges do not keep up: this one never passes. */
const TOO_MANY_PARTITIONS = /too many partitions for single INSERT block/i;

/** The only part of ClickHouse's words that is no part of the row: the name of the column it was reading. */
const COLUMN = /while reading the value of key ([A-Za-z_]\w*)/;

/** Total: whatever an insert throws gets a kind. What is unknown is repeated, not rejected. */
export function classifyInsertError(error: unknown): InsertError {
  if (error instanceof InsertError) return error;
  if (!(error instanceof ClickHouseError)) {
    const code = (error as NodeJS.ErrnoException | null)?.code ?? 'no_answer';
    const message = error instanceof Error ? error.message : String(error);
    return new InsertError('transient', code, `ClickHouse did not answer: ${message}`, error);
  }
  const number = Number(error.code);
  const kind = kindOf(number, error.message);
  const column = COLUMN.exec(error.message)?.[1];
  const where = column === undefined ? '' : ` in column ${column}`;
  return new InsertError(
    kind,
    error.code,
    `ClickHouse error ${error.code} (${error.type ?? 'UNKNOWN'})${where}`,
    error,
  );
}

function kindOf(code: number, message: string): InsertErrorKind {
  if (DATA_CODES.has(code)) return 'data';
  if (STRUCTURAL_CODES.has(code) || (code === 252 && TOO_MANY_PARTITIONS.test(message))) return 'structural';
  return 'transient';
}

/** Settings that the guarantees rest on. */
const INSERT_SETTINGS: ClickHouseSettings = {
  // Asynchronous inserts, the default since 26.2, have lost rows together with deduplication tokens (ClickHouse#111031).
  async_insert: 0,
  // The answer is the truth about the insert only when all of it is done.
  wait_end_of_query: 1,
  insert_deduplicate: 1,
  deduplicate_blocks_in_dependent_materialized_views: 1,
  // Blocks are cut in the same way each time, so that the token finds its own.
  input_format_parallel_parsing: 0,
  input_format_skip_unknown_fields: 1,
  date_time_input_format: 'best_effort',
};

const COLUMNS_MAX_AGE_MS = 30_000;

/** The tables of one ClickHouse connection. */
export class ClickHouseTables {
  readonly #client: ClickHouseClient;
  readonly #database: string;
  readonly #columns = new Map<string, { readonly columns: TableColumns; readonly readAtMs: number }>();

  constructor(client: ClickHouseClient, database: string) {
    this.#client = client;
    this.#database = database;
  }

  /**
   * Names and types of a table's columns; read again when older than 30 s or after {@link forget}.
   *
   * @throws InsertError, structural where there is no such table
   */
  async columns(table: string): Promise<TableColumns> {
    const known = this.#columns.get(table);
    if (known !== undefined && Date.now() - known.readAtMs < COLUMNS_MAX_AGE_MS) return known.columns;
    const { database, name } = this.#split(table);
    const rows = await this.#query<[string, string]>(
      `SELECT name, type FROM system.columns
       WHERE database = {database:String} AND table = {name:String} AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')
       ORDER BY position`,
      { database, name },
    );
    if (rows.length === 0) {
      const message = `there is no table ${database}.${name}: create it, or let \`ktb setup\` propose one`;
      throw new InsertError('structural', '60', message, undefined);
    }
    const columns: TableColumns = new Map(rows);
    this.#columns.set(table, { columns, readAtMs: Date.now() });
    return columns;
  }

  /** The table may have been altered: its columns are read again. */
  forget(table: string): void {
    this.#columns.delete(table);
  }

  /**
   * Inserts lines of `JSONEachRow`. Resolves when they can be queried.
   *
   * @param columns every column that the lines were made for: one that has been dropped meanwhile is an error, where
   *   ClickHouse would otherwise skip its values without a word
   * @param token the same token must never be used with other rows
   * @throws InsertError
   */
  async insert(table: string, columns: TableColumns, lines: readonly Buffer[], token: string): Promise<void> {
    const { database, name } = this.#split(table);
    try {
      const { stream } = await this.#client.exec({
        query: `INSERT INTO ${identifier(database)}.${identifier(name)} (${[...columns.keys()].map(identifier).join(', ')}) FORMAT JSONEachRow`,
        values: Readable.from(lines, { objectMode: false }),
        clickhouse_settings: { ...INSERT_SETTINGS, insert_deduplication_token: token },
      });
      // Read to its end, or the connection could not be used again.
      for await (const _ of stream);
    } catch (error) {
      throw classifyInsertError(error);
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
    const rows = await this.#query<[number | string]>(
      `SELECT DISTINCT _offset FROM ${identifier(database)}.${identifier(name)}
       WHERE _topic = {topic:String} AND _partition = {partition:Int64} AND _epoch = {epoch:String}
         AND _offset BETWEEN {from:Int64} AND {to:Int64}`,
      { topic, partition, epoch, from, to },
    );
    return new Set(rows.map(([offset]) => Number(offset)));
  }

  async #query<Row>(query: string, parameters: Record<string, unknown>): Promise<Row[]> {
    try {
      const result = await this.#client.query({ query, query_params: parameters, format: 'JSONCompactEachRow' });
      return await result.json<Row>();
    } catch (error) {
      throw classifyInsertError(error);
    }
  }

  #split(table: string): { database: string; name: string } {
    const dot = table.indexOf('.');
    return dot < 0
      ? { database: this.#database, name: table }
      : { database: table.slice(0, dot), name: table.slice(dot + 1) };
  }
}

/** Quoted, so that reserved words and whatever a column may be called can be used. */
function identifier(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&')}\``;
}
