import { isArrayIndex } from '../records/jsonPointer.js';

/**
 * Where the members of a JSON object lie in its text, so that a value can be passed on as it was written. Going through
 * JavaScript values would lose the digits of large integers and decimals.
 *
 * The text holds the bytes of the JSON, one character a byte (`latin1`), so that bytes which are no UTF-8 pass unharmed.
 * It must be valid JSON (`JSON.parse` has accepted it); on anything else the answer is meaningless.
 */
export interface Member {
  readonly name: string;
  /** The value's text is `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
}

/** The members of the object that begins at or after `at`; an empty list where there is another kind of value. */
export function objectMembers(text: string, at = 0): Member[] {
  const members: Member[] = [];
  let position = skipSpace(text, at);
  if (text[position] !== '{') return members;
  position = skipSpace(text, position + 1);
  while (text[position] === '"') {
    const nameEnd = endOfString(text, position);
    const name = nameOf(text.slice(position, nameEnd));
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = endOfValue(text, start);
    members.push({ name, start, end });
    position = skipSpace(text, skipSpace(text, end) + 1);
  }
  return members;
}

/**
 * The text that a JSON pointer (RFC 6901) leads to; undefined where it leads nowhere. The last of several members of
 * one name counts, as in `JSON.parse`.
 */
export function textAtPointer(text: string, pointer: readonly string[]): string | undefined {
  let start = skipSpace(text, 0);
  let end = endOfValue(text, start);
  for (const token of pointer) {
    const child =
      text[start] === '['
        ? arrayItem(text, start, token)
        : objectMembers(text, start).findLast(({ name }) => name === token);
    if (child === undefined) return undefined;
    ({ start, end } = child);
  }
  return text.slice(start, end);
}

/**
 * The same JSON with its integers as strings, which `JSON.parse` gives to the last digit. In one pass, however many there
 * are.
 */
export function quoteIntegers(text: string): string {
  const parts: string[] = [];
  let copiedTo = 0;
  for (let position = 0; position < text.length;) {
    const character = text[position] as string;
    if (character === '"') {
      position = endOfString(text, position);
    } else if (character === '-' || (character >= '0' && character <= '9')) {
      const end = endOfValue(text, position);
      const number = text.slice(position, end);
      if (INTEGER.test(number)) {
        parts.push(text.slice(copiedTo, position), `"${number}"`);
        copiedTo = end;
      }
      position = end;
    } else {
      position++;
    }
  }
  return parts.join('') + text.slice(copiedTo);
}

const INTEGER = /^-?\d+$/;

function nameOf(quoted: string): string {
  const ascii = /^[\x00-\x7f]*$/.test(quoted);
  return JSON.parse(ascii ? quoted : Buffer.from(quoted, 'latin1').toString('utf8')) as string;
}

function arrayItem(text: string, at: number, token: string): { start: number; end: number } | undefined {
  if (!isArrayIndex(token)) return undefined;
  let position = skipSpace(text, at + 1);
  for (let index = 0; text[position] !== ']'; index++) {
    const end = endOfValue(text, position);
    if (index === Number(token)) return { start: position, end };
    position = skipSpace(text, end);
    if (text[position] === ',') position = skipSpace(text, position + 1);
  }
  return undefined;
}

function skipSpace(text: string, at: number): number {
  let position = at;
  for (let code = text.charCodeAt(position); code === 32 || (code >= 9 && code <= 13); code = text.charCodeAt(position))
    position++;
  return position;
}

function endOfString(text: string, at: number): number {
  let position = at + 1;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text[quote - 1 - backslashes] === '\\') backslashes++;
    position = quote + 1;
    if (backslashes % 2 === 0) return position;
  }
}

function endOfValue(text: string, at: number): number {
  const first = text[at];
  if (first === '"') return endOfString(text, at);
  if (first === '{' || first === '[') return endOfContainer(text, at);
  let position = at;
  while (position < text.length && !ENDS_SCALAR.has(text[position] as string)) position++;
  return position;
}

const ENDS_SCALAR = new Set([',', '}', ']', ' ', '\n', '\r', '\t']);

function endOfContainer(text: string, at: number): number {
  let depth = 0;
  for (let position = at; position < text.length; position++) {
    const character = text[position];
    if (character === '"') position = endOfString(text, position) - 1;
    else if (character === '{' || character === '[') depth++;
    else if (character === '}' || character === ']') {
      depth--;
      if (depth === 0) return position + 1;
    }
  }
  return text.length;
}
