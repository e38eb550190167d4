import { hasManyRows, type Mapping } from '../protocol/settings.js';
import { CHANGE_COLUMNS, IDENTITY_TYPES, identityColumnsOf } from './identityColumns.js';
import { lookUpProjection } from './lookUpProjection.js';
import { quoteName, quoteTable } from './sqlNames.js';

/**
 * The statement that creates a table. The identity comes first in its sorting key. So a look-up is an index scan, and a
 * double row that slipped through is merged away.
 *
 * A table of changes is sorted by the key of the source's table instead, so that the latest change of a row replaces the
 * others. Its look-ups have a projection.
 *
 * @param columns definitions of the columns beside the identity columns. Null: a person has to write them
 * @param mapping says which identity columns there are
 * @param key the columns of the key of the source's table. Null: a person has to write them
 */
export function tableStatement(
  table: string,
  columns: readonly string[] | null,
  mapping: Pick<Mapping, 'format' | 'envelope'> = { format: 'json' },
  key: readonly string[] | null = null,
): string {
  const manyRows = hasManyRows(mapping.format);
  const identity = identityColumnsOf(mapping).map((name) => `${name} ${IDENTITY_TYPES[name]}`);
  const takesChanges = mapping.envelope !== undefined;
  const order = takesChanges
    ? (key?.map(quoteName).join(', ') ?? '/* the primary key of the source */')
    : `_topic, _partition, _epoch, _offset${manyRows ? ', _row' : ''}`;
  return [
    `CREATE TABLE ${quoteTable(table)} (`,
    ...(columns === null ? ['  -- your columns'] : []),
    [...(columns ?? []), ...identity, ...(takesChanges ? [lookUpProjection(manyRows)] : [])]
      .map((column) => `  ${column}`)
      .join(',\n'),
    `) ENGINE = ReplacingMergeTree${takesChanges ? `(${CHANGE_COLUMNS.join(', ')})` : ''}`,
    `ORDER BY (${order})`,
    `SETTINGS non_replicated_deduplication_window = 1000${takesChanges ? ", deduplicate_merge_projection_mode = 'rebuild'" : ''}`,
  ].join('\n');
}
