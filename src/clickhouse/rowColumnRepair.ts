import { IDENTITY_TYPES, mergesRowsOfRecord, ROW_COLUMN, rowColumnFault } from './identityColumns.js';
import { quoteTable } from './sqlNames.js';
import type { TableColumns } from './tableColumns.js';

/** What is wrong with a table for records that may hold many rows, and what to do. */
export interface RowColumnProblem {
  readonly message: string;
  readonly todo: string;
}

/**
 * Judges whether a table keeps all rows of records that hold many. Null if it does.
 *
 * A sorting key can get a new column only in the statement that adds the column.
 */
export function rowColumnProblem(
  table: string,
  columns: TableColumns,
  facts: { readonly engine: string; readonly sortingKey: string },
): RowColumnProblem | null {
  const alter = `ALTER TABLE ${quoteTable(table)}`;
  const type = IDENTITY_TYPES[ROW_COLUMN];
  const message = rowColumnFault(columns);
  const merges = mergesRowsOfRecord(facts);
  if (message !== undefined) {
    const order = merges ? `, MODIFY ORDER BY (${facts.sortingKey}, ${ROW_COLUMN})` : '';
    const change = columns.has(ROW_COLUMN)
      ? `MODIFY COLUMN ${ROW_COLUMN} ${type}`
      : `ADD COLUMN ${ROW_COLUMN} ${type}${order}`;
    return { message, todo: `${alter} ${change}` };
  }
  if (!merges) return null;
  return {
    message: `has the engine ${facts.engine}, and its sorting key has no ${ROW_COLUMN}: merges would leave one row of each record`,
    todo: `make a table with ${ROW_COLUMN} after _offset in ORDER BY, and name that one. If ${ROW_COLUMN} holds nothing yet, drop it, and let \`ktb check\` say how to add it`,
  };
}
