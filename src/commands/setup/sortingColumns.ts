import { quoteName } from '../../clickhouse/sqlNames.js';
import { pointerTokens } from '../../lib/jsonPointer.js';
import { pointerOf, sourcesOf } from '../../protocol/columnSource.js';
import type { Destination } from '../../protocol/settings.js';

type Mapped = Destination['columns'];

/** What a table of changes is sorted by. */
export interface SortingColumns {
  readonly columns: readonly string[];
  /** Fields of the key for which there is no column. Rows that differ in them alone would replace each other. */
  readonly lacking: readonly string[];
}

/**
 * The columns for the fields of the records' keys: those of their names, else those that the configuration takes from them.
 *
 * @param key names of fields
 * @param definitions of the table's columns, each with its quoted name first
 */
export function sortingColumns(key: readonly string[], definitions: readonly string[], mapped: Mapped): SortingColumns {
  const has = (column: string): boolean => definitions.some((text) => text.startsWith(`${quoteName(column)} `));
  const found = key.map((name) => [name, ...takenFrom(name, mapped)].find(has));
  return {
    columns: found.filter((column) => column !== undefined),
    lacking: key.filter((_, index) => found[index] === undefined),
  };
}

/** The columns that the configuration takes from a field of the key. */
export function takenFrom(name: string, mapped: Mapped): readonly string[] {
  return Object.entries(mapped).flatMap(([column, source]) =>
    sourcesOf(source).some((from) => isField(from, name)) ? [column] : [],
  );
}

function isField(source: string, name: string): boolean {
  const pointed = pointerOf(source);
  if (pointed?.into !== 'key') return false;
  const tokens = pointerTokens(pointed.pointer);
  return tokens.length === 1 && tokens[0] === name;
}

/** Says what to do about fields of the key without a column. */
export function lackingText(lacking: readonly string[]): string {
  const mapping = lacking
    .map((name) => `${name}: 'key:/${name.replaceAll('~', '~0').replaceAll('/', '~1')}'`)
    .join(', ');
  return (
    `the records' keys have ${lacking.join(' and ')}, by which rows are told from each other, and there is no such column. ` +
    `Map it, with key.format: columns: { ${mapping} }`
  );
}
