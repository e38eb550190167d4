import { IDENTITY_TYPES, identityColumnsOf } from './identityColumns.js';
import { quoteTable } from './sqlNames.js';

/**
 * The statement that creates a table. The identity comes first in its sorting key. So a look-up is an index scan, and a
 * double row that slipped through is merged away.
 *
 * @param columns definitions of the columns beside the identity columns. Null: a person has to write them
 * @param manyRows whether a record may hold many rows
 */
export function tableStatement(table: string, columns: readonly string[] | null, manyRows = false): string {
  const identity = identityColumnsOf(manyRows).map((name) => `${name} ${IDENTITY_TYPES[name]}`);
  return [
    `CREATE TABLE ${quoteTable(table)} (`,
    ...(columns === null ? ['  -- your columns'] : []),
    [...(columns ?? []), ...identity].map((column) => `  ${column}`).join(',\n'),
    ') ENGINE = ReplacingMergeTree',
    `ORDER BY (_topic, _partition, _epoch, _offset${manyRows ? ', _row' : ''})`,
    'SETTINGS non_replicated_deduplication_window = 1000',
  ].join('\n');
}
