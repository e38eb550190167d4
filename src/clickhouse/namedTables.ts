/*
 * Tables by database and name, and questions of system tables about many of them.
 */
import { parseTableName } from '../protocol/tables.js';
import { quoteName } from './sqlNames.js';

export interface NamedTable {
  /** As in the configuration, perhaps without its database. */
  readonly table: string;
  readonly database: string;
  readonly name: string;
}

/** @param ownDatabase the database of names without one */
export function namedTable(table: string, ownDatabase: string): NamedTable {
  const { database, name } = parseTableName(table);
  return { table, database: database ?? ownDatabase, name };
}

/** The name with its database, quoted for a statement. */
export function quoted({ database, name }: Pick<NamedTable, 'database' | 'name'>): string {
  return `${quoteName(database)}.${quoteName(name)}`;
}

/** One text for a database and a name, the same for no other table. */
export function tableKey(database: string, name: string): string {
  return JSON.stringify([database, name]);
}

/** Tables that one question names, at most. */
const TABLES_ASKED_MAX = 200;

/** Tables in parts for one question each. */
export function* partsToAsk(tables: readonly string[]): Generator<readonly string[], void, undefined> {
  for (let at = 0; at < tables.length; at += TABLES_ASKED_MAX) yield tables.slice(at, at + TABLES_ASKED_MAX);
}

/**
 * Parameters for `database IN {databases:Array(String)} AND name IN {names:Array(String)}`. That may find more tables than
 * these, so {@link tableKey} has to tell them apart.
 */
export function askedNames(tables: readonly NamedTable[]): { databases: string[]; names: string[] } {
  return { databases: [...new Set(tables.map(({ database }) => database))], names: tables.map(({ name }) => name) };
}

/** The id of tables that have none, for example in a database whose engine has no ids. */
export const NO_UUID = '00000000-0000-0000-0000-000000000000';
