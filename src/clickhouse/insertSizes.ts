/** After an insert was too large, whole batches are tried again after so long. */
const SMALLER_FOR_MS = 10 * 60_000;

/** So many inserts in a row that are nearly as large as a limit that may grow double it. */
const GROWS_AFTER = 20;

interface Limit {
  bytes: number;
  untilMs: number;
  readonly mayGrow: boolean;
  /** Inserts in a row that made use of it. */
  fitted: number;
}

/** How large inserts of tables may be, since larger ones were refused for their size. */
export class InsertSizes {
  readonly #limits = new Map<string, Limit>();

  /** Bytes that one insert into a table should have at most. */
  bytesMax(table: string): number {
    const limit = this.#limits.get(table);
    return limit !== undefined && performance.now() < limit.untilMs ? limit.bytes : Infinity;
  }

  /**
   * An insert of so many bytes is too large for some limit: those after it have half of that at most, for a while.
   *
   * @param mayGrow the limit is not one of bytes or rows, and says little about other rows: inserts that fit raise it again
   */
  wasTooLarge(table: string, bytes: number, mayGrow: boolean): void {
    const half = Math.min(Math.ceil(bytes / 2), this.bytesMax(table));
    this.#limits.set(table, { bytes: half, untilMs: performance.now() + SMALLER_FOR_MS, mayGrow, fitted: 0 });
  }

  /** An insert of so many bytes went in. */
  fitted(table: string, bytes: number): void {
    const limit = this.#limits.get(table);
    if (limit?.mayGrow !== true || bytes <= limit.bytes / 2 || ++limit.fitted < GROWS_AFTER) return;
    limit.bytes *= 2;
    limit.fitted = 0;
  }
}
