import { latin1 } from '../../lib/latin1.js';
import { unescaped } from '../../lib/unescaped.js';

/** The parts of a column's type in `system.columns`: `Map(String, UInt8)` is `Map` with two parameters. */
export interface ColumnType {
  readonly name: string;
  /** Types, numbers or names, as they are written. */
  readonly parameters: readonly string[];
}

/**
 * Types within each other of a column that is added, at most. ClickHouse 26.7 takes a column of 150 types within each other
 * and writes parts with it, but cannot read such a type again: when it starts, it detaches these parts as broken.
 */
export const TYPE_DEPTH_MAX = 20;

export function parseColumnType(text: string): ColumnType {
  const open = text.indexOf('(');
  if (open < 0) return { name: text.trim(), parameters: [] };
  const inner = text.slice(open + 1, text.lastIndexOf(')'));
  return { name: text.slice(0, open).trim(), parameters: splitAtCommas(inner) };
}

/** The type without `Nullable` and `LowCardinality`, which only say how it is stored. */
export function innerType(text: string): ColumnType {
  const type = parseColumnType(text);
  const [inner] = type.parameters;
  return inner !== undefined && (type.name === 'Nullable' || type.name === 'LowCardinality') ? innerType(inner) : type;
}

/** An element of a tuple: its type, and its name if it has one. */
export function parseTupleElement(text: string): { readonly name: string | undefined; readonly type: string } {
  const [, quoted, plain, type] = /^(?:`((?:[^`\\]|\\.)*)`|([A-Za-z_]\w*))\s+(\S[^]*)$/.exec(text) ?? [];
  if (type === undefined) return { name: undefined, type: text };
  return { name: quoted === undefined ? plain : unescaped(quoted), type };
}

/** Splits at commas outside parentheses and quotes. */
function splitAtCommas(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "'" || character === '`') at = endOfQuoted(text, at);
    else if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === ',' && depth === 0) {
      parts.push(text.slice(start, at).trim());
      start = at + 1;
    }
  }
  parts.push(text.slice(start).trim());
  return parts;
}

function endOfQuoted(text: string, at: number): number {
  const quote = text[at];
  let end = at + 1;
  while (end < text.length && text[end] !== quote) end += text[end] === '\\' ? 2 : 1;
  return end;
}

/** The paths with a type, one character per byte: `a.b` in `JSON(a.b UInt8, SKIP c)`. */
export function typedPaths({ parameters }: ColumnType): (readonly [path: string, type: string])[] {
  return parameters.flatMap((parameter) => {
    const [, path, type] = /^((?:`(?:[^`\\]|\\.)*`|[^\s`=])+)\s+([^\s=][^]*)$/.exec(parameter) ?? [];
    return path === undefined || type === undefined || /^SKIP$/i.test(path) ? [] : [[pathName(path), type] as const];
  });
}

/**
 * The paths that ClickHouse leaves out with everything below them. Paths that it leaves out by a pattern are checked
 * like the rest.
 */
export function skippedPaths({ parameters }: ColumnType): string[] {
  return parameters.flatMap((parameter) => {
    const [, path] = /^SKIP\s+((?:`(?:[^`\\]|\\.)*`|[^\s`])+)$/i.exec(parameter) ?? [];
    return path === undefined ? [] : [pathName(path)];
  });
}

function pathName(path: string): string {
  return latin1(path.replaceAll(/`((?:[^`\\]|\\.)*)`/g, (_, name: string) => unescaped(name)));
}
