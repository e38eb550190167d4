/** How long inserts stay smaller after one was too large. */
const SMALLER_FOR_MS = 10 * 60_000;

/**
 * The same if only a materialized view refused the size. Its table has the rows by then, so each attempt to find out
 * whether larger inserts succeed again would cost the view their rows, or hold a batch for which views are required.
 */
const SMALLER_FOR_VIEWS_MS = 24 * 60 * 60_000;

/** After this time it is asked again whether those views are still the same. */
const LOOK_AT_VIEWS_MS = 30_000;

/** After this many inserts in a row that used a limit which may grow, the limit is doubled. */
const GROWS_AFTER = 20;

interface Limit {
  bytes: number;
  untilMs: number;
  readonly mayGrow: boolean;
  /** Inserts in a row that were larger than half of it. */
  fitted: number;
}

/** A limit of a table's views. It counts rows, because it has a lowest value in rows. */
interface ViewLimit {
  readonly rows: number;
  readonly untilMs: number;
  /** What the table and its views were at the first look. Undefined before it. */
  views: string | undefined;
  lookAgainMs: number;
}

/** Remembers how large inserts into each table may be, after larger ones were refused because of their size. */
export class InsertSizes {
  readonly #limits = new Map<string, Limit>();
  readonly #ofViews = new Map<string, ViewLimit>();

  /** The most bytes that one insert into a table should have. */
  bytesMax(table: string): number {
    const limit = this.#limits.get(table);
    return limit !== undefined && performance.now() < limit.untilMs ? limit.bytes : Infinity;
  }

  /** The most rows that one insert into a table should have. */
  rowsMax(table: string): number {
    return this.#viewLimit(table)?.rows ?? Infinity;
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

  /**
   * A materialized view refused an insert of so many rows, which its table took. The next inserts have at most half of
   * them, for a day or until the table or its views change.
   *
   * @param rowsMin the limit is never less. If no more rows were refused than these, smaller inserts do not help, and
   *   there is no limit any more
   * @returns whether inserts are smaller now
   */
  wasTooLargeForViews(table: string, rows: number, rowsMin: number): boolean {
    if (rows <= rowsMin) {
      if (this.rowsMax(table) <= rowsMin) this.#ofViews.delete(table);
      return false;
    }
    const nowMs = performance.now();
    const known = this.#viewLimit(table);
    const half = Math.min(Math.max(Math.ceil(rows / 2), rowsMin), known?.rows ?? Infinity);
    const untilMs = nowMs + SMALLER_FOR_VIEWS_MS;
    // If it is no lower, the views may have been altered since it was made, and that must not go unnoticed.
    if (half === known?.rows) this.#ofViews.set(table, { ...known, untilMs });
    else this.#ofViews.set(table, { rows: half, untilMs, views: undefined, lookAgainMs: nowMs });
    return true;
  }

  /** Whether somebody should look at a table's views, and call {@link sawViews}. True once in {@link LOOK_AT_VIEWS_MS}. */
  shouldLookAtViews(table: string): boolean {
    const limit = this.#viewLimit(table);
    const nowMs = performance.now();
    if (limit === undefined || nowMs < limit.lookAgainMs) return false;
    limit.lookAgainMs = nowMs + LOOK_AT_VIEWS_MS;
    return true;
  }

  /** Forgets the limit of a table's views if the table or a view is another one, or was altered. */
  sawViews(table: string, views: string): void {
    const limit = this.#viewLimit(table);
    if (limit === undefined) return;
    limit.views ??= views;
    if (limit.views !== views) this.#ofViews.delete(table);
  }

  #viewLimit(table: string): ViewLimit | undefined {
    const limit = this.#ofViews.get(table);
    return limit !== undefined && performance.now() < limit.untilMs ? limit : undefined;
  }

  /** An insert of this size succeeded. */
  fitted(table: string, bytes: number): void {
    const limit = this.#limits.get(table);
    if (limit?.mayGrow !== true || bytes <= limit.bytes / 2 || ++limit.fitted < GROWS_AFTER) return;
    limit.bytes *= 2;
    limit.fitted = 0;
  }
}
