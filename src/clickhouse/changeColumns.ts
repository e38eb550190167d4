import { CHANGE_COLUMNS, changeColumnsFault, IDENTITY_TYPES } from './identityColumns.js';
import { quoteTable } from './sqlNames.js';
import type { TableColumns } from './tableColumns.js';

/** What is wrong with a table for changes of another table's rows, and what to do. */
interface ChangeProblem {
  readonly message: string;
  readonly todo: string;
  /** Whether the table takes nothing. Otherwise it takes changes, and keeps more of them than it should. */
  readonly isRefused: boolean;
}

/** Judges whether the latest change of each row is what a table shows with `FINAL`. */
export function changeProblems(
  table: string,
  columns: TableColumns,
  facts: { readonly engine: string; readonly engineFull?: string; readonly sortingKey: string } | undefined,
): ChangeProblem[] {
  const fault = changeColumnsFault(columns);
  const problems: ChangeProblem[] = [];
  if (fault !== undefined) {
    const changes = CHANGE_COLUMNS.flatMap((column) => {
      const type = IDENTITY_TYPES[column];
      if (columns.get(column) === type) return [];
      return [`${columns.has(column) ? 'MODIFY' : 'ADD'} COLUMN ${column} ${type}`];
    });
    problems.push({ message: fault, todo: `ALTER TABLE ${quoteTable(table)} ${changes.join(', ')}`, isRefused: true });
  }
  if (facts === undefined) return problems;
  const { engine, sortingKey, engineFull = '' } = facts;
  if (!engine.endsWith('MergeTree')) return problems;
  const isFitting = engine.endsWith('ReplacingMergeTree') && /\(.*\b_version\b.*\b_is_deleted\b/.test(engineFull);
  const todo =
    'create a table with ENGINE = ReplacingMergeTree(_version, _is_deleted), ordered by the key of the source, as `ktb setup` does';
  if (!isFitting)
    problems.push({
      message: `has not the engine ReplacingMergeTree(_version, _is_deleted): it keeps all changes of a row, and the deleted ones`,
      todo,
      isRefused: false,
    });
  else if (/\b_offset\b/.test(sortingKey))
    problems.push({
      message: 'is sorted by _offset, so that no change of a row replaces another one',
      todo,
      isRefused: false,
    });
  return problems;
}
