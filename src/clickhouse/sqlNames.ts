import { parseTableName } from '../protocol/tables.js';

/**
 * Quotes a name of a database, table or column for a statement. All names go through this function, so reserved words,
 * backquotes, dots and letters of every kind have no special meaning.
 */
export function quoteName(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&').replaceAll('\0', '\\0')}\``;
}

/** Quotes a table's name from the configuration for a statement, with its database if it has one. */
export function quoteTable(text: string): string {
  const { database, name } = parseTableName(text);
  return database === null ? quoteName(name) : `${quoteName(database)}.${quoteName(name)}`;
}

/** A statement or a type without what stands in quotes or backquotes: names and texts may contain anything. */
export function withoutQuoted(sql: string): string {
  return sql.replaceAll(/'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/gs, '');
}
