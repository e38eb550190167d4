import { pointerTokens } from '../../lib/jsonPointer.js';
import { latin1 } from '../../lib/latin1.js';
import { pointersOf, type ColumnSource } from '../../protocol/columnSource.js';
import { deletionGap } from './deletionGaps.js';
import type { TableColumns } from '../tableColumns.js';
import { checkOfType } from '../values/checkOfType.js';
import type { LeavesOut, ValueCheck } from '../values/valueCheck.js';

/** The meaning of a name that a field of the value may have. */
export interface Field {
  readonly column: string;
  readonly kind: 'column' | 'identity' | 'mapped' | 'parent' | 'source';
  readonly check?: ValueCheck | undefined;
  /** Set for columns, see {@link deletionGap}. */
  readonly isGap?: ValueCheck;
}

/**
 * The names that a field may have, one character per byte: columns, sources of mappings, and prefixes of columns'
 * names, because a field `a` may contain the column `a.b`.
 *
 * @param unknown the column for fields without a column. A field of its name is one of them
 * @param leavesOut see {@link columnCheck}
 */
export function knownFields(
  table: TableColumns,
  columns: Readonly<Record<string, ColumnSource>>,
  identity: readonly string[],
  unknown?: string,
  leavesOut?: LeavesOut,
): ReadonlyMap<string, Field> {
  const fields = new Map<string, Field>();
  const add = (column: string, field: Omit<Field, 'column'>): void => {
    const name = latin1(column);
    if (!fields.has(name)) fields.set(name, { column, ...field });
  };
  for (const name of identity) add(name, { kind: 'identity' });
  for (const name of Object.keys(columns)) add(name, { kind: 'mapped' });
  for (const name of table.keys()) {
    if (name === unknown) continue;
    const check = columnCheck(table, name, leavesOut);
    add(name, { kind: 'column', check, isGap: deletionGap(table, name, check) });
  }
  for (const name of table.keys()) {
    const parts = name.split('.');
    for (let length = 1; length < parts.length; length++) add(parts.slice(0, length).join('.'), { kind: 'parent' });
  }
  for (const from of Object.values(columns))
    for (const pointer of pointersOf(from)) add(pointerTokens(pointer)[0] ?? '', { kind: 'source' });
  return fields;
}

/**
 * The check for a value of a column. Undefined if every value passes.
 *
 * @param leavesOut members of objects that the column's type has no element for. Default: values with such a member do
 *   not fit
 */
export function columnCheck(table: TableColumns, column: string, leavesOut?: LeavesOut): ValueCheck | undefined {
  const ofColumn = leavesOut && ((name: string) => leavesOut(`${latin1(column)}.${name}`));
  const check = checkOfType(table.get(column) ?? '', table.limits, 'column', ofColumn);
  if (check === undefined || table.defaults?.has(column) !== true) return check;
  return (text, start, end) => text[start] === 'n' || check(text, start, end);
}
