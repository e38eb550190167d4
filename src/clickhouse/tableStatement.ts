import { IDENTITY_TYPES } from './identityColumns.js';
import { quoteTable } from './sqlNames.js';

/**
 * The statement that creates a table. The identity comes first in its sorting key. So a look-up is an index scan, and a
 * double row that slipped through is merged away.
 *
 * @param columns definitions of the columns beside the identity columns. Null: a person has to write them
 */
export function tableStatement(table: string, columns: readonly string[] | null): string {
  const identity = Object.entries(IDENTITY_TYPES).map(([name, type]) => `${name} ${type}`);
  return [
    `CREATE TABLE ${quoteTable(table)} (`,
    ...(columns === null ? ['  -- your columns'] : []),
    [...(columns ?? []), ...identity].map((column) => `  ${column}`).join(',\n'),
    ') ENGINE = ReplacingMergeTree',
    'ORDER BY (_topic, _partition, _epoch, _offset)',
    'SETTINGS non_replicated_deduplication_window = 1000',
  ].join('\n');
}
