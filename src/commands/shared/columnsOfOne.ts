import { columnsIfAny } from '../../clickhouse/knownColumns.js';
import type { TableColumns } from '../../clickhouse/tableColumns.js';
import type { DestinationTable } from '../../protocol/settings.js';

/**
 * The columns of one of a pipeline's tables. Null if the table does not exist, and values choose among several: then it
 * has no rows, and the others can be looked at. Who has one table only is told that it is missing.
 *
 * @throws InsertError
 */
export function columnsOfOne(
  tables: { readonly columns: (table: string) => Promise<TableColumns> },
  table: string,
  { tablesOfValues }: DestinationTable,
): Promise<TableColumns | null> {
  return tablesOfValues === undefined ? tables.columns(table) : columnsIfAny(tables, table);
}
