import type { ValueLimits } from './values/valueCheck.js';

/** The columns of a table that a row may fill: name to type, as in `system.columns`. */
export type TableColumns = ReadonlyMap<string, string> & {
  /** Limits of the table's server. Default: those of every server. */
  readonly limits?: ValueLimits;
  /** Columns with a default, which null stands for. Default: none. */
  readonly defaults?: ReadonlySet<string>;
  /** Whether the table had materialized views when its columns were read. Default: not known. */
  readonly hasViews?: boolean;
};
