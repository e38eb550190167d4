import { needsNewerWorker, type DestinationTable, type Mapping, type TablesOfValues } from '../protocol/settings.js';
import { tableOfValue } from '../protocol/tables.js';
import type { ParsedConfig } from './schema.js';

type ParsedPipeline = ParsedConfig['pipelines'][string];
type TableByValue = Exclude<ParsedPipeline['table'], string>;

/** What the settings of a pipeline say about its tables. */
export function destinationTable(
  { table, tables }: Pick<ParsedPipeline, 'table' | 'tables'>,
  mapping: Mapping,
): DestinationTable {
  if (typeof table === 'object') return { table: null, tablesOfValues: tablesOfValues(table) };
  const choice = Object.keys(tables).length === 0 ? table : { ofTopics: tables, others: table };
  return needsNewerWorker(mapping) ? { table: null, decodedTable: choice } : { table: choice };
}

/** Tables by a value of each record, as batches get them. */
export function tablesOfValues({ by, tables, template = '', values = [], otherwise }: TableByValue): TablesOfValues {
  return {
    by,
    tables: [...Object.entries(tables), ...values.map((value) => [value, tableOfValue(template, value)] as const)],
    otherwise: otherwise === 'reject' || otherwise === 'skip' ? otherwise : { table: otherwise },
  };
}
