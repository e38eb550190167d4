import type { BatchRow } from './batchRows.js';
import type { FoundRows } from './foundRows.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { TokenSender } from './tokenSender.js';

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
  readonly #sender: TokenSender;
  readonly #found: FoundRows;
  #missed = 0;
  #missedWhy = 'what an earlier run of the batcher was answered is not known';

  constructor(options: BatchInsertOptions, sender: TokenSender, found: FoundRows) {
    this.#options = options;
    this.#sender = sender;
    this.#found = found;
  }

  /** The rows that could not be brought to the views. Null if there are none. */
  get missed(): MissedByViews | null {
    return this.#missed === 0 ? null : { rows: this.#missed, why: this.#missedWhy };
  }

  /** Whether an error of ClickHouse comes from a view: then the table has taken all rows. */
  async isOfViews(rows: readonly BatchRow[], error: InsertError): Promise<boolean> {
    const mayPass = error.kind === 'transient' && !this.#options.overdue;
    if (!error.isOfClickHouse || mayPass || !this.#found.canLookUp || !(await this.#sender.hasViews())) return false;
    await this.#found.lookUp(rows);
    const { sent } = this.#sender;
    const left = this.#found.missing(rows).length;
    if (left === 0) {
      // Not noted yet: the view is new.
      if (!sent.has(rows)) await sent.note(rows);
      return true;
    }
    if (left === rows.length) sent.settle(sent.tokenOf(rows));
    else this.#miss(rows.length - left, error.message);
    return false;
  }

  /** Sends again what earlier attempts have left in the table, if views may lack it. */
  async settleEarlier(): Promise<void> {
    const { fill } = this.#options;
    const { sent } = this.#sender;
    if (!(await this.#sender.hasViews())) return;
    const partial = new Set<BatchRow>();
    let unsettled = new Set([...this.#found.all()].filter(({ source }) => fill?.sources.has(source) !== true));
    // A set that is not there never arrived, because the look-up has waited for all running inserts.
    for (const rows of sent.takeOver((set) => set.some((row) => this.#found.has(row)))) {
      // A part is missing. It is sent with its own token.
      if (this.#found.missing(rows).length > 0) {
        for (const row of rows) if (this.#found.has(row)) partial.add(row);
        continue;
      }
      await this.sendAgain(rows, undefined);
      for (const row of rows) unsettled.delete(row);
    }
    // The notes are complete: what is not in them was answered with success.
    if (sent.areComplete) unsettled = partial;
    if (fill === undefined && unsettled.size > 0) this.#miss(unsettled.size, this.#missedWhy);
  }

  /**
   * Sends the same rows with the same token again. What has them already drops them. `best-effort`: if a view still
   * refuses them, the other views get them, and the batch goes on.
   *
   * @param refusal why they were refused. Undefined if that is not known
   * @throws InsertError if the batch has to be held
   */
  async sendAgain(rows: readonly BatchRow[], refusal: InsertError | undefined): Promise<void> {
    const { tables, table, views = 'best-effort', overdue } = this.#options;
    const { sent } = this.#sender;
    let error = refusal;
    const known = sent.areForgotten ? false : await tables.knowsTokens(table, sent.ageMs());
    if (known === true) {
      try {
        await this.#sender.send(rows);
        return;
      } catch (again) {
        if (!(again instanceof InsertError)) throw again;
        this.#found.failed(again);
        if (!again.answered || (again.kind === 'transient' && !overdue)) throw again;
        error = again;
      }
      if (views === 'best-effort') await this.#sendToOtherViews(rows);
    } else if (views === 'required' && known === false) {
      await sent.save(true);
    }
    if (views === 'required') throw heldForViews(error);
    this.#miss(rows.length, error?.message ?? 'no answer came to an insert, and a second one could double rows');
  }

  async #sendToOtherViews(rows: readonly BatchRow[]): Promise<void> {
    try {
      await this.#sender.send(rows, true);
    } catch (error) {
      if (!(error instanceof InsertError && error.answered)) throw error;
    }
  }

  #miss(rows: number, why: string): void {
    this.#missed += rows;
    this.#missedWhy = why;
  }
}

function heldForViews(refusal: InsertError | undefined): InsertError {
  const why =
    refusal === undefined
      ? 'its views may lack rows that are in the table, which can only be sent again within the deduplication windows of all of them'
      : `a materialized view refuses rows that are in the table: ${refusal.message}`;
  return new InsertError('structural', {
    code: refusal?.code ?? 'views',
    message: `${why}. The batch waits, since insert.views is required: mend the view, or park the batch`,
    cause: refusal,
  });
}
