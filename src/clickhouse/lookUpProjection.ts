import { LOOKUP_COLUMNS, REWIND_COLUMNS } from './rows.js';
import { quoteTable } from './sqlNames.js';

/**
 * A projection by which look-ups of identities read some granules of a table that is sorted otherwise: 2 of 12,208 at 100
 * million rows, where a `minmax` index on `_offset` reads all of them as soon as the offsets of partitions overlap.
 */
const LOOK_UP_PROJECTION =
  `PROJECTION by_identity (SELECT ${REWIND_COLUMNS.join(', ')} ` + 'ORDER BY _topic, _partition, _epoch, _offset)';

/** The statements that give a table the projection, for the parts that it has, too. */
export function projectionStatements(table: string, engine: string): string[] {
  const alter = `ALTER TABLE ${quoteTable(table)}`;
  return [
    // An engine that merges rows away takes a projection only with this.
    ...(engine.endsWith('MergeTree') && !/^(Replicated|Shared)?MergeTree$/.test(engine)
      ? [`${alter} MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild'`]
      : []),
    `${alter} ADD ${LOOK_UP_PROJECTION}`,
    `${alter} MATERIALIZE PROJECTION by_identity`,
  ];
}

/** By what a table's rows are found. */
export interface TableOrder {
  readonly sortingKey: string;
  /** As `system.tables.create_table_query` has it. */
  readonly createStatement: string;
}

/** Whether a look-up of identities reads a small part only, by the table's order or a projection's. */
export function findsByIdentity({ sortingKey, createStatement }: TableOrder): boolean {
  if (leadsToOffset(sortingKey)) return true;
  return Array.from(createStatement.matchAll(PROJECTION)).some(
    ([, columns = '', order = '']) =>
      leadsToOffset(order) && (/^\s*\*/.test(columns) || LOOKUP_COLUMNS.every((column) => columns.includes(column))),
  );
}

const PROJECTION = /PROJECTION\s+(?:`(?:[^`\\]|\\.)*`|\w+)\s*\(\s*SELECT\s([^()]*?)\sORDER BY\s+\(?([^()]*)\)/gi;

/** An offset is found fast where only the rest of the identity precedes it. */
function leadsToOffset(order: string): boolean {
  const sorted = order.split(',').map((column) => column.trim().replaceAll('`', ''));
  const at = sorted.indexOf('_offset');
  return at >= 0 && sorted.slice(0, at).every((column) => LOOKUP_COLUMNS.some((own) => own === column));
}
