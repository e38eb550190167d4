import type { ValueLimits } from './values/valueCheck.js';

/** The columns of a table that a row may fill: name to type, as in `system.columns`. */
export type TableColumns = ReadonlyMap<string, string> & {
  /** Limits of the table's server. Default: those of every server. */
  readonly limits?: ValueLimits;
  /** Columns with a default, which null stands for. Default: none. */
  readonly defaults?: ReadonlySet<string>;
  /** Whether the table had materialized views when its columns were read. Default: not known. */
  readonly hasViews?: boolean;
  /** Columns of the sorting key. It may name others, too, such as functions. Default: not known. */
  readonly sortedBy?: ReadonlySet<string>;
  /** Whether merges of the table leave one row of a record that holds many, see `mergesRowsOfRecord`. Default: they do not. */
  readonly mergesRowsOfRecord?: boolean;
};

/**
 * Whether rows that were made for columns are right for what their table has now: these columns, of the same types, and
 * with defaults where they had some. It may have more.
 */
export function areStill(columns: TableColumns, now: TableColumns): boolean {
  if (columns === now) return true;
  return [...columns].every(
    ([name, type]) =>
      now.get(name) === type && (columns.defaults?.has(name) ?? false) === (now.defaults?.has(name) ?? false),
  );
}
