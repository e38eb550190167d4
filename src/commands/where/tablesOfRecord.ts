/*
 * The tables that a record may be in: which one its value names, and which rows it has in each.
 */
import { divideByValue } from '../../clickhouse/tablesByValue.js';
import type { Config, PipelineConfig } from '../../config/config.js';
import type { Decoders } from '../../formats/decoders.js';
import type { RecordPlace, SourcedRecord } from '../../protocol/record.js';
import { hasManyRows, type Destination } from '../../protocol/settings.js';
import { tablesOfTopic } from '../../protocol/tables.js';
import { columnsOfOne } from '../shared/columnsOfOne.js';
import { withTables } from '../shared/connections.js';
import type { RowsInTable } from './recordFacts.js';

/**
 * The table that a record's value names, by the present configuration. Null if it names none, or nobody can read it.
 * Undefined if no value decides.
 *
 * @throws InsertError if a schema is needed that the registry does not tell
 */
export async function tableNamed(
  item: SourcedRecord,
  { mapping, tablesOfValues }: Pick<Destination, 'mapping' | 'tablesOfValues'>,
  decoders: Decoders | undefined,
): Promise<string | null | undefined> {
  if (tablesOfValues === undefined) return undefined;
  const { ofTables } = await divideByValue([item], tablesOfValues, { mapping, decoders });
  const [table = null] = ofTables.keys();
  return table;
}

/** What the tables have of a record. */
export interface FoundInTables {
  readonly rows: readonly RowsInTable[];
  /** Tables that do not exist, and so have nothing of it. */
  readonly missingTables: readonly string[];
}

/** The rows of a record in all tables that it may have gone to. @throws InsertError */
export function rowsInTables(
  config: Config,
  { settings: { destination } }: PipelineConfig,
  place: RecordPlace,
): Promise<FoundInTables> {
  const names = tablesOfTopic(destination, place.topic);
  const manyRows = hasManyRows(destination.mapping.format);
  return withTables(config, async (tables) => {
    const found: RowsInTable[] = [];
    const missingTables: string[] = [];
    for (const table of names) {
      const columns = await columnsOfOne(tables, table, destination);
      if (columns === null) {
        missingTables.push(table);
        continue;
      }
      const range = { from: place.offset, to: place.offset };
      const rows = await tables.rowsByOffset(table, columns, place, range, manyRows);
      found.push(...(names.length === 1 ? rows : rows.map((row) => ({ ...row, table }))));
    }
    return { rows: found, missingTables };
  });
}
