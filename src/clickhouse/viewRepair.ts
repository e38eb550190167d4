import type { BatchRow } from './batchRows.js';
import type { FoundRows } from './foundRows.js';
import { InsertError } from './insertErrors.js';
import type { BatchInsertOptions } from './insertOptions.js';
import type { TokenSender } from './tokenSender.js';

/** Rows that are in a table and that materialized views of it lack, or may lack. */
export interface MissedByViews {
  readonly rows: number;
  /** What a view refuses them for; what is known otherwise. */
  readonly why: string;
}

/**
 * Brings rows that are in a table to its materialized views, too.
 *
 * A view that fails leaves the rows in the table, and is left without them. So rows that are found after
 * an error are no proof. The same rows are sent again under the same token: the table and the views that have them drop
 * them, the others take them. That needs to be the very same set, and every token to be known still. So each set is noted for
 * the attempts to come before it is sent, and nothing is sent again that is not noted: version 0.1.0 noted nothing, and may have
 * sent any set.
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

  /** What could not be brought to them; null where there is nothing. */
  get missed(): MissedByViews | null {
    return this.#missed === 0 ? null : { rows: this.#missed, why: this.#missedWhy };
  }

  /** Whether an error, which ClickHouse has answered with, is a view's: the table has taken all rows. */
  async isOfViews(rows: readonly BatchRow[], error: InsertError): Promise<boolean> {
    const mayPass = error.kind === 'transient' && !this.#options.overdue;
    if (!error.isOfClickHouse || mayPass || !this.#found.canLookUp || !(await this.#sender.hasViews())) return false;
    await this.#found.lookUp(rows);
    const { sent } = this.#sender;
    const left = this.#found.missing(rows).length;
    if (left === 0) {
      // The view is new.
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
    // What is not there never arrived: the look-up has waited for whatever was running.
    for (const rows of sent.takeOver((set) => set.some((row) => this.#found.has(row)))) {
      // Not all of it is there: what is missing is sent under a token of its own.
      if (this.#found.missing(rows).length > 0) {
        for (const row of rows) if (this.#found.has(row)) partial.add(row);
        continue;
      }
      await this.sendAgain(rows, undefined);
      for (const row of rows) unsettled.delete(row);
    }
    // Whatever else an earlier attempt sent was answered with success, or it would be in its notes.
    if (sent.areComplete) unsettled = partial;
    if (fill === undefined && unsettled.size > 0) this.#miss(unsettled.size, this.#missedWhy);
  }

  /**
   * The same rows under the same token: what has them drops them. `best-effort`: where a view goes on refusing them, the other
   * views get them, and the batch goes on.
   *
   * @param refusal what they were refused with; undefined where that is not known
   * @throws InsertError where the batch is to be held
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
