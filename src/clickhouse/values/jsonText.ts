/*
 * Finds the parts of a JSON text, so that a value can be checked and passed on as it was written. JavaScript values
 * would lose digits of large integers and decimals, repeated names, and the information whether a name had escapes.
 *
 * A text has one character per byte of the JSON (`latin1`), so that bytes which are no UTF-8 are not changed. It has to be
 * valid JSON, see `JsonObject`. For anything else the results mean nothing.
 *
 * It is one file, because values are read here byte by byte: V8 reads constants and functions of another module more
 * slowly than its own.
 */

const QUOTE = 34;
const COMMA = 44;
const COLON = 58;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const LOWER_N = 110;
const LOWER_U = 117;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

// ── Members and items ──────────────────────────────────────────────────────────────────────────────────────────────

/** The place of a member of an object. */
export interface Member {
  /** Without escapes, one character per byte. */
  readonly name: string;
  /** The value's text is `text.slice(start, end)`. */
  readonly start: number;
  readonly end: number;
}

/** The members of the object that a text is. Empty if it is another kind of value. */
export function objectMembers(text: string): Member[] {
  const members: Member[] = [];
  everyMember(text, skipSpace(text, 0), (nameStart, nameEnd, start, end) => {
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

/** The number in four hexadecimal digits at `at`. */
function codeUnit(text: string, at: number): number {
  return parseInt(text.slice(at, at + 4), 16);
}

/**
 * The character whose first four hexadecimal digits are at `at`. It is over 0xffff if a second escape follows that
 * completes it.
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
