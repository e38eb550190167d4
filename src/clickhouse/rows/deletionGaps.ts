import type { TableColumns } from '../tableColumns.js';
import { takesEmptyText } from '../values/emptyTexts.js';
import type { ValueCheck } from '../values/valueCheck.js';

/**
 * What Debezium writes for a column that it does not know, if the column can be neither null nor has a default
 * (`JdbcValueConverters`, 3.0): an empty text, false, or a zero. That of a decimal has the column's scale, and may be a text.
 */
export const UNKNOWN = /^(""|false|("?)0(\.0*)?([eE][+-]?\d+)?\2)$/;

/**
 * The test for a value in a deletion that stands for something unknown and that its column does not take, such as an empty
 * text for a UUID. Such a field is left out: otherwise the deletion would be rejected, and the row stay. A value of a
 * column that the table is sorted by is always known. Without it, another row would be deleted.
 *
 * @param check of the column's values
 */
export function deletionGap(table: TableColumns, column: string, check: ValueCheck | undefined): ValueCheck {
  let takesEmpty: boolean | undefined;
  return (text, start, end) => {
    if (end - start > UNKNOWN_LENGTH_MAX || table.sortedBy?.has(column) === true) return false;
    const value = text.slice(start, end);
    if (value !== 'null' && !UNKNOWN.test(value)) return false;
    if (check?.(text, start, end) === false) return true;
    // ClickHouse itself refuses it, without a check.
    return value === '""' && !(takesEmpty ??= takesEmptyText(table.get(column) ?? ''));
  };
}

/** Decimals have up to 76 digits. */
const UNKNOWN_LENGTH_MAX = 100;
