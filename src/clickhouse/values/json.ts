/*
 * Finds the parts of a JSON text, so that a value can be checked and passed on as it was written. JavaScript values
 * would lose digits of large integers and decimals, repeated names, and the information whether a name had escapes.
 *
 * A text has one character per byte of the JSON (`latin1`), so that bytes which are no UTF-8 are not changed.
 *
 * It is one file, because every byte of every record passes through it: V8 reads constants and functions of another module
 * more slowly than its own. Divided into four modules, this took 4 to 7 % more processor time.
 */

// ── Reading text that may be no JSON ───────────────────────────────────────────────────────────────────────────────

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
    const character = characterAt(text, at + 1);
    if (character < 0) return this.#fault(at);
    if (character > 0xffff) return at + 10;
    if (isSecondHalf(character)) this.hasHalfCharacters = true;
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
const LOWER_N = 110;
const LOWER_U = 117;
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

/*
 * The functions below need valid JSON. For anything else their results mean nothing.
 */

// ── Members and items ──────────────────────────────────────────────────────────────────────────────────────────────

/** The place of a member of an object. */
export interface Member {
  /** Without escapes, one character per byte. */
  readonly name: string;
  /** The value's text is `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
}

/** The members of the object that begins at or after `at`. Empty if there is another kind of value. */
export function objectMembers(text: string, at = 0): Member[] {
  const members: Member[] = [];
  everyMember(text, skipSpace(text, at), (nameStart, nameEnd, start, end) => {
    members.push({ name: textOfString(text, nameStart, nameEnd), start, end });
    return true;
  });
  return members;
}

/**
 * Whether `holds` is true for each member of the object that begins at `at`. It gets the places of the name, with its
 * quotes, and of the value. True if another kind of value is there. It makes no object for a member, because a record may
 * have millions.
 */
export function everyMember(
  text: string,
  at: number,
  holds: (nameStart: number, nameEnd: number, start: number, end: number) => boolean,
): boolean {
  if (text.charCodeAt(at) !== OPEN_BRACE) return true;
  let position = skipSpace(text, at + 1);
  while (text.charCodeAt(position) === QUOTE) {
    const nameEnd = endOfString(text, position);
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
    const end = endOfValue(text, start);
    if (!holds(position, nameEnd, start, end)) return false;
    position = skipSpace(text, skipSpace(text, end) + 1);
  }
  return true;
}

/** Whether `holds` is true for each item of the array that begins at `at`. It gets the start and end of the item. */
export function everyItem(text: string, at: number, holds: (start: number, end: number) => boolean): boolean {
  let position = skipSpace(text, at + 1);
  while (text.charCodeAt(position) !== CLOSE_BRACKET) {
    const end = endOfValue(text, position);
    if (!holds(position, end)) return false;
    position = skipSpace(text, end);
    if (text.charCodeAt(position) === COMMA) position = skipSpace(text, position + 1);
  }
  return true;
}

// ── Whole trees ────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The most containers around a scalar that {@link everyScalar} follows. It is ClickHouse's
 * `input_format_json_max_depth`: ClickHouse refuses deeper values.
 */
const DEPTH_MAX = 1_000;

/**
 * Whether `holds` is true for each scalar (text, number, true, false, null) of a value, in one pass. It gets the text,
 * the scalar's start and end, and a path number. Scalars with the same path number get one type in ClickHouse: all items
 * of an array share a path, each member of an object has its own. Undefined if nothing else shares the type.
 *
 * @param ofObjects whether members with the same name in all objects of an array share a type, too
 * @param holds must not call this function
 */
export function everyScalar(
  text: string,
  start: number,
  end: number,
  ofObjects: boolean,
  holds: (text: string, start: number, end: number, path: number | undefined) => boolean,
): boolean {
  if (!isContainer(text.charCodeAt(start))) return holds(text, start, endOfValue(text, start), undefined);
  const paths = outerPaths;
  const objects = outerObjects;
  paths.length = 0;
  objects.length = 0;
  // By the outer path and the name. Whole paths as texts would grow with the square of the depth.
  let members: Map<string, number> | undefined;
  let path: number | undefined;
  let count = 0;
  for (let position = start; position < end;) {
    const code = text.charCodeAt(position);
    if (isContainer(code)) {
      if (paths.length === DEPTH_MAX) return true;
      paths.push(path);
      objects.push(code === OPEN_BRACE);
      if (code === OPEN_BRACKET) path ??= count++;
    } else if (code === CLOSE_BRACKET || code === CLOSE_BRACE) {
      objects.pop();
      path = paths.pop();
    } else if (code === COMMA && objects[objects.length - 1] === true) {
      path = paths[paths.length - 1];
    } else if (code !== COLON && !endsScalar(code)) {
      const stop = endOfValue(text, position);
      const isName = objects[objects.length - 1] === true && text.charCodeAt(skipSpace(text, stop)) === COLON;
      if (isName) {
        // If a name has escapes, ClickHouse loses the value. An empty name looks to ClickHouse like an error of the
        // table.
        if (ofObjects && (stop - position === 2 || text.slice(position, stop).includes('\\'))) return false;
        const outer = paths[paths.length - 1];
        if (outer === undefined || !ofObjects) {
          path = undefined;
        } else {
          members ??= new Map();
          const member = `${outer}.${text.slice(position, stop)}`;
          path = members.get(member);
          if (path === undefined) members.set(member, (path = count++));
        }
      } else if (!holds(text, position, stop, path)) {
        return false;
      }
      position = stop;
      continue;
    }
    position++;
  }
  return true;
}

/*
 * The containers around the present place. They are kept, because a record may have millions of values that are checked
 * one by one.
 */
const outerPaths: (number | undefined)[] = [];
const outerObjects: boolean[] = [];
const outerKinds: number[] = [];

/**
 * Whether some array in a value has null but no text, number, true or false. In one pass, down to {@link DEPTH_MAX}.
 *
 * @param alone whether it also counts if the array has only nulls and no array around it
 */
export function hasBareNull(text: string, start: number, end: number, alone: boolean): boolean {
  if (end - start < '[null]'.length || !isContainer(text.charCodeAt(start))) return false;
  // `indexOf` on the whole text would search to the end of the record, once for each member.
  if (!text.slice(start, end).includes('null')) return false;
  // The kinds of values seen in each container.
  const met = outerKinds;
  met.length = 0;
  let arrays = 0;
  for (let position = start; position < end;) {
    const code = text.charCodeAt(position);
    if (code === CLOSE_BRACKET || code === CLOSE_BRACE) {
      const found = met.pop() as number;
      if (code === CLOSE_BRACKET) {
        arrays--;
        const isBare = (found & NULLS) !== 0 && (found & SCALARS) === 0;
        if (isBare && (alone || arrays > 0 || (found & CONTAINERS) !== 0)) return true;
      }
      position++;
    } else if (code === COLON || endsScalar(code)) {
      position++;
    } else {
      const opens = isContainer(code);
      const kind = opens ? CONTAINERS : code === LOWER_N ? NULLS : SCALARS;
      if (met.length > 0) met.push((met.pop() as number) | kind);
      if (opens) {
        if (met.length === DEPTH_MAX) return false;
        met.push(0);
        if (code === OPEN_BRACKET) arrays++;
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

/**
 * The different names of all members of all objects in a value, as they are written. In one pass, which ends as soon as
 * there are more than `max`.
 */
export function objectNames(text: string, start: number, end: number, max: number): ReadonlySet<string> {
  if (end - start < '{"":1}'.length || !isContainer(text.charCodeAt(start))) return NO_NAMES;
  // Searched in the value only. In the whole text the search would go to the end of the record, once for each item.
  const value = text.slice(start, end);
  let names: Set<string> | undefined;
  for (let at = value.indexOf('"'); at >= 0; at = value.indexOf('"', at)) {
    const stop = endOfString(value, at);
    if (value.charCodeAt(skipSpace(value, stop)) === COLON) {
      names ??= new Set();
      if (names.add(value.slice(at + 1, stop - 1)).size > max) break;
    }
    at = stop;
  }
  return names ?? NO_NAMES;
}

const NO_NAMES: ReadonlySet<string> = new Set();

// ── Strings ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The content of the JSON string between these places (quotes included), one character per byte. */
export function textOfString(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  if (!inner.includes('\\')) return inner;
  // No escape is shorter than what it stands for. Escapes are ASCII, so the string's other bytes stay as they are. A text
  // may have millions of escapes, so there is no object for each.
  const bytes = Buffer.allocUnsafe(inner.length);
  let length = 0;
  for (let at = 0; at < inner.length; at++) {
    const code = inner.charCodeAt(at);
    if (code !== BACKSLASH) {
      bytes[length++] = code;
    } else if (inner.charCodeAt(++at) === LOWER_U) {
      const character = characterAt(inner, at + 1);
      at += character > 0xffff ? 10 : 4;
      length += bytes.write(String.fromCodePoint(character), length);
    } else {
      const escape = inner[at] as string;
      bytes[length++] = CONTROLS[escape] ?? escape.charCodeAt(0);
    }
  }
  return bytes.toString('latin1', 0, length);
}

/** What escapes of one letter stand for. All others stand for themselves. */
const CONTROLS: Readonly<Record<string, number>> = { b: 8, f: 12, n: 10, r: 13, t: 9 };

/** The number in four hexadecimal digits at `at`. -1 if they are not digits. */
function codeUnit(text: string, at: number): number {
  const digits = text.slice(at, at + 4);
  return /^[0-9a-fA-F]{4}$/.test(digits) ? parseInt(digits, 16) : -1;
}

/**
 * The character whose first four hexadecimal digits are at `at`. It is over 0xffff if a second escape follows that
 * completes it. -1 if they are not digits.
 */
function characterAt(text: string, at: number): number {
  const unit = codeUnit(text, at);
  if (!isFirstHalf(unit) || text[at + 4] !== '\\' || text[at + 5] !== 'u') return unit;
  const low = codeUnit(text, at + 6);
  return isSecondHalf(low) ? 0x10000 + (unit - 0xd800) * 0x400 + low - 0xdc00 : unit;
}

/** Whether a JSON text has an escape that is the second half of a character without the first. */
export function hasHalfCharacter(text: string): boolean {
  for (let at = text.indexOf('\\'); at >= 0; at = text.indexOf('\\', at)) {
    if (text.charCodeAt(at + 1) === LOWER_U) {
      const character = characterAt(text, at + 2);
      if (isSecondHalf(character)) return true;
      at += character > 0xffff ? 12 : 6;
    } else {
      at += 2;
    }
  }
  return false;
}

function isFirstHalf(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isSecondHalf(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

// ── Where things end ───────────────────────────────────────────────────────────────────────────────────────────────

/** The first place at or after `at` that is no white space. */
export function skipSpace(text: string, at: number): number {
  let position = at;
  for (
    let code = text.charCodeAt(position);
    code === 32 || code === 10 || code === 13 || code === 9;
    code = text.charCodeAt(position)
  )
    position++;
  return position;
}

/** The end of the string that begins at `at`. */
export function endOfString(text: string, at: number): number {
  let position = at + 1;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    position = quote + 1;
    if (backslashes % 2 === 0) return position;
  }
}

/** The end of the value that begins at `at`. */
export function endOfValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return endOfString(text, at);
  if (isContainer(first)) return endOfContainer(text, at);
  let position = at;
  while (position < text.length && !endsScalar(text.charCodeAt(position))) position++;
  return position;
}

function isContainer(code: number): boolean {
  return code === OPEN_BRACE || code === OPEN_BRACKET;
}

function endsScalar(code: number): boolean {
  return (
    code === COMMA ||
    code === CLOSE_BRACE ||
    code === CLOSE_BRACKET ||
    code === 32 ||
    code === 10 ||
    code === 13 ||
    code === 9
  );
}

function endOfContainer(text: string, at: number): number {
  let depth = 0;
  for (let position = at; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === QUOTE) position = endOfString(text, position) - 1;
    else if (isContainer(code)) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return position + 1;
    }
  }
  return text.length;
}
