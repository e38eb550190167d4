import type { ClickHouseClient } from '@clickhouse/client';
import type { ClickHouseConfig } from '../config/config.js';
import { within } from '../lib/within.js';
import type { RecordSource, TopicPartition } from '../protocol/record.js';
import { InsertError } from './insertErrors.js';
import type { InsertSizes } from './insertSizes.js';
import { KnownColumns, missingTable } from './knownColumns.js';
import {
  foundOffsets,
  foundRecords,
  foundRowNumbers,
  foundRowNumbersOfRecords,
  LOOK_UP_TIMEOUT_MS,
  rowsByOffset,
  type AskedOffsets,
  type LookUps,
  type RowsOfRecord,
} from './lookUps.js';
import { namedTable, type NamedTable } from './namedTables.js';
import type { TableColumns } from './tableColumns.js';
import { caughtUp, type CatchUpOptions } from './replicas.js';
import { isInserting, RowSender, type RowsToInsert } from './rowSender.js';
import { mayAddColumns, uniqueIds, type UniqueIds } from './serverFacts.js';
import { eachServer } from './servers.js';
import { ServerLimits } from './serverLimits.js';
import { knowsTokens, mayLoseKnownRows, rememberedBy, tokenWindows, type TokenWindow } from './tokenWindows.js';
import { tableFacts, writtenAs, type TableFacts } from './writtenTables.js';

/** Every batch for a table with views asks for its windows. They hardly change, and asking takes several queries. */
const WINDOWS_MAX_AGE_MS = 60_000;

/** How long the other servers are waited for. */
const OTHER_SERVERS_MS = 5_000;

/**
 * The tables of one ClickHouse connection, by their names in the configuration. All questions end in an `InsertError` if
 * ClickHouse does not answer them.
 */
export class ClickHouseTables {
  readonly #client: ClickHouseClient;
  readonly #lookUps: LookUps;
  readonly #database: string;
  readonly #limits: ServerLimits;
  readonly #columns: KnownColumns;
  readonly #sender: RowSender;
  readonly #windows = new Map<string, { readonly askedAtMs: number; readonly answer: Promise<string | null> }>();

  /**
   * @param settings of inserts, in addition to `INSERT_SETTINGS`. Look-ups do not use them, only `QUERY_SETTINGS`
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
    this.#limits = new ServerLimits(client, settings);
    this.#columns = new KnownColumns(client, database, this.#limits);
    this.#sender = new RowSender(client, settings, this.#limits);
  }

  /**
   * Names and types of a table's columns, as they were a moment ago (`COLUMNS_MAX_AGE_MS`) or, after {@link forget}, now.
   *
   * @throws InsertError, structural if there is no such table
   */
  async columns(table: string): Promise<TableColumns> {
    const found = await this.#columns.latest(table);
    if (this.sizes.shouldLookAtViews(table)) await this.#lookAtViews(table);
    if (found === undefined) throw this.missing(table);
    return found;
  }

  /** As {@link columns}, of many tables, as they were up to 30 s ago. A table that does not exist is missing from the answer. */
  columnsOf(tables: readonly string[]): Promise<Map<string, TableColumns>> {
    return this.#columns.of(tables);
  }

  /** Says that a table does not exist. */
  missing(table: string): InsertError {
    return missingTable(table, this.#database);
  }

  /** Drops the known columns of a table, and what the server knows: the table may have been altered, or the server upgraded. */
  forget(table: string): void {
    this.#columns.forget(table);
    this.#windows.delete(table);
    this.#limits.forget();
  }

  /** Inserts rows: all or none, as far as ClickHouse can promise that. Resolves when they can be queried. */
  send(table: string, rows: RowsToInsert): Promise<void> {
    return this.#sender.send(this.#named(table), rows);
  }

  /**
   * Makes an insert without rows. It shows that the table exists with these columns, may be written, and has not too
   * many parts. Nothing is written.
   */
  probe(table: string, columns: TableColumns): Promise<void> {
    return this.#sender.probe(this.#named(table), columns);
  }

  /** When this process last inserted rows into a table, by `performance.now()`. Undefined if it never did. */
  lastInsertAtMs(table: string): number | undefined {
    return this.#sender.lastInsertAtMs(table);
  }

  /** How large inserts into each table may be. */
  get sizes(): InsertSizes {
    return this.#sender.sizes;
  }

  /**
   * Whether an insert of this batch is still running, although its connection may have broken: at the server that is used,
   * or at another one of `clickhouse.urls` that answers. The one that was used before may only have been slow.
   */
  async isInserting(batch: string): Promise<boolean> {
    const others = this.#others().map((client) =>
      // One that does not answer must not hold the batch: the other servers are there for that case.
      within(isInserting(client, batch), OTHER_SERVERS_MS).catch(() => false),
    );
    return (await Promise.all([isInserting(this.#client, batch), ...others])).includes(true);
  }

  /**
   * Waits until the server that is used has what the others of `clickhouse.urls` have taken, see {@link caughtUp}.
   *
   * @returns false if there are no others, so nothing was waited for
   * @throws InsertError
   */
  async caughtUp(table: string, options: CatchUpOptions = {}): Promise<boolean> {
    if (this.#others().length === 0) return false;
    await caughtUp(this.#client, this.#named(table), options);
    return true;
  }

  /** All servers, if there are several. */
  #others(): readonly ClickHouseClient[] {
    const servers = eachServer(this.#client);
    return servers.length === 1 ? [] : servers;
  }

  /** The offsets of a source that are in the table already, see `foundOffsets` in lookUps.ts. */
  foundOffsets(table: string, source: RecordSource, asked: AskedOffsets): Promise<Set<number>> {
    return foundOffsets(this.#lookUps, this.#named(table), source, asked);
  }

  /** The records of a partition that are in the table already, whatever their epoch, see `foundRecords` in lookUps.ts. */
  foundRecords(table: string, columns: TableColumns, source: RecordSource, asked: AskedOffsets): Promise<Set<string>> {
    return foundRecords(this.#lookUps, this.#named(table), columns, source, asked);
  }

  /** The numbers of the rows of each record of a source that are in the table already, see `foundRowNumbers` in lookUps.ts. */
  foundRowNumbers(table: string, source: RecordSource, asked: AskedOffsets): Promise<Map<string, readonly number[]>> {
    return foundRowNumbers(this.#lookUps, this.#named(table), source, asked);
  }

  /** The same, whatever their epoch, see `foundRowNumbersOfRecords` in lookUps.ts. */
  foundRowNumbersOfRecords(
    table: string,
    columns: TableColumns,
    source: RecordSource,
    asked: AskedOffsets,
  ): Promise<Map<string, readonly number[]>> {
    return foundRowNumbersOfRecords(this.#lookUps, this.#named(table), columns, source, asked);
  }

  /** How many rows each record has, by epoch, see `rowsByOffset` in lookUps.ts. */
  rowsByOffset(
    table: string,
    columns: TableColumns,
    partition: TopicPartition,
    asked: AskedOffsets,
    manyRows = false,
  ): Promise<RowsOfRecord[]> {
    return rowsByOffset(this.#lookUps, this.#named(table), columns, partition, asked, manyRows);
  }

  /** Whether the user may add columns to a table, see `mayAddColumns` in serverFacts.ts. */
  mayAddColumns(table: string): Promise<boolean | null> {
    return mayAddColumns(this.#client, this.#named(table));
  }

  /** What ClickHouse says about a table now. Undefined if there is no such table. */
  facts(table: string): Promise<TableFacts | undefined> {
    return tableFacts(this.#client, this.#named(table));
  }

  /** Whether a table has materialized views now. */
  async hasViews(table: string): Promise<boolean> {
    const facts = await this.facts(table);
    return (facts?.dependents.length ?? 0) > 0;
  }

  /** Whether a table may know the token of rows that it has lost, see `mayLoseKnownRows` in tokenWindows.ts. */
  mayLoseKnownRows(table: string): Promise<boolean> {
    return mayLoseKnownRows(this.#client, this.#named(table));
  }

  /**
   * Whether a table, the targets of its materialized views, their targets and so on all still remember the tokens of an
   * insert of this age, also while it is inserted once more. Undefined if the user may not ask.
   *
   * @param by what {@link rememberedBy} gave when it was sent
   */
  knowsTokens(table: string, by: string, ageMs: number): Promise<boolean | undefined> {
    return knowsTokens(this.#client, this.#named(table), by, ageMs);
  }

  /**
   * A name for a table, the targets of its materialized views and so on, if all have windows for the tokens of what is
   * inserted now. Null if one has none. As they were up to {@link WINDOWS_MAX_AGE_MS} ago, or after {@link forget}, now.
   */
  rememberedBy(table: string): Promise<string | null> {
    const known = this.#windows.get(table);
    if (known !== undefined && performance.now() - known.askedAtMs < WINDOWS_MAX_AGE_MS) return known.answer;
    const answer = rememberedBy(this.#client, this.#named(table));
    this.#windows.set(table, { askedAtMs: performance.now(), answer });
    return answer;
  }

  /**
   * How long deduplication tokens are remembered: first by the table itself, then by the targets of its materialized
   * views. Empty if the user may not ask.
   */
  tokenWindows(table: string): Promise<TokenWindow[]> {
    return tokenWindows(this.#client, this.#named(table));
  }

  /**
   * Ids that no other ClickHouse has, see `uniqueIds`: of all servers that answer, so that each of them is recognized
   * when it is the only one.
   */
  async identities(tables: readonly string[]): Promise<UniqueIds> {
    const asked = eachServer(this.#client).map((client) => uniqueIds(client, this.#database, tables));
    const [first, ...others] = answersOf(await Promise.allSettled(asked));
    const places = [first, ...others].flatMap((ids) => ids.places);
    return { places: [...new Set(places)], ofTables: first.ofTables };
  }

  /** A limit that a view has set ends if somebody has altered or removed it, or what it writes to. */
  async #lookAtViews(table: string): Promise<void> {
    try {
      this.sizes.sawViews(table, await writtenAs(this.#client, this.#named(table)));
    } catch (error) {
      // The limit stays. The next look may be answered.
      if (!(error instanceof InsertError)) throw error;
    }
  }

  #named(table: string): NamedTable {
    return namedTable(table, this.#database);
  }
}

/** What was answered, in order. Rejects if nothing was. */
function answersOf<Answer>(asked: readonly PromiseSettledResult<Answer>[]): [Answer, ...Answer[]] {
  const [first, ...others] = asked.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (first !== undefined) return [first, ...others];
  const failed = asked.find((one) => one.status === 'rejected');
  throw failed?.reason ?? new Error('nobody was asked');
}
