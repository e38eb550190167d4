/** How long inserts stay smaller after one was too large. */
const SMALLER_FOR_MS = 10 * 60_000;

/**
 * The same if only a materialized view refused the size. Its table has the rows by then, so each attempt to find out
 * whether larger inserts succeed again would cost the view their rows.
 */
const SMALLER_FOR_VIEWS_MS = 24 * 60 * 60_000;

/** After this many inserts in a row that used a limit which may grow, the limit is doubled. */
const GROWS_AFTER = 20;

interface Limit {
  bytes: number;
  untilMs: number;
  readonly mayGrow: boolean;
  /** Inserts in a row that were larger than half of it. */
  fitted: number;
}

/** Remembers how large inserts into each table may be, after larger ones were refused because of their size. */
export class InsertSizes {
  readonly #limits = new Map<string, Limit>();
  readonly #ofViews = new Map<string, Pick<Limit, 'bytes' | 'untilMs'>>();

  /** The most bytes that one insert into a table should have. */
  bytesMax(table: string): number {
    return Math.min(bytesNow(this.#limits.get(table)), bytesNow(this.#ofViews.get(table)));
  }

  /**
   * An insert of this size was too large. The next inserts have at most half of it, for ten minutes.
   *
   * @param mayGrow whether the limit is not about bytes or rows, so that it says little about other rows. Then inserts
   *   that fit raise it again
   */
  wasTooLarge(table: string, bytes: number, mayGrow: boolean): void {
    const half = Math.min(Math.ceil(bytes / 2), this.bytesMax(table));
    this.#limits.set(table, { bytes: half, untilMs: performance.now() + SMALLER_FOR_MS, mayGrow, fitted: 0 });
  }

  /** A materialized view refused an insert of this size, which its table took. */
  wasTooLargeForViews(table: string, bytes: number): void {
    const half = Math.min(Math.ceil(bytes / 2), bytesNow(this.#ofViews.get(table)));
    this.#ofViews.set(table, { bytes: half, untilMs: performance.now() + SMALLER_FOR_VIEWS_MS });
  }

  /** An insert of this size succeeded. */
  fitted(table: string, bytes: number): void {
    const limit = this.#limits.get(table);
    if (limit?.mayGrow !== true || bytes <= limit.bytes / 2 || ++limit.fitted < GROWS_AFTER) return;
    limit.bytes *= 2;
    limit.fitted = 0;
  }
}

function bytesNow(limit: Pick<Limit, 'bytes' | 'untilMs'> | undefined): number {
  return limit !== undefined && performance.now() < limit.untilMs ? limit.bytes : Infinity;
}
