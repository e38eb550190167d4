import { Readable } from 'node:stream';
import type { ClickHouseClient, ClickHouseSettings } from '@clickhouse/client';
import { INSERT_DEFAULTS, INSERT_SETTINGS } from '../config/insertSettings.js';
import { mustBeSuccess } from './statementAnswer.js';
import { classifyInsertError } from './insertErrors.js';
import { InsertSizes } from './insertSizes.js';
import { quoted, type NamedTable } from './namedTables.js';
import { queryRows, unlessDenied } from './queries.js';
import type { TableColumns } from './tableColumns.js';
import type { ServerLimits } from './serverLimits.js';
import { awayNoteOf } from './servers.js';
import { quoteName } from './sqlNames.js';

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
  /** Marks the query as one of this batch, in its `log_comment`. See {@link isInserting}. */
  readonly batch: string;
  /** Whether a failing view does not stop the insert and the other views. Default: it fails the insert. */
  readonly ignoreViews?: boolean;
}

/** Sends rows to tables, and remembers when, and how large an insert may be. */
export class RowSender {
  /** How large inserts into each table may be. */
  readonly sizes = new InsertSizes();
  readonly #client: ClickHouseClient;
  readonly #settings: ClickHouseSettings;
  readonly #limits: ServerLimits;
  readonly #lastInsertAtMs = new Map<string, number>();

  /** @param settings of inserts, in addition to {@link INSERT_SETTINGS} */
  constructor(client: ClickHouseClient, settings: ClickHouseSettings, limits: ServerLimits) {
    this.#client = client;
    this.#settings = settings;
    this.#limits = limits;
  }

  /**
   * Inserts rows: all or none, as far as ClickHouse can promise that. Resolves when they can be queried.
   *
   * @throws InsertError
   */
  async send(named: NamedTable, { columns, lines, token, batch, ignoreViews }: RowsToInsert): Promise<void> {
    const { table } = named;
    await this.#insert(named, columns, lines, {
      insert_deduplication_token: token,
      log_comment: logComment(batch),
      ...(ignoreViews ? { materialized_views_ignore_errors: 1 } : {}),
    });
    this.#lastInsertAtMs.set(table, performance.now());
    if (this.sizes.bytesMax(table) === Infinity) return;
    const bytes = lines.reduce((sum, { length }) => sum + length, 0);
    this.sizes.fitted(table, bytes);
  }

  /**
   * Makes an insert without rows. Nothing is written.
   *
   * @throws InsertError
   */
  probe(named: NamedTable, columns: TableColumns): Promise<void> {
    return this.#insert(named, columns, [Buffer.from(' ')], {});
  }

  /** When this process last inserted rows into a table, by `performance.now()`. Undefined if it never did. */
  lastInsertAtMs(table: string): number | undefined {
    return this.#lastInsertAtMs.get(table);
  }

  async #insert(
    named: NamedTable,
    columns: TableColumns,
    lines: readonly Buffer[],
    settings: ClickHouseSettings,
  ): Promise<void> {
    const names = [...columns.keys()].map(quoteName).join(', ');
    const statement = `INSERT INTO ${quoted(named)} (${names}) FORMAT JSONEachRow\n`;
    const values = Readable.from([Buffer.from(statement), ...lines], { objectMode: false });
    const noteAway = awayNoteOf(this.#client);
    try {
      const { stream, response_headers, http_status_code } = await this.#client.exec({
        // The statement is at the head of the body, because with many columns it is too long for an address.
        query: '',
        values,
        clickhouse_settings: {
          ...INSERT_DEFAULTS,
          ...this.#settings,
          ...INSERT_SETTINGS,
          ...this.#limits.settingsIfKnown,
          ...settings,
        },
        ignore_error_response: true,
      });
      // The answer is read to its end. Otherwise the connection could not be used again.
      const body: Uint8Array[] = [];
      for await (const part of stream as AsyncIterable<Uint8Array>) body.push(part);
      mustBeSuccess({ status: http_status_code, headers: response_headers, body });
      // Whoever answers for ClickHouse has not read all of it: not even this process has handed all to the connection. What
      // it has handed over may still wait in it, but ClickHouse answers only after it has read all.
      if (!values.readableEnded) throw new Error('the answer came before all rows were sent');
    } catch (error) {
      const classified = classifyInsertError(error, columns, this.#settings);
      if (!classified.answered) noteAway();
      throw classified;
    } finally {
      // If not all was sent, the connection is of no use any more, and ends.
      values.destroy();
    }
  }
}

/**
 * Whether an insert of this batch is still running. ClickHouse goes on with an insert whose connection has broken,
 * although nobody waits for its answer. Only the server that answers is asked.
 *
 * @throws InsertError
 */
export async function isInserting(client: ClickHouseClient, batch: string): Promise<boolean> {
  const running = queryRows<[string]>(
    client,
    `SELECT query_id FROM system.processes
     WHERE query_kind = 'Insert' AND Settings['log_comment'] = {comment:String} LIMIT 1`,
    { comment: logComment(batch) },
  );
  // If the user may not ask, this is not known. That must not hold a batch for ever.
  return (await unlessDenied(running, [])).length > 0;
}

function logComment(batch: string): string {
  return `ktb ${batch}`;
}
