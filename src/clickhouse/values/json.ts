import { isArrayIndex } from '../../lib/jsonPointer.js';
import { latin1 } from '../../lib/latin1.js';

/*
 * Finds the parts of a JSON text, so that a value can be checked and passed on as it was written. JavaScript values
 * would lose digits of large integers and decimals, repeated names, and the information whether a name had escapes.
 *
 * A text has one character per byte of the JSON (`latin1`), so that bytes which are no UTF-8 are not changed.
 */

/** The kind of a JSON value. */
export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/**
 * The members of one object, in order. The instance is reused for each text, so a record creates no object of its own.
 *
 * `read` accepts exactly what `JSON.parse` accepts, in linear time and at any depth.
 */
export class JsonObject {
  /** Names without escapes, one character per byte. Like the other lists, valid up to {@link length}. */
  readonly names: string[] = [];
  /** The value's text is `text.slice(starts[i], ends[i])`. */
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  length = 0;
  /**
   * Whether an escape is the second half of a character (`\udc00`), which UTF-8 cannot represent. ClickHouse itself
   * refuses only first halves.
   */
  hasHalfCharacters = false;
  /** The index of the fault, after one. */
  faultAt = 0;

  #text = '';
  /** The containers around the present place: 1 for an object, 0 for an array. */
  readonly #within: number[] = [];

  /** @returns the kind of the value. Undefined if it is not JSON, see {@link faultAt} */
  read(text: string): JsonKind | undefined {
    this.#text = text;
    this.length = 0;
    this.hasHalfCharacters = false;
    this.faultAt = 0;
    const start = skipSpace(text, 0);
    const end = text.charCodeAt(start) === OPEN_BRACE ? this.#readMembers(start) : this.#skipValue(start);
    if (end < 0) return undefined;
    const rest = skipSpace(text, end);
    if (rest === text.length) return KINDS[text[start] as string] ?? 'number';
    this.faultAt = rest;
    return undefined;
  }

  #readMembers(at: number): number {
    const text = this.#text;
    let position = skipSpace(text, at + 1);
    if (text.charCodeAt(position) === CLOSE_BRACE) return position + 1;
    for (;;) {
      const nameEnd = this.#skipString(position);
      if (nameEnd < 0) return nameEnd;
      const nameAt = position;
      position = skipSpace(text, nameEnd);
      if (text.charCodeAt(position) !== COLON) return this.#fault(position);
      const start = skipSpace(text, position + 1);
      const end = this.#skipValue(start);
      if (end < 0) return end;
      // Records of a topic usually have the same names in the same order. Then no name has to be cut out.
      const before = this.names[this.length];
      const isSame = before?.length === nameEnd - nameAt - 2 && text.startsWith(before, nameAt + 1);
      if (!isSame || before.includes('\\')) this.names[this.length] = textOfString(text, nameAt, nameEnd);
      this.starts[this.length] = start;
      this.ends[this.length] = end;
      this.length++;
      position = skipSpace(text, end);
      const next = text.charCodeAt(position);
      if (next === CLOSE_BRACE) return position + 1;
      if (next !== COMMA) return this.#fault(position);
      position = skipSpace(text, position + 1);
    }
  }

  /** @returns the end of the value. -1 at a fault */
  #skipValue(at: number): number {
    const text = this.#text;
    const first = text.charCodeAt(at);
    if (first === QUOTE) return this.#skipString(at);
    if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return this.#skipScalar(at, first);
    const within = this.#within;
    within.length = 0;
    let position = at;
    for (;;) {
      // A value begins here.
      const code = text.charCodeAt(position);
      if (code === QUOTE) {
        position = this.#skipString(position);
      } else if (code === OPEN_BRACE) {
        position = skipSpace(text, position + 1);
        if (text.charCodeAt(position) === CLOSE_BRACE) {
          position++;
        } else {
          within.push(1);
          position = this.#skipName(position);
          if (position < 0) return position;
          continue;
        }
      } else if (code === OPEN_BRACKET) {
        position = skipSpace(text, position + 1);
        if (text.charCodeAt(position) === CLOSE_BRACKET) {
          position++;
        } else {
          within.push(0);
          continue;
        }
      } else {
        position = this.#skipScalar(position, code);
      }
      if (position < 0) return position;
      // A value has ended here, and perhaps its containers.
      for (;;) {
        if (within.length === 0) return position;
        const isObject = within[within.length - 1] === 1;
        position = skipSpace(text, position);
        const next = text.charCodeAt(position);
        if (next === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
          within.pop();
          position++;
          continue;
        }
        if (next !== COMMA) return this.#fault(position);
        position = skipSpace(text, position + 1);
        if (isObject) position = this.#skipName(position);
        if (position < 0) return position;
        break;
      }
    }
  }

  #skipName(at: number): number {
    const end = this.#skipString(at);
    if (end < 0) return end;
    const colon = skipSpace(this.#text, end);
    return this.#text.charCodeAt(colon) === COLON ? skipSpace(this.#text, colon + 1) : this.#fault(colon);
  }

  #skipString(at: number): number {
    const text = this.#text;
    if (text.charCodeAt(at) !== QUOTE) return this.#fault(at);
    for (let position = at + 1; ; position++) {
      const code = text.charCodeAt(position);
      if (code === QUOTE) return position + 1;
      if (code === BACKSLASH) {
        position = this.#skipEscape(position + 1);
        if (position < 0) return position;
      } else if (!(code >= SPACE)) {
        return this.#fault(position);
      }
    }
  }

  /** @returns the index of the last character of the escape */
  #skipEscape(at: number): number {
    const text = this.#text;
    if (text[at] !== 'u') return SIMPLE_ESCAPES.has(text[at] ?? '') ? at : this.#fault(at);
    const unit = codeUnit(text, at + 1);
    if (unit < 0) return this.#fault(at);
    const isHigh = unit >= 0xd800 && unit <= 0xdbff;
    if (isHigh && text[at + 5] === '\\' && text[at + 6] === 'u') {
      const low = codeUnit(text, at + 7);
      if (low >= 0xdc00 && low <= 0xdfff) return at + 10;
    }
    if (unit >= 0xdc00 && unit <= 0xdfff) this.hasHalfCharacters = true;
    return at + 4;
  }

  #skipScalar(at: number, code: number): number {
    const text = this.#text;
    if (code === MINUS || isDigit(code)) return this.#skipNumber(at);
    for (const word of ['true', 'false', 'null']) if (text.startsWith(word, at)) return at + word.length;
    return this.#fault(at);
  }

  #skipNumber(at: number): number {
    const text = this.#text;
    let position = text.charCodeAt(at) === MINUS ? at + 1 : at;
    if (text.charCodeAt(position) === ZERO) {
      position++;
    } else {
      position = this.#skipDigits(position);
      if (position < 0) return position;
    }
    if (text.charCodeAt(position) === POINT) {
      position = this.#skipDigits(position + 1);
      if (position < 0) return position;
    }
    const exponent = text.charCodeAt(position);
    if (exponent !== UPPER_E && exponent !== LOWER_E) return position;
    const sign = text.charCodeAt(position + 1);
    return this.#skipDigits(position + (sign === PLUS || sign === MINUS ? 2 : 1));
  }

  #skipDigits(at: number): number {
    let position = at;
    while (isDigit(this.#text.charCodeAt(position))) position++;
    return position === at ? this.#fault(at) : position;
  }

  #fault(at: number): -1 {
    this.faultAt = at;
    return -1;
  }
}

const QUOTE = 34;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const POINT = 46;
const ZERO = 48;
const COLON = 58;
const UPPER_E = 69;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const LOWER_E = 101;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const SPACE = 32;

const SIMPLE_ESCAPES = new Set(['"', '\\', '/', 'b', 'f', 'n', 'r', 't']);
const KINDS: Readonly<Record<string, JsonKind>> = {
  '{': 'object',
  '[': 'array',
  '"': 'string',
  t: 'boolean',
  f: 'boolean',
  n: 'null',
};

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** The number in four hexadecimal digits at `at`. -1 if they are not digits. */
function codeUnit(text: string, at: number): number {
  const digits = text.slice(at, at + 4);
  return /^[0-9a-fA-F]{4}$/.test(digits) ? parseInt(digits, 16) : -1;
}

/*
 * The functions below need valid JSON. For anything else their results mean nothing.
 */

/** The place of a member of an object. */
export interface Member {
  /** Without escapes, one character per byte. */
  readonly name: string;
  /** Where the name's text is, including its quotes. */
  readonly nameStart: number;
  readonly nameEnd: number;
  /** Whether the name has escapes. */
  readonly escaped: boolean;
  /** The value's text is `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
}

/** The members of the object that begins at or after `at`. Empty if there is another kind of value. */
export function objectMembers(text: string, at = 0): Member[] {
  const members: Member[] = [];
  let position = skipSpace(text, at);
  if (text[position] !== '{') return members;
  position = skipSpace(text, position + 1);
  while (text[position] === '"') {
    const nameEnd = endOfString(text, position);
    const name = textOfString(text, position, nameEnd);
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = endOfValue(text, start);
    members.push({ name, nameStart: position, nameEnd, escaped: name.length !== nameEnd - position - 2, start, end });
    position = skipSpace(text, skipSpace(text, end) + 1);
  }
  return members;
}

/** Whether `holds` is true for each item of the array that begins at `at`. It gets the start and end of the item. */
export function everyItem(text: string, at: number, holds: (start: number, end: number) => boolean): boolean {
  let position = skipSpace(text, at + 1);
  while (text[position] !== ']') {
    const end = endOfValue(text, position);
    if (!holds(position, end)) return false;
    position = skipSpace(text, end);
    if (text[position] === ',') position = skipSpace(text, position + 1);
  }
  return true;
}

/**
 * The most containers around a scalar that {@link everyScalar} follows. It is ClickHouse's
 * `input_format_json_max_depth`: ClickHouse refuses deeper values.
 */
const DEPTH_MAX = 1_000;

/**
 * Whether `holds` is true for each scalar (text, number, true, false, null) of a value, in one pass. It gets the
 * scalar's start and end, and a path number. Scalars with the same path number get one type in ClickHouse: all items of
 * an array share a path, each member of an object has its own. Undefined if nothing else shares the type.
 *
 * @param ofObjects whether members with the same name in all objects of an array share a type, too
 */
export function everyScalar(
  text: string,
  start: number,
  end: number,
  ofObjects: boolean,
  holds: (start: number, end: number, path: number | undefined) => boolean,
): boolean {
  const paths: (number | undefined)[] = [];
  const objects: boolean[] = [];
  // By the outer path and the name. Whole paths as texts would grow with the square of the depth.
  const members = new Map<string, number>();
  let path: number | undefined;
  let count = 0;
  const memberOf = (outer: number, name: string): number => {
    const key = `${outer}.${name}`;
    const known = members.get(key);
    if (known === undefined) members.set(key, count);
    return known ?? count++;
  };
  for (let position = start; position < end;) {
    const character = text[position] as string;
    if (character === '[' || character === '{') {
      if (paths.length === DEPTH_MAX) return true;
      paths.push(path);
      objects.push(character === '{');
      if (character === '[') path ??= count++;
    } else if (character === ']' || character === '}') {
      objects.pop();
      path = paths.pop();
    } else if (character === ',' && objects.at(-1) === true) {
      path = paths.at(-1);
    } else if (!ENDS_SCALAR.has(character) && character !== ':') {
      const stop = endOfValue(text, position);
      const isName = objects.at(-1) === true && text[skipSpace(text, stop)] === ':';
      if (isName) {
        // If a name has escapes, ClickHouse loses the value. An empty name looks to ClickHouse like an error of the
        // table.
        if (ofObjects && (stop - position === 2 || text.slice(position, stop).includes('\\'))) return false;
        const outer = paths.at(-1);
        path = outer === undefined || !ofObjects ? undefined : memberOf(outer, text.slice(position, stop));
      } else if (!holds(position, stop, path)) {
        return false;
      }
      position = stop;
      continue;
    }
    position++;
  }
  return true;
}

/**
 * Whether some array in a value has null but no text, number, true or false. In one pass, down to {@link DEPTH_MAX}.
 *
 * @param alone whether it also counts if the array has only nulls and no array around it
 */
export function hasBareNull(text: string, start: number, end: number, alone: boolean): boolean {
  // `indexOf` on the whole text would search to the end of the record, once for each member.
  if (!text.slice(start, end).includes('null')) return false;
  // The kinds of values seen in each container around the present place.
  const met: number[] = [];
  let arrays = 0;
  for (let position = start; position < end;) {
    const character = text[position] as string;
    if (character === ']' || character === '}') {
      const found = met.pop() as number;
      if (character === ']') {
        arrays--;
        const isBare = (found & NULLS) !== 0 && (found & SCALARS) === 0;
        if (isBare && (alone || arrays > 0 || (found & CONTAINERS) !== 0)) return true;
      }
      position++;
    } else if (SEPARATORS.has(character)) {
      position++;
    } else {
      const isContainer = character === '[' || character === '{';
      const kind = isContainer ? CONTAINERS : character === 'n' ? NULLS : SCALARS;
      if (met.length > 0) met.push((met.pop() as number) | kind);
      if (isContainer) {
        if (met.length === DEPTH_MAX) return false;
        met.push(0);
        if (character === '[') arrays++;
        position++;
      } else {
        position = endOfValue(text, position);
      }
    }
  }
  return false;
}

const NULLS = 1;
const SCALARS = 2;
const CONTAINERS = 4;
const SEPARATORS = new Set([',', ':', ' ', '\n', '\r', '\t']);

/** The names of all members of all objects in a value, as they are written. In one pass. */
export function objectNames(text: string, start: number, end: number): string[] {
  const names: string[] = [];
  // Searched in the value only. In the whole text the search would go to the end of the record, once for each item.
  const value = text.slice(start, end);
  for (let at = value.indexOf('"'); at >= 0; at = value.indexOf('"', at)) {
    const stop = endOfString(value, at);
    if (value[skipSpace(value, stop)] === ':') names.push(value.slice(at + 1, stop - 1));
    at = stop;
  }
  return names;
}

/**
 * The text that a JSON pointer (RFC 6901) leads to. Undefined if there is none. Of several members with one name the
 * last counts, as in `JSON.parse`.
 */
export function textAtPointer(text: string, pointer: readonly string[]): string | undefined {
  let start = skipSpace(text, 0);
  let end = endOfValue(text, start);
  for (const token of pointer) {
    const name = latin1(token);
    const child =
      text[start] === '['
        ? arrayItem(text, start, token)
        : objectMembers(text, start).findLast((member) => member.name === name);
    if (child === undefined) return undefined;
    ({ start, end } = child);
  }
  return text.slice(start, end);
}

/** The content of the JSON string between these places (quotes included), one character per byte. */
export function textOfString(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  if (!inner.includes('\\')) return inner;
  // Escapes are ASCII, so the string's other bytes can stay as they are until the escapes are replaced.
  return inner.replace(/(?:\\u[0-9a-fA-F]{4})+|\\[^u]/g, (escapes) => latin1(JSON.parse(`"${escapes}"`) as string));
}

/** Whether a JSON text has an escape that is the second half of a character without the first. */
export function hasHalfCharacter(text: string): boolean {
  const pairs = /\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][c-fC-F][0-9a-fA-F]{2})|[^])/g;
  for (const [, half] of text.matchAll(pairs)) if (half !== undefined) return true;
  return false;
}

function arrayItem(text: string, at: number, token: string): { start: number; end: number } | undefined {
  if (!isArrayIndex(token)) return undefined;
  let item: { start: number; end: number } | undefined;
  let index = 0;
  everyItem(text, at, (start, end) => {
    if (index === Number(token)) item = { start, end };
    index++;
    return item === undefined;
  });
  return item;
}

function skipSpace(text: string, at: number): number {
  let position = at;
  for (
    let code = text.charCodeAt(position);
    code === 32 || code === 10 || code === 13 || code === 9;
    code = text.charCodeAt(position)
  )
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
