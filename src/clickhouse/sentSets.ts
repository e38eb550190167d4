import { rowSet, rowsOf, type RowSet } from '../protocol/attemptNotes.js';
import type { SourcedRecord } from '../protocol/record.js';
import { identityToken, type BatchRow, type Fill } from './batchRows.js';
import type { FoundRows } from './foundRows.js';
import { NO_JOURNAL, type BatchInsertOptions, type InsertJournal } from './insertOptions.js';

/** The indexes of the records of a set, in ascending order. */
type Indexes = readonly number[];

/**
 * The sets of a batch's rows that were sent, by their tokens, as long as it is not known that the table's views have
 * them. They are noted in the journal for later attempts, because a set can be sent again only exactly as it was sent.
 *
 * A set is known by the indexes of its records. So it stays known if the table is altered, and other records of the batch
 * become rows.
 *
 *     note ──► unsettled ──answered with success──► settled: the views have it
 *                  ├────not in the table──► dropped: it never arrived
 *                  └────a row is sent in another set, or it is given up──► its records in the table are stranded
 *
 * Only unsettled sets are sent again. What views lack of stranded records is counted. `incomplete`: sets were sent that
 * are not listed. `rememberedBy` is null if a table may not know the token of one of them, so none may be sent again.
 */
export class SentSets {
  readonly #records: readonly SourcedRecord[];
  readonly #journal: InsertJournal;
  readonly #fill: Fill | undefined;
  readonly #unsettled = new Map<string, Indexes>();
  /** Sets of this attempt that were answered with success: the table and its views have them. */
  readonly #settled: Indexes[] = [];
  #stranded = new Set<number>();
  #rememberedBy: string | null = null;
  /** Earlier attempts may have sent sets that are not known. */
  #incomplete = false;
  #whole: string | undefined;

  /** @param records all records of the batch for this table */
  constructor(
    { journal = NO_JOURNAL, fill, repeated }: Pick<BatchInsertOptions, 'journal' | 'fill' | 'repeated'>,
    records: readonly SourcedRecord[],
  ) {
    this.#records = records;
    this.#journal = journal;
    this.#fill = fill;
    if (repeated) this.#takeOver();
  }

  /** Takes over the notes of earlier attempts. */
  #takeOver(): void {
    const { notes } = this.#journal;
    // If the records are others, the indexes mean nothing.
    if (notes?.whole !== this.#tokenOfAll()) {
      this.#incomplete = true;
      return;
    }
    this.#incomplete = notes.incomplete === true;
    for (const set of notes.unsettled) {
      const indexes = rowsOf(set);
      this.#unsettled.set(this.tokenOf(indexes.map((index) => this.#records[index] as SourcedRecord)), indexes);
    }
    this.#stranded = new Set(rowsOf(notes.stranded ?? []));
    this.#rememberedBy = notes.rememberedBy ?? null;
  }

  #tokenOfAll(): string {
    return (this.#whole ??= this.tokenOf(this.#records));
  }

  /** The deduplication token of a set. With another salt it is another one. */
  tokenOf(rows: readonly SourcedRecord[], salt = ''): string {
    return identityToken(rows, `${this.#fill?.salt ?? ''}${salt}`);
  }

  /** Whether every set that was sent is known. Sets that are not known to be unsettled were answered with success. */
  get areAllKnown(): boolean {
    return this.#journal.onlyThisActivity && !this.#incomplete;
  }

  /**
   * Which tables remembered the tokens when unsettled sets were sent, see `rememberedBy` in tokenWindows.ts. Null if one
   * may not have, or they were not the same for all sets. Then these must not be sent again.
   */
  get rememberedBy(): string | null {
    return this.#rememberedBy;
  }

  /** Whether later attempts would find sets in the journal. */
  get areNoted(): boolean {
    return (this.#journal.notes?.unsettled.length ?? 0) > 0;
  }

  /** The most milliseconds since the first set was sent. */
  ageMs(): number {
    return this.#journal.ageMs();
  }

  has(rows: readonly BatchRow[]): boolean {
    return this.#unsettled.has(this.tokenOf(rows));
  }

  /**
   * Notes a set. Resolves when the note would survive this process. The sets that share rows with it have failed.
   *
   * @param by which tables remember its token
   */
  async note(rows: readonly BatchRow[], found: FoundRows, by: string | null): Promise<void> {
    const token = this.tokenOf(rows);
    this.#retire(token, rows, found);
    this.#rememberedBy = this.#unsettled.size === 0 || this.#rememberedBy === by ? by : null;
    this.#unsettled.set(
      token,
      rows.map(({ recordIndex }) => recordIndex),
    );
    await this.#save();
  }

  /** Notes that the tokens of unsettled sets may not be remembered, whatever is known of them later. */
  async forget(): Promise<void> {
    this.#rememberedBy = null;
    await this.#save();
  }

  /** Notes that a set in the table was given up. Its rows were counted, and people may have brought them to the views. */
  async giveUp(rows: readonly BatchRow[]): Promise<void> {
    this.#unsettled.delete(this.tokenOf(rows));
    await this.#strand(rows);
  }

  /** Notes that rows are about to be sent under a token that is not noted. */
  async giveUpAnySetOf(rows: readonly BatchRow[], found: FoundRows): Promise<void> {
    this.#unsettled.delete(this.tokenOf(rows));
    this.#retire(undefined, rows, found);
    await this.#strand(rows);
  }

  async #strand(rows: readonly BatchRow[]): Promise<void> {
    for (const { recordIndex } of rows) this.#stranded.add(recordIndex);
    await this.#save();
  }

  /**
   * Takes other sets with some of these rows off the list: sent again, they would bring these rows twice. Their records that
   * are in the table are stranded.
   *
   * @param token of the set that stays
   */
  #retire(token: string | undefined, rows: readonly BatchRow[], found: FoundRows): void {
    let sent: ReadonlySet<number> | undefined;
    for (const [other, indexes] of this.#unsettled) {
      if (other === token) continue;
      sent ??= new Set(rows.map(({ recordIndex }) => recordIndex));
      if (!indexes.some((index) => sent?.has(index))) continue;
      this.#unsettled.delete(other);
      const there = found.indexes();
      for (const index of indexes) if (there.has(index)) this.#stranded.add(index);
    }
  }

  /** A set was answered with success: it is in the table and its views. */
  settle(token: string): void {
    const indexes = this.#unsettled.get(token);
    if (indexes !== undefined && this.#unsettled.delete(token)) this.#settled.push(indexes);
  }

  /** Drops a set that never arrived. */
  drop(token: string): void {
    this.#unsettled.delete(token);
  }

  /** Nothing of the batch is in the table. So no set has arrived. */
  dropAll(): void {
    this.#unsettled.clear();
    this.#stranded.clear();
    this.#incomplete = false;
  }

  /**
   * Drops the sets that never arrived.
   *
   * @param isThere whether a record is in the table
   * @returns the sets that have arrived, at least in part
   */
  dropNotArrived(isThere: (index: number) => boolean): readonly Indexes[] {
    for (const [token, indexes] of this.#unsettled) if (!indexes.some(isThere)) this.#unsettled.delete(token);
    return [...this.#unsettled.values()];
  }

  /** Records in the table whose set cannot be sent again, see `InsertNotes`. */
  get stranded(): ReadonlySet<number> {
    return this.#stranded;
  }

  /**
   * Of these rows in the table, those that were sent in sets that are not known. None if all sets are known: what is in
   * none of them was answered with success. None of a source that is being filled: its rows may be there from long
   * before.
   */
  sentUnknown(there: Iterable<BatchRow>): readonly BatchRow[] {
    if (this.areAllKnown) return [];
    const known = new Set([...this.#unsettled.values(), ...this.#settled, [...this.#stranded]].flat());
    return [...there].filter(
      ({ recordIndex, source }) => !known.has(recordIndex) && this.#fill?.sources.has(source) !== true,
    );
  }

  /** Of these rows in the table, the number of those that its views may lack. */
  mayBeMissed(there: readonly BatchRow[]): number {
    const unsettled = new Set([...this.#unsettled.values(), [...this.#stranded]].flat());
    return there.filter(({ recordIndex }) => unsettled.has(recordIndex)).length + this.sentUnknown(there).length;
  }

  /**
   * Notes that sets were answered. Otherwise a later attempt, made for another reason, would take them for unsettled.
   */
  async noteSettled(): Promise<void> {
    const { notes } = this.#journal;
    if (notes === undefined || (notes.unsettled.length === 0 && notes.incomplete !== true)) return;
    const { unsettled, incomplete = false } = this.#noted();
    if (notes.unsettled.length === unsettled.length && (notes.incomplete === true) === incomplete) return;
    // If this is not noted, the rows are sent again, or reported as missing in views.
    await this.#save().catch(() => undefined);
  }

  async #save(): Promise<void> {
    await this.#journal.save({
      whole: this.#tokenOfAll(),
      ...this.#noted(),
      ...(this.#rememberedBy === null ? {} : { rememberedBy: this.#rememberedBy }),
    });
  }

  /** What the notes have room for. */
  #noted(): { unsettled: RowSet[]; stranded?: RowSet; incomplete?: true } {
    const sets = Array.from(this.#unsettled.values(), (indexes) => rowSet(indexes));
    const unsettled = sets.filter((set) => set !== null);
    const stranded = rowSet([...this.#stranded].sort((one, other) => one - other));
    return {
      unsettled,
      ...(stranded === null || stranded.length === 0 ? {} : { stranded }),
      ...(this.#incomplete || stranded === null || unsettled.length < sets.length ? { incomplete: true } : {}),
    };
  }
}
