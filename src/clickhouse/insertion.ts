import { bytesOfRows, type BatchRow, type BatchRows } from './batchRows.js';
import { FoundRows } from './foundRows.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import { PIECE_BYTES } from './manyRows.js';
import { hasManyRows } from '../protocol/settings.js';
import { Refusals, type RefusedRow, type RowRefusal } from './refusals.js';
import type { TableColumns } from './tableColumns.js';
import { findRefused } from './findRefused.js';
import type { SentSets } from './sentSets.js';
import { TokenSender } from './tokenSender.js';
import { ViewRepair, type MissedByViews } from './viewRepair.js';

/**
 * The insert of one attempt at a batch. All of its rows go into the table once, except those that are refused alone.
 */
export class Insertion {
  /** The rows that were in the table already. */
  readonly found: FoundRows;
  readonly #options: BatchInsertOptions;
  readonly #batchRows: BatchRows;
  readonly #sender: TokenSender;
  readonly #views: ViewRepair;
  readonly #refusals: Refusals;

  constructor(options: BatchInsertOptions, tableColumns: TableColumns, batchRows: BatchRows, sent: SentSets) {
    this.#options = options;
    this.#batchRows = batchRows;
    this.found = new FoundRows(options, tableColumns);
    this.#sender = new TokenSender(options, tableColumns, batchRows, sent, this.found);
    this.#views = new ViewRepair(options, batchRows, this.#sender, this.found);
    this.#refusals = new Refusals(options, tableColumns, batchRows.lines, this.found);
  }

  /** Lets other batches use the memory of the rows, unless an insert of them may still be on its way. */
  release(): void {
    if (!this.#sender.hasFailed) this.#batchRows.lines.release();
  }

  get missedByViews(): MissedByViews | null {
    return this.#views.missed;
  }

  /**
   * Sends all rows that are not in the table, and finds those that it refuses. Records that cannot become rows are looked
   * up, too, if an earlier attempt may have inserted them: the table may have been altered since, or this version may be
   * stricter.
   *
   * @returns the rows to reject. All others are in the table
   * @throws InsertError if the batch has to be held
   */
  async insert(): Promise<RefusedRow[]> {
    try {
      return await this.#insert();
    } finally {
      // Also if something else ends the attempt: the views have what was answered with success.
      await this.#sender.sent.noteSettled();
    }
  }

  async #insert(): Promise<RefusedRow[]> {
    const { repeated, fill, overdue } = this.#options;
    const { rows, rejected } = this.#batchRows;
    if (repeated || fill !== undefined) await this.found.lookUp(rows, rejected);
    if (repeated) await this.#views.settleEarlier();
    const missing = this.found.missing(rows);
    const refused = await findRefused(missing, (part) => this.#send(part), this.#partsOf(missing));
    // This row is too large even alone. It may succeed with more memory, and the rows sent with it are in the table by
    // now.
    const tooLarge = refused.find(({ reason }) => reason.error.kind === 'oversized');
    if (tooLarge !== undefined && !overdue) throw tooLarge.reason.error;
    const doubtful = refused.filter(({ reason }) => reason.error.kind !== 'data');
    const certain = refused.filter(({ reason }) => reason.error.kind === 'data');
    const confirmed = await this.#refusals.confirm(doubtful, (row) => this.#send([row]));
    await this.#sendLost();
    const verdicts = [...certain, ...confirmed];
    // A row in the table is inserted, even if its last attempt ended with an error.
    if (verdicts.length > 0) {
      const refusedRows = verdicts.map(({ item }) => item);
      await this.found.lookUp([], refusedRows);
    }
    return verdicts.filter(({ item }) => !this.found.has(item));
  }

  /**
   * Sends what the table lacks although its insert was answered with success. A MergeTree notes a token before it has
   * the rows. If ClickHouse dies in between, or the disk refuses, it drops each later insert under this token, and calls
   * that success. So the success of a token that may have been sent before proves nothing, only that of a new one.
   */
  async #sendLost(): Promise<void> {
    const { tables, table } = this.#options;
    const unproved = this.found.missing(this.#sender.unproved);
    if (unproved.length === 0 || !this.found.canLookUp || !(await tables.mayLoseKnownRows(table))) return;
    for (const part of this.#divide(await this.found.lost(unproved))) await this.#views.sendAnew(part, 'lost');
  }

  /** Records of which the table has some rows come by themselves, at the end. */
  *#partsOf(rows: readonly BatchRow[]): Generator<readonly BatchRow[]> {
    if (!this.found.hasPartOf(rows)) {
      yield* this.#divide(rows);
      return;
    }
    yield* this.#divide(rows.filter((row) => this.found.partOf(row) === undefined));
    yield* this.#divide(rows.filter((row) => this.found.partOf(row) !== undefined));
  }

  /**
   * Divides rows into parts, if inserts into this table were too large lately, or if records hold many. Each part is small
   * enough for the limit at the time when it is asked for. The rows of a record stay together.
   */
  *#divide(rows: readonly BatchRow[]): Generator<readonly BatchRow[]> {
    const { tables, table, mapping, pieceBytes = PIECE_BYTES } = this.#options;
    const ownMax = hasManyRows(mapping.format) ? pieceBytes : Infinity;
    for (let first = 0, next = 0; first < rows.length; first = next) {
      const bytesMax = Math.min(tables.sizes.bytesMax(table), ownMax);
      const rowsMax = tables.sizes.rowsMax(table);
      next = bytesMax === Infinity && rowsMax === Infinity ? rows.length : first;
      for (let [bytes, count] = [0, 0]; next < rows.length; next++) {
        const row = rows[next] as BatchRow;
        bytes += bytesOfRows(row, this.#batchRows.lines);
        count += row.numbers?.length ?? 1;
        if ((bytes > bytesMax || count > rowsMax) && next > first) break;
      }
      yield next - first === rows.length ? rows : rows.slice(first, next);
    }
  }

  /**
   * Sends the rows of a part that are not in the table.
   *
   * @returns why they are refused, if rows may be the reason. Null if all are in the table
   * @throws InsertError if the batch has to be held
   */
  async #send(part: readonly BatchRow[]): Promise<RowRefusal | null> {
    const rows = this.found.missing(part);
    if (rows.length === 0) return null;
    const isPartlyThere = this.found.hasPartOf(rows);
    try {
      if (isPartlyThere) {
        await this.#views.sendAnew(rows, 'partly');
      } else {
        if (this.found.canLookUp) await this.#sender.noteSending(rows, this.found);
        await this.#sender.send(rows);
      }
      this.#refusals.taken();
      return null;
    } catch (error) {
      if (!(error instanceof InsertError)) throw error;
      this.found.failed(error);
      const suspect = error.suspect === undefined ? undefined : this.found.rowAt(rows, error.suspect);
      if (!isPartlyThere && (await this.#views.refuseAlone(rows, error))) return null;
      // What was sent under a new token is never sent again: its views are counted already.
      if (!isPartlyThere && (await this.#views.settleFailure(rows, error)) === 'viewsLack') {
        await this.#views.sendAgain(rows, error.answered ? error : undefined);
        return null;
      }
      await this.#refusals.mustBeWorthASearch(rows, error);
      // It may have left rows in the table, whatever its error says. A single row is looked up at the end.
      if (rows.length > 1 || !error.answered) await this.found.lookUp(rows);
      return {
        error,
        suspect: suspect === undefined ? undefined : part.indexOf(suspect.row),
        number: suspect?.number,
        doubtful: error.kind !== 'data' && (error.kind !== 'oversized' || rows.length === 1),
      };
    }
  }
}
