import type { BatchRow, BatchRows } from './batchRows.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { TableColumns } from './tableColumns.js';
import { SentSets } from './sentSets.js';

/** Sends sets of a batch's rows to its table, each with its own token. */
export class TokenSender {
  /** The sets that were sent and are not settled. */
  readonly sent: SentSets;
  readonly #options: BatchInsertOptions;
  readonly #tableColumns: TableColumns;
  readonly #batchRows: BatchRows;
  #knownViews: boolean | undefined;

  constructor(options: BatchInsertOptions, tableColumns: TableColumns, batchRows: BatchRows) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.#batchRows = batchRows;
    this.sent = new SentSets(options, batchRows.rows);
  }

  /**
   * Sends a set of rows: all or none, as far as ClickHouse can promise that.
   *
   * @param ignoreViews see `RowsToInsert`
   * @throws InsertError
   */
  async send(rows: readonly BatchRow[], ignoreViews = false): Promise<void> {
    const { tables, table, batch, mustBeAlive, onInsert } = this.#options;
    mustBeAlive();
    const token = this.sent.tokenOf(rows);
    try {
      const lines = this.#batchRows.lines.lines(rows.map(({ row }) => row));
      const views = ignoreViews ? { ignoreViews } : {};
      await tables.send(table, { columns: this.#tableColumns, lines, token, batch, ...views });
    } catch (error) {
      onInsert?.('failed', rows.length);
      throw error;
    }
    onInsert?.('ok', rows.length);
    // Otherwise a view may still lack them.
    if (!ignoreViews) this.sent.settle(token);
  }

  /**
   * Notes a set before it is sent to a table with views. Otherwise the next attempt, on another worker, could not tell
   * which set brought the rows that it finds. For the whole batch, the table is not asked again whether it has views.
   */
  async noteSending(rows: readonly BatchRow[]): Promise<void> {
    const isWhole = rows.length === this.#batchRows.rows.length && this.#options.fill === undefined;
    const { hasViews } = this.#tableColumns;
    if (isWhole && hasViews === false) return;
    if (hasViews === true || (await this.hasViews())) await this.sent.note(rows);
  }

  /** Whether the table has materialized views. Asked once. */
  async hasViews(): Promise<boolean> {
    const { tables, table } = this.#options;
    return (this.#knownViews ??= await tables.hasViews(table));
  }
}
