/*
 * Looks for records in tables that they may have gone to. Nothing is inserted there.
 */
import type { SourcedRecord } from '../protocol/record.js';
import { hasManyRows, type Mapping } from '../protocol/settings.js';
import { buildRows, type BatchRow } from './batchRows.js';
import { FoundRows, type LookUpOptions } from './foundRows.js';
import type { BatchInsertOptions } from './insertOptions.js';
import { columnsIfAny } from './knownColumns.js';
import { NO_ROW } from './manyRows.js';

/** Rows that can be looked up, and not sent. Only of records that may hold many it has to be known how many these are. */
export async function identitiesOf(records: readonly SourcedRecord[], mapping: Mapping): Promise<readonly BatchRow[]> {
  if (!hasManyRows(mapping.format)) return records.map((item, recordIndex) => ({ ...item, row: NO_ROW, recordIndex }));
  // Without their keys: one that cannot be read says nothing about the rows.
  const { key: _, ...withoutKey } = mapping;
  const { rows, rejected } = await buildRows(records, new Map(), {
    columns: {},
    mapping: { ...withoutKey, unknownFields: 'ignore' },
    judgedBytesMax: Infinity,
  });
  return [...rows, ...rejected];
}

/**
 * Which of these records a table has, all rows of each. In a table that does not exist, or that has no identity columns,
 * nothing is found. No earlier insert of the batch may be running, see `mustNotBeInserting`.
 *
 * @param rows of {@link identitiesOf}
 * @param options.whenCaughtUp whether a replica that lags is waited for: it may show none of them
 * @returns their `recordIndex`
 * @throws InsertError if the table cannot be asked
 */
export async function inTable(
  rows: readonly BatchRow[],
  {
    whenCaughtUp,
    ...options
  }: Omit<LookUpOptions, 'repeated'> & Pick<BatchInsertOptions, 'mustBeAlive'> & { readonly whenCaughtUp: boolean },
): Promise<ReadonlySet<number>> {
  const { tables, table, mustBeAlive } = options;
  const columns = await columnsIfAny(tables, table);
  if (columns === null) return new Set();
  if (whenCaughtUp) await tables.caughtUp(table, { mustBeAlive });
  const found = new FoundRows({ ...options, repeated: false }, columns);
  await found.lookUp([], rows);
  return found.indexes();
}
