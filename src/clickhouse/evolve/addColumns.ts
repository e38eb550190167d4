import type { ClickHouseClient } from '@clickhouse/client';
import { QUERY_SETTINGS } from '../../config/insertSettings.js';
import { InsertError, classifyInsertError } from '../insertErrors.js';
import { quoted, type NamedTable } from '../namedTables.js';
import { queryRows } from '../queries.js';
import { awayNoteOf } from '../servers.js';
import { quoteName } from '../sqlNames.js';
import { ACCESS_DENIED } from '../errorCodes.js';

/** By this comment the columns that were added are told from others, and counted, by all workers. */
const COMMENT_OF_ADDED = 'added by ktb';

/** The statement that adds columns. It does nothing about those that are there. */
export function addColumnsStatement(
  table: Pick<NamedTable, 'database' | 'name'>,
  columns: ReadonlyMap<string, string>,
): string {
  const additions = Array.from(
    columns,
    ([name, type]) => `ADD COLUMN IF NOT EXISTS ${quoteName(name)} ${type} COMMENT '${COMMENT_OF_ADDED}'`,
  );
  return `ALTER TABLE ${quoted(table)} ${additions.join(', ')}`;
}

/** What decides on whether columns may be added to a table. */
export interface TableToAlter {
  readonly engine: string;
  /** Whether inserts into it feed materialized views. What they select may mean something else with another column. */
  readonly hasViews: boolean;
  /** Whether a row may fill each of its columns, by name. */
  readonly columns: ReadonlyMap<string, boolean>;
  /** How many of them were added in this way. */
  readonly added: number;
}

/**
 * Looks at a table as it is now.
 *
 * @returns undefined if there is no such table
 * @throws InsertError
 */
export async function tableToAlter(
  client: ClickHouseClient,
  { database, name }: NamedTable,
): Promise<TableToAlter | undefined> {
  const named = { database, name };
  const [table] = await queryRows<[string, number]>(
    client,
    'SELECT engine, notEmpty(dependencies_table) FROM system.tables WHERE database = {database:String} AND name = {name:String}',
    named,
  );
  if (table === undefined) return undefined;
  const columns = await queryRows<[string, string, string]>(
    client,
    'SELECT name, default_kind, comment FROM system.columns WHERE database = {database:String} AND table = {name:String} AND isValidUTF8(name)',
    named,
  );
  const added = columns.filter(([, , comment]) => comment === COMMENT_OF_ADDED).length;
  const isFilled = (kind: string): boolean => kind !== 'MATERIALIZED' && kind !== 'ALIAS';
  const [engine, hasViews] = table;
  const isFilledOf = new Map(columns.map(([column, kind]) => [column, isFilled(kind)]));
  return { engine, hasViews: hasViews !== 0, columns: isFilledOf, added };
}

/** What ClickHouse says if another replica has altered the table just now (CANNOT_ASSIGN_ALTER). It may be tried again. */
const ALTERED_ELSEWHERE = '517';

/** How long the statement waits for other changes of the table. */
const LOCK_S = 10;

/**
 * Adds columns, all or none.
 *
 * @throws InsertError. Kind `data`: one of these columns is refused, whoever asks. `transient` and `structural`: the
 *   batch has to wait
 */
export async function addColumns(
  client: ClickHouseClient,
  table: NamedTable,
  columns: ReadonlyMap<string, string>,
): Promise<void> {
  const noteAway = awayNoteOf(client);
  try {
    await client.command({
      query: addColumnsStatement(table, columns),
      clickhouse_settings: { ...QUERY_SETTINGS, alter_sync: '1', lock_acquire_timeout: LOCK_S },
    });
  } catch (error) {
    const classified = classifyInsertError(error);
    if (!classified.answered) noteAway();
    throw ofAlter(classified, table);
  }
}

/**
 * What a failed alteration means. Only what a name or a type can cause is a column's fault: for all else, such as a full
 * disk, the batch waits, because its rows would go in without the field's values otherwise.
 */
export function ofAlter(error: InsertError, { table }: Pick<NamedTable, 'table'>): InsertError {
  const { code, message, cause, answered, kind } = error;
  const made = (as: InsertError['kind'], text: string): InsertError =>
    new InsertError(as, { code, message: `columns cannot be added to table ${table}: ${text}`, cause, answered });
  const mayPass = kind === 'transient' || kind === 'oversized' || code === ALTERED_ELSEWHERE;
  if (!answered || mayPass) return made('transient', message);
  if (code === ACCESS_DENIED)
    return made('structural', `${message}: the user needs the right ALTER ADD COLUMN, or set evolve: propose`);
  return made(error.mayBeOfColumn ? 'data' : 'structural', message);
}
