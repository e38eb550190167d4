import { randomUUID } from 'node:crypto';
import { countRows, type BatchRow, type BatchRows } from './batchRows.js';
import { TOO_MANY_PARTITIONS } from './errorCodes.js';
import type { FoundRows } from './foundRows.js';
import { InsertError } from './insertErrors.js';
import { NO_ROW } from './manyRows.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { TokenSender } from './tokenSender.js';

/**
 * If a view refuses so many rows as too large, inserts are not made smaller. What it reads besides the insert may be the
 * reason, and then no insert is small enough.
 */
const TOO_LARGE_ROWS_MIN = 1_000;

/**
 * The same for partitions. A view may make several rows of one, and some partitions of each. ClickHouse allows 100 by
 * default (`max_partitions_per_insert_block`): if ten rows have more, one row may, and then no insert is small enough.
 */
const TOO_MANY_PARTITIONS_ROWS_MIN = 10;

/** Rows in a table that its materialized views lack, or may lack. */
export interface MissedByViews {
  readonly rows: number;
  /** Why a view refuses them, or what else is known. */
  readonly why: string;
}

/**
 * Brings rows that are in a table to its materialized views, too.
 *
 * If a view fails, the table has the rows, but the view does not. So rows that are found after an error do not prove
 * that the views have them. The same rows are sent again with the same token: the table and the views that have them
 * drop them, and the others take them. This needs exactly the same set, and every token must still be remembered. So
 * each set is noted for later attempts before it is sent, and nothing is sent again that is not noted. Version 0.1.0
 * noted nothing, and may have sent any set.
 */
export class ViewRepair {
  readonly #options: BatchInsertOptions;
  readonly #batchRows: BatchRows;
  readonly #sender: TokenSender;
  readonly #found: FoundRows;
  /** What was sent under a new token, and is counted. */
  readonly #sentAnew = new Set<BatchRow>();
  #missed = 0;
  #missedWhy = '';

  constructor(options: BatchInsertOptions, batchRows: BatchRows, sender: TokenSender, found: FoundRows) {
    this.#options = options;
    this.#batchRows = batchRows;
    this.#sender = sender;
    this.#found = found;
  }

  /** The rows that could not be brought to the views. Null if there are none. */
  get missed(): MissedByViews | null {
    return this.#missed === 0 ? null : { rows: this.#missed, why: this.#missedWhy };
  }

  /**
   * Finds out what a failed insert has left in the table, and notes it:
   *
   * - All rows are there: a view has failed, or may have, since the answer was lost. The set is noted.
   * - None is there: the set never arrived, and is dropped.
   * - Some are there: they came with a set that cannot be sent again. They are counted as missed.
   *
   * It does nothing if the error tells that the views were not reached, or may pass by itself.
   *
   * @returns `viewsLack` in the first case, so the set has to be sent again. Otherwise `notOfViews`
   */
  async settleFailure(rows: readonly BatchRow[], error: InsertError): Promise<'viewsLack' | 'notOfViews'> {
    const mayPass = error.kind === 'transient' && !this.#options.overdue;
    const mayHaveArrived = error.isOfClickHouse || !error.answered;
    if (!mayHaveArrived || mayPass || !this.#found.canLookUp || !(await this.#sender.hasViews())) return 'notOfViews';
    await this.#found.lookUp(rows);
    const { sent } = this.#sender;
    const left = this.#found.missing(rows).length;
    if (left === 0) {
      // Not noted yet: the view is new.
      if (!sent.has(rows)) await this.#sender.note(rows, this.#found);
      return 'viewsLack';
    }
    if (left === rows.length) sent.drop(sent.tokenOf(rows));
    else this.#miss(countRows(rows) - countRows(this.#found.missing(rows)), error.message);
    return 'notOfViews';
  }

  /**
   * Whether only views refuse rows of a table that cannot be looked up. A search would insert the rows with each of its
   * parts. So the same set is sent again without regard to views. The table drops it if it has it, but without a
   * deduplication window the rows come twice.
   *
   * @returns true if the table has the rows. What views may lack is counted
   * @throws InsertError if that is not known
   */
  async refuseAlone(rows: readonly BatchRow[], error: InsertError): Promise<boolean> {
    if (this.#found.canLookUp || !startsSearch(error) || !(await this.#sender.hasViews())) return false;
    try {
      await this.#sender.send(rows, { ignoreViews: true });
    } catch (again) {
      if (again instanceof InsertError && startsSearch(again)) return false;
      throw again;
    }
    this.#limitInserts(rows, error);
    this.#miss(countRows(rows), error.message);
    return true;
  }

  /**
   * Sends again what earlier attempts have left in the table, if views may lack it. So does an attempt that begins anew
   * with what it has sent itself.
   *
   * @throws InsertError if the batch has to be held
   */
  async settleEarlier(): Promise<void> {
    const { sent } = this.#sender;
    if (this.#found.size === 0) {
      sent.dropAll();
      return;
    }
    if (!(await this.#sender.hasViews())) return;
    const byIndex = new Map<number, BatchRow>();
    for (const rows of [this.#batchRows.rows, this.#batchRows.rejected])
      for (const row of rows) byIndex.set(row.recordIndex, row);
    const there = this.#found.indexes();
    // A set that is not there never arrived, because the look-up has waited for all running inserts.
    const sets = sent.dropNotArrived((index) => there.has(index));
    const unknown = sent.sentUnknown(this.#found.all());
    const inPart = new Set([...sent.stranded].filter((index) => there.has(index)));
    const altered: BatchRow[][] = [];
    for (const indexes of sets) {
      const rows = indexes.flatMap((index) => byIndex.get(index) ?? []);
      // What is missing is sent with a token of its own.
      const arrived = indexes.filter((index) => there.has(index));
      if (arrived.length < indexes.length) for (const index of arrived) inPart.add(index);
      else if (rows.some(({ row }) => row === NO_ROW)) altered.push(rows);
      else await this.sendAgain(rows, undefined);
    }
    for (const rows of altered) await this.#cannotSendAgain(rows);
    this.#miss(
      countRows([...inPart].flatMap((index) => byIndex.get(index) ?? [])),
      'they came into the table with an insert that cannot be sent again',
    );
    this.#miss(countRows(unknown), 'what an earlier run of the batcher was answered is not known');
  }

  /** Rows that came with records which cannot become rows any more. No other rows may have their token. */
  async #cannotSendAgain(rows: readonly BatchRow[]): Promise<void> {
    const why = 'the table was altered, and records whose rows it has cannot become rows any more';
    if (this.#options.views === 'required')
      throw new InsertError('structural', {
        code: 'views',
        message: `its views may lack rows that cannot be sent again: ${why}. The batch waits, since insert.views is required: undo the alteration, or park the batch`,
      });
    await this.#sender.sent.giveUp(rows);
    this.#miss(countRows(rows), why);
  }

  /**
   * Sends the same rows with the same token again. What has them already drops them. `best-effort`: if a view still
   * refuses them, the other views get them, and the batch goes on. Then they are not sent again any more.
   *
   * @param refusal why they were refused. Undefined if that is not known
   * @throws InsertError if the batch has to be held
   */
  async sendAgain(rows: readonly BatchRow[], refusal: InsertError | undefined): Promise<void> {
    const { tables, table, views = 'best-effort', overdue } = this.#options;
    const { sent } = this.#sender;
    let error = refusal;
    if (refusal !== undefined) this.#limitInserts(rows, refusal);
    const by = sent.rememberedBy;
    const known = by === null ? false : await tables.knowsTokens(table, by, sent.ageMs());
    if (known === true) {
      try {
        await this.#sender.send(rows);
        // The disk of a view's table may have refused, after it had noted the token.
        if (refusal?.mayBeOfMachine === true)
          this.#miss(
            countRows(rows),
            `a view may have dropped them as known, and lost them before: ${refusal.message}`,
          );
        return;
      } catch (again) {
        if (!(again instanceof InsertError)) throw again;
        this.#found.failed(again);
        if (!again.answered || (again.kind === 'transient' && !overdue)) throw again;
        if (refusal === undefined) this.#limitInserts(rows, again);
        error = again;
      }
      if (views === 'best-effort') await this.#sendToOtherViews(rows);
    } else if (views === 'required' && known === false) {
      await sent.forget();
    }
    if (views === 'required') throw heldForViews(error, known);
    await sent.giveUp(rows);
    this.#miss(countRows(rows), error?.message ?? 'no answer came to an insert, and a second one could double rows');
  }

  /**
   * Sends rows under a token that was never sent.
   *
   * - `lost`: the table lacks them although it knows their token. Their views may have them: these have their own tokens.
   * - `partly`: the table has some rows of these records. Only the others are sent.
   *
   * @throws InsertError if the rows are refused, or the batch has to be held
   */
  async sendAnew(rows: readonly BatchRow[], because: keyof typeof SENT_ANEW): Promise<void> {
    if (await this.#sender.hasViews()) {
      await this.#sender.sent.giveUpAnySetOf(rows, this.#found);
      // A search sends them again in smaller sets.
      const counted = rows.filter((row) => !this.#sentAnew.has(row));
      for (const row of counted) this.#sentAnew.add(row);
      this.#miss(countRows(counted), SENT_ANEW[because]);
    }
    await this.#sender.send(rows, { salt: randomUUID() });
  }

  /** Makes the table's next inserts smaller than these rows if a view has refused them because of their size. */
  #limitInserts(rows: readonly BatchRow[], error: InsertError): void {
    const { tables, table, onTooLarge } = this.#options;
    const rowsMin = error.code === TOO_MANY_PARTITIONS ? TOO_MANY_PARTITIONS_ROWS_MIN : TOO_LARGE_ROWS_MIN;
    if (error.kind !== 'oversized') return;
    const count = countRows(rows);
    if (tables.sizes.wasTooLargeForViews(table, count, rowsMin)) onTooLarge?.(error, count);
  }

  async #sendToOtherViews(rows: readonly BatchRow[]): Promise<void> {
    try {
      await this.#sender.send(rows, { ignoreViews: true });
    } catch (error) {
      if (!(error instanceof InsertError && error.answered)) throw error;
    }
  }

  #miss(rows: number, why: string): void {
    if (rows === 0) return;
    this.#missed += rows;
    this.#missedWhy = why;
  }
}

/** What views may lack then, or have twice. */
const SENT_ANEW = {
  lost: 'the table had lost them, and got them with an insert of their own: views may have them twice',
  partly: 'an insert had left only some rows of their records in the table, and the others came with another one',
} as const;

/** Whether rows of a table that cannot be looked up are sent in parts after this error: see `Refusals`. */
function startsSearch({ kind, code }: InsertError): boolean {
  return kind === 'data' || (kind === 'oversized' && code === TOO_MANY_PARTITIONS);
}

/** @param known whether the table and all its views still know the token. Undefined if that may not be asked */
function heldForViews(refusal: InsertError | undefined, known: boolean | undefined): InsertError {
  const why =
    refusal === undefined
      ? 'its views may lack rows that are in the table, which can only be sent again within the deduplication windows of all of them'
      : `a materialized view refuses rows that are in the table: ${refusal.message}`;
  return new InsertError('structural', {
    code: refusal?.code ?? 'views',
    message: `${why}. The batch waits, since insert.views is required: ${WAYS_OUT[`${known}`]}`,
    cause: refusal,
  });
}

const WAYS_OUT = {
  true: 'mend the view, and do not fill it: the next attempt does. Or park the batch',
  false:
    'it can no longer be sent again, since tokens are forgotten or tables were replaced: park it, and fill the views from the table if they lack its rows',
  undefined: 'let the user read the deduplication windows, as ktb check says, or park the batch',
} as const;
