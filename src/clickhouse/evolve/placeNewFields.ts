import { choicesOf } from '../../formats/recordDecoder.js';
import { writtenWith } from '../../formats/recordSchemas.js';
import type { SourcedRecord } from '../../protocol/record.js';
import { InsertError } from '../insertErrors.js';
import type { BatchInsertOptions } from '../insertOptions.js';
import { ofRegistry } from '../registryErrors.js';
import { columnsForAll, columnsOfField, fieldOfSchema, type ColumnTypes } from '../schemaColumns/schemaColumns.js';
import type { TableColumns } from '../tableColumns.js';
import type { NewFields } from './newFields.js';
import type { EvolvedField } from './tableEvolution.js';

/** Gathers fields without a column. Undefined if the pipeline's tables stay as they are. */
export function newFieldsOf(columns: TableColumns, options: BatchInsertOptions): NewFields | undefined {
  const { mapping, evolution, table, onEvolved } = options;
  if (mapping.evolve === undefined) return undefined;
  const report = (field: EvolvedField): void => onEvolved?.(field);
  return evolution?.fieldsOf({ table, columns, evolution: mapping.evolve, report });
}

/**
 * Gives the new fields of a batch their columns, as the pipeline's `evolve` says.
 *
 * A batch whose rows were sent before under the same tokens, and with fewer columns, is like one whose table somebody
 * has altered: what the table has is looked up, and never sent again.
 *
 * @returns whether the rows have to be made again, because the table has other columns now, or to gather the fields that
 *   come after those that were decided on
 * @throws InsertError if the batch has to be held
 */
export async function placeNewFields(
  records: readonly SourcedRecord[],
  columns: TableColumns,
  fields: NewFields,
  options: BatchInsertOptions,
): Promise<boolean> {
  const { evolution, mapping, table, tables, mustBeAlive, onEvolved } = options;
  if (evolution === undefined || mapping.evolve === undefined || fields.types.size === 0) return false;
  let decided = 0;
  const added = await evolution.place({
    ...{ table, columns, fields, mustBeAlive, evolution: mapping.evolve },
    ofSchemas: () => typesOfSchemas(records, options),
    report: (field) => {
      decided++;
      onEvolved?.(field);
    },
  });
  // Those that were decided on are not gathered again. If columns are only proposed, the others wait for the next batch:
  // each round costs as much as all rows of this one.
  if (added.length === 0) return mapping.evolve.mode === 'apply' && fields.hasMore && decided > 0;
  tables.forget(table);
  const now = await tables.columns(table);
  const missing = added.find((name) => !now.has(name));
  if (missing === undefined) return true;
  // Without it the batch would go in without the values of this field.
  const message = `table ${table} has no column ${missing} yet, which was added: another replica may have answered`;
  throw new InsertError('transient', { code: COLUMN_IS_LATE, message });
}

/** The code of the error that says that a column was added, and is not there. */
const COLUMN_IS_LATE = 'column_is_late';

/** The types of columns by the schemas of all records. Empty if the format has none. */
async function typesOfSchemas(
  records: readonly SourcedRecord[],
  { mapping, decoders }: BatchInsertOptions,
): Promise<ColumnTypes> {
  const choices = choicesOf(mapping);
  if (choices === undefined || decoders === undefined) return new Map();
  const values = records.flatMap(({ record: { value } }) => value ?? []);
  const written = writtenWith(values, choices.format === 'protobuf');
  try {
    const known = await decoders.of(new Set(written.map(({ id }) => id)), choices);
    const columns = written.flatMap(({ id, indexes }) => {
      const schema = known.get(id);
      if (schema === undefined || 'why' in schema) return [];
      return [columnsOfField(fieldOfSchema(schema.parsed, choices, indexes), mapping.envelope !== undefined)];
    });
    return columnsForAll(columns);
  } catch (error) {
    throw ofRegistry(error);
  }
}
