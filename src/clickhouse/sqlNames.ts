import { parseTableName } from '../protocol/tables.js';

/**
 * A name of a database, table, column or anything else, as it stands in a statement. The only place where names get there:
 * reserved words, backquotes, dots, letters of every kind mean nothing else within it.
 */
export function quoteName(name: string): string {
  return `\`${name.replace(/[\\`]/g, '\\$&').replaceAll('\0', '\\0')}\``;
}

/** A table as the configuration names it, quoted for a statement; with its database, if it has one. */
export function quoteTable(text: string): string {
  const { database, name } = parseTableName(text);
  return database === null ? quoteName(name) : `${quoteName(database)}.${quoteName(name)}`;
}
