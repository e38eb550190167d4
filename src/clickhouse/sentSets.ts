import { rowSet, rowsOf, type RowSet } from '../protocol/attemptNotes.js';
import { identityToken, type BatchRow } from './batchRows.js';
import { NO_JOURNAL, type BatchInsertOptions, type InsertJournal } from './insertOptions.js';

/**
 * The sets of a batch's rows that were sent, by their tokens, as long as it is not known that the table's views have
 * them. They are noted in the journal for later attempts, because a set can be sent again only exactly as it was sent.
 */
export class SentSets {
  readonly #rows: readonly BatchRow[];
  readonly #journal: InsertJournal;
  readonly #salt: string | undefined;
  readonly #unsettled = new Map<string, RowSet>();
  #incomplete = false;

  constructor({ journal = NO_JOURNAL, fill }: Pick<BatchInsertOptions, 'journal' | 'fill'>, rows: readonly BatchRow[]) {
    this.#rows = rows;
    this.#journal = journal;
    this.#salt = fill?.salt;
  }

  /** The deduplication token of a set. */
  tokenOf(rows: readonly BatchRow[]): string {
    return identityToken(rows, this.#salt);
  }

  /** Whether every set that was sent is known. Sets that are not noted were answered with success. */
  get areComplete(): boolean {
    return this.#journal.complete && !this.#incomplete;
  }

  /** Whether tokens were not remembered when sets were sent. These sets must not be sent again. */
  get areForgotten(): boolean {
    return this.#journal.notes?.forgotten === true;
  }

  /** The most milliseconds since the first set was sent. */
  ageMs(): number {
    return this.#journal.ageMs();
  }

  has(rows: readonly BatchRow[]): boolean {
    return this.#unsettled.has(this.tokenOf(rows));
  }

  /** Notes a set. Resolves when the note would survive this process. */
  async note(rows: readonly BatchRow[]): Promise<void> {
    const set = rowSet(rows.map(({ row }) => row));
    if (set === null) this.#incomplete = true;
    else this.#unsettled.set(this.tokenOf(rows), set);
    await this.save();
  }

  /** Drops a set that is in the table and its views, or in neither. */
  settle(token: string): void {
    this.#unsettled.delete(token);
  }

  /**
   * Takes over the notes of earlier attempts.
   *
   * @param hasArrived whether a set is in the table. If not, it never arrived
   * @returns the sets that have arrived
   */
  takeOver(hasArrived: (rows: readonly BatchRow[]) => boolean): readonly (readonly BatchRow[])[] {
    const { notes } = this.#journal;
    // If the rows are others, for example after the table was altered, the numbers mean nothing.
    const isSame = notes?.whole === this.tokenOf(this.#rows);
    this.#incomplete = !isSame || notes.incomplete === true;
    const noted = isSame ? notes.unsettled.map((set) => rowsOf(set).flatMap((row) => this.#rows[row] ?? [])) : [];
    const arrived = noted.filter(hasArrived);
    for (const rows of arrived) this.#unsettled.set(this.tokenOf(rows), rowSet(rows.map(({ row }) => row)) ?? []);
    return arrived;
  }

  /**
   * Notes that everything sent was answered. Otherwise a later attempt, made for another reason, would take it for
   * unsettled.
   */
  async noteSettled(): Promise<void> {
    if ((this.#journal.notes?.unsettled.length ?? 0) === 0 || this.#unsettled.size > 0) return;
    // If this is not noted, the rows are sent again, or reported as missing in views.
    await this.save().catch(() => undefined);
  }

  async save(forgotten = this.areForgotten): Promise<void> {
    await this.#journal.save({
      whole: this.tokenOf(this.#rows),
      unsettled: [...this.#unsettled.values()],
      ...(this.#incomplete ? { incomplete: true } : {}),
      ...(forgotten ? { forgotten } : {}),
    });
  }
}
