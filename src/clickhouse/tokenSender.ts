import type { BatchRow, BatchRows } from './batchRows.js';
import type { FoundRows } from './foundRows.js';
import { canLookUp } from './identityColumns.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import { NOT_KEPT } from './manyRows.js';
import type { RowBlocks } from './rowBlocks.js';
import type { RowsToInsert } from './rowSender.js';
import { areStill, type TableColumns } from './tableColumns.js';
import type { SentSets } from './sentSets.js';

/** The code of the error that says that a table was altered after rows were made for it. */
export const COLUMNS_CHANGED = 'columns_changed';

/**
 * Rows were not sent, and nothing is known of them. This is no `InsertError`, so that no search takes it for an answer
 * about rows.
 */
export class NotSent extends Error {
  override readonly name = 'NotSent';
  readonly reason: InsertError;

  constructor(reason: InsertError) {
    super(reason.message, { cause: reason });
    this.reason = reason;
  }
}

type HowToSend = Pick<RowsToInsert, 'token' | 'ignoreViews'>;

/** Sends sets of a batch's rows to its table, each with its own token. */
export class TokenSender {
  /** The sets that were sent and are not settled. */
  readonly sent: SentSets;
  readonly #options: BatchInsertOptions;
  readonly #tableColumns: TableColumns;
  readonly #batchRows: BatchRows;
  readonly #found: Pick<FoundRows, 'linesOf'>;
  /** Tokens under which an insert of this attempt has failed. */
  readonly #failed = new Set<string>();
  /** In sets, because so many rows are too many arguments for one call. */
  readonly #unproved: (readonly BatchRow[])[] = [];
  #knownViews: boolean | undefined;
  #hasSent = false;
  /** Resolves when the last set is sent whose lines were made again. */
  #madeAgain: Promise<void> = Promise.resolve();

  /** @param found says which rows the table has of records of which it lacks others: these are not sent */
  constructor(
    options: BatchInsertOptions,
    tableColumns: TableColumns,
    batchRows: BatchRows,
    sent: SentSets,
    found: Pick<FoundRows, 'linesOf'>,
  ) {
    this.#options = options;
    this.#tableColumns = tableColumns;
    this.#batchRows = batchRows;
    this.#found = found;
    this.sent = sent;
  }

  /**
   * Rows whose insert was answered with success, under a token that may have been sent before. So it may have been
   * dropped.
   */
  get unproved(): readonly BatchRow[] {
    return this.#unproved.flat();
  }

  /** Whether an insert of this attempt has failed. */
  get hasFailed(): boolean {
    return this.#failed.size > 0;
  }

  /**
   * Sends a set of rows: all or none, as far as ClickHouse can promise that. If the table has some rows of a record
   * already, the set needs a salt, since its token says nothing about them.
   *
   * @param options.ignoreViews see `RowsToInsert`
   * @param options.salt makes the token another one, which was never sent
   * @throws InsertError
   * @throws NotSent if the table was altered since the rows were made, or cannot be looked at
   */
  async send(
    rows: readonly BatchRow[],
    { ignoreViews = false, salt = '' }: { readonly ignoreViews?: boolean; readonly salt?: string } = {},
  ): Promise<void> {
    const views = ignoreViews ? { ignoreViews } : {};
    const token = this.sent.tokenOf(rows, salt);
    if (rows.some(({ row }) => row === NOT_KEPT)) await this.#sendMadeAgain(rows, { token, ...views });
    else await this.#sendLines(rows, { token, ...views }, this.#batchRows.lines, ({ row }) => row);
    if (salt === '' && (this.#options.repeated || this.#failed.has(token))) this.#unproved.push(rows);
    // Otherwise a view may still lack them.
    if (!ignoreViews) this.sent.settle(token);
  }

  /** One set after the other, so that only one is in memory. */
  async #sendMadeAgain(rows: readonly BatchRow[], how: HowToSend): Promise<void> {
    const before = this.#madeAgain;
    const sending = (async () => {
      await before;
      const { lines, firstOf } = await this.#batchRows.makeAgain(rows);
      await this.#sendLines(rows, how, lines, firstOf);
      lines.release();
    })();
    this.#madeAgain = sending.catch(() => undefined);
    await sending;
  }

  async #sendLines(
    rows: readonly BatchRow[],
    how: HowToSend,
    lines: RowBlocks,
    firstOf: (row: BatchRow) => number,
  ): Promise<void> {
    const { tables, table, batch, mustBeAlive, onInsert } = this.#options;
    await this.#mustBeOfTable();
    mustBeAlive();
    const sent = this.#found.linesOf(rows, firstOf);
    try {
      await tables.send(table, { columns: this.#tableColumns, lines: lines.lines(sent), batch, ...how });
    } catch (error) {
      this.#failed.add(how.token);
      onInsert?.('failed', sent.length);
      throw error;
    }
    this.#hasSent = true;
    onInsert?.('ok', sent.length);
  }

  /**
   * Looks at the table's columns once more, if the last look is not a moment old. Look-ups, a search and pauses may have
   * taken minutes since the rows were made. Without identity columns the attempt cannot begin anew once rows are in the
   * table: they would be inserted again.
   */
  async #mustBeOfTable(): Promise<void> {
    const { tables, table } = this.#options;
    if (this.#hasSent && !canLookUp(this.#tableColumns)) return;
    const now = await tables.columns(table).catch((error: unknown) => {
      throw error instanceof InsertError ? new NotSent(error) : error;
    });
    if (areStill(this.#tableColumns, now)) return;
    const message = `table ${table} was altered while rows were inserted that were made for its earlier columns`;
    throw new NotSent(new InsertError('structural', { code: COLUMNS_CHANGED, message }));
  }

  /**
   * Notes a set before it is sent to a table with views. Otherwise the next attempt, on another worker, could not tell
   * which set brought the rows that it finds. For the whole batch, the table is not asked again whether it has views. If
   * sets are noted from when it had some, this one is noted, too: see {@link SentSets.note}.
   */
  async noteSending(rows: readonly BatchRow[], found: FoundRows): Promise<void> {
    const isWhole = rows.length === this.#batchRows.rows.length && this.#options.fill === undefined;
    const { hasViews } = this.#tableColumns;
    const mustNote = hasViews === true || this.sent.areNoted;
    if (isWhole && hasViews === false && !mustNote) return;
    if (mustNote || (await this.hasViews())) await this.note(rows, found);
  }

  /**
   * Notes a set, and by which tables its token is remembered. Later that cannot be told: a window may have been made
   * since, or another table be in the place of one of them.
   *
   * @throws NotSent if ClickHouse cannot be asked
   */
  async note(rows: readonly BatchRow[], found: FoundRows): Promise<void> {
    const { tables, table } = this.#options;
    const by = await tables.rememberedBy(table).catch((error: unknown) => {
      if (!(error instanceof InsertError)) throw error;
      if (error.kind === 'transient') throw new NotSent(error);
      return null;
    });
    await this.sent.note(rows, found, by);
  }

  /** Whether the table has materialized views. Asked once. */
  async hasViews(): Promise<boolean> {
    const { tables, table } = this.#options;
    return (this.#knownViews ??= await tables.hasViews(table));
  }
}
