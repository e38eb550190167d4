import type { RowsOfRecord } from '../../clickhouse/lookUps.js';

/**
 * The rows of records in several tables, each record once for each epoch. One that two tables have has more rows than
 * different ones, as one that a table has twice. Pure.
 */
export function ofAllTables(found: readonly RowsOfRecord[][]): RowsOfRecord[] {
  const [only = [], ...others] = found;
  if (others.length === 0) return only;
  const all = new Map<string, RowsOfRecord>();
  for (const rows of found.flat()) {
    const name = `${rows.offset}/${rows.epoch}`;
    const other = all.get(name);
    all.set(name, other === undefined ? rows : together(other, rows));
  }
  return [...all.values()];
}

function together(one: RowsOfRecord, other: RowsOfRecord): RowsOfRecord {
  const { different } = one;
  return {
    ...one,
    rows: one.rows + other.rows,
    ...(different === undefined ? {} : { different: Math.max(different, other.different ?? 0) }),
    seconds: one.seconds ?? other.seconds,
  };
}
