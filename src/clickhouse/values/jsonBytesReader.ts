/*
 * Reads bytes that may be no JSON, in their place in a larger buffer, and finds the members of an object.
 *
 * Every byte of every record passes through this file. So it reads the bytes themselves, which takes half as long as
 * reading the characters of a text, and has its own constants: V8 reads those of another module more slowly.
 */

import { textOfString } from './jsonText.js';

/** The kind of a JSON value. */
export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/**
 * The members of one object, in order. The instance is reused for each value, so a record creates no object of its own.
 *
 * `read` accepts exactly what `JSON.parse` accepts, in linear time and at any depth. All places are counted from the
 * first byte of the value.
 */
export class JsonObject {
  /** Names without escapes, one character per byte. Like the other lists, valid up to {@link length}. */
  readonly names: string[] = [];
  /** The value of a member is between its start and its end. */
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  length = 0;
  /** The first byte that is no white space. */
  start = 0;
  /**
   * Whether an escape is the second half of a character (`\udc00`), which UTF-8 cannot represent. ClickHouse itself
   * refuses only first halves.
   */
  hasHalfCharacters = false;
  /** The place of the fault, after one. */
  faultAt = 0;

  #bytes: Buffer = NOTHING;
  /** The value is between these places of the bytes. */
  #from = 0;
  #to = 0;
  readonly #knownNames = new KnownNames();
  /** The containers around the present place: 1 for an object, 0 for an array. */
  readonly #within: number[] = [];

  /**
   * Reads the value between two places.
   *
   * @returns the kind of the value. Undefined if it is not JSON, see {@link faultAt}
   */
  read(bytes: Buffer, from = 0, to = bytes.length): JsonKind | undefined {
    this.#bytes = bytes;
    this.#from = from;
    this.#to = to;
    this.length = 0;
    this.hasHalfCharacters = false;
    this.faultAt = 0;
    const start = skipSpace(bytes, from, to);
    this.start = start - from;
    const first = start < to ? (bytes[start] as number) : END;
    const end = first === OPEN_BRACE ? this.#readMembers(start) : this.#skipValue(start);
    if (end < 0) return undefined;
    const rest = skipSpace(bytes, end, to);
    if (rest === to) return KINDS[first] ?? 'number';
    this.#fault(rest);
    return undefined;
  }

  #readMembers(at: number): number {
    const bytes = this.#bytes;
    const from = this.#from;
    const to = this.#to;
    const known = this.#knownNames;
    known.begin();
    let position = skipSpace(bytes, at + 1, to);
    if (position < to && bytes[position] === CLOSE_BRACE) return position + 1;
    for (let index = 0; ; index++) {
      let nameEnd = known.read(bytes, position, to);
      if (nameEnd < 0) {
        nameEnd = this.#skipString(position);
        if (nameEnd < 0) return nameEnd;
        this.names[index] = textOfString(bytes.toString('latin1', position, nameEnd), 0, nameEnd - position);
      } else {
        this.names[index] = known.name;
      }
      position = skipSpace(bytes, nameEnd, to);
      if (position >= to || bytes[position] !== COLON) return this.#fault(position);
      const start = skipSpace(bytes, position + 1, to);
      const end = this.#skipValue(start);
      if (end < 0) return end;
      this.starts[index] = start - from;
      this.ends[index] = end - from;
      this.length = index + 1;
      position = skipSpace(bytes, end, to);
      const next = position < to ? bytes[position] : END;
      if (next === CLOSE_BRACE) return position + 1;
      if (next !== COMMA) return this.#fault(position);
      position = skipSpace(bytes, position + 1, to);
    }
  }

  /** @returns the end of the value. -1 at a fault */
  #skipValue(at: number): number {
    const bytes = this.#bytes;
    const to = this.#to;
    const first = at < to ? (bytes[at] as number) : END;
    if (first === QUOTE) return this.#skipString(at);
    if (first !== OPEN_BRACE && first !== OPEN_BRACKET) return this.#skipScalar(at, first);
    const within = this.#within;
    within.length = 0;
    let position = at;
    for (;;) {
      // A value begins here.
      const code = position < to ? (bytes[position] as number) : END;
      if (code === QUOTE) {
        position = this.#skipString(position);
      } else if (code === OPEN_BRACE) {
        position = skipSpace(bytes, position + 1, to);
        if (position < to && bytes[position] === CLOSE_BRACE) {
          position++;
        } else {
          within.push(1);
          position = this.#skipName(position);
          if (position < 0) return position;
          continue;
        }
      } else if (code === OPEN_BRACKET) {
        position = skipSpace(bytes, position + 1, to);
        if (position < to && bytes[position] === CLOSE_BRACKET) {
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
        position = skipSpace(bytes, position, to);
        const next = position < to ? bytes[position] : END;
        if (next === (isObject ? CLOSE_BRACE : CLOSE_BRACKET)) {
          within.pop();
          position++;
          continue;
        }
        if (next !== COMMA) return this.#fault(position);
        position = skipSpace(bytes, position + 1, to);
        if (isObject) position = this.#skipName(position);
        if (position < 0) return position;
        break;
      }
    }
  }

  #skipName(at: number): number {
    const bytes = this.#bytes;
    const to = this.#to;
    const end = this.#skipString(at);
    if (end < 0) return end;
    const colon = skipSpace(bytes, end, to);
    return colon < to && bytes[colon] === COLON ? skipSpace(bytes, colon + 1, to) : this.#fault(colon);
  }

  #skipString(at: number): number {
    const bytes = this.#bytes;
    const to = this.#to;
    if (at >= to || bytes[at] !== QUOTE) return this.#fault(at);
    for (let position = at + 1; position < to; position++) {
      const code = bytes[position] as number;
      if (code === QUOTE) return position + 1;
      if (code === BACKSLASH) {
        position = this.#skipEscape(position + 1);
        if (position < 0) return position;
      } else if (code < SPACE) {
        return this.#fault(position);
      }
    }
    return this.#fault(to);
  }

  /** @returns the place of the last byte of the escape */
  #skipEscape(at: number): number {
    const code = at < this.#to ? (this.#bytes[at] as number) : END;
    if (code !== LOWER_U) return SIMPLE_ESCAPES.has(code) ? at : this.#fault(at);
    const unit = this.#codeUnit(at + 1);
    if (unit < 0) return this.#fault(at);
    if (isFirstHalf(unit) && this.#isSecondHalfAt(at + 5)) return at + 10;
    if (isSecondHalf(unit)) this.hasHalfCharacters = true;
    return at + 4;
  }

  /** Whether an escape at this place is the second half of a character. */
  #isSecondHalfAt(at: number): boolean {
    const bytes = this.#bytes;
    return (
      at + 1 < this.#to && bytes[at] === BACKSLASH && bytes[at + 1] === LOWER_U && isSecondHalf(this.#codeUnit(at + 2))
    );
  }

  /** The number in four hexadecimal digits. -1 if they are not digits. */
  #codeUnit(at: number): number {
    if (at + 4 > this.#to) return -1;
    let unit = 0;
    for (let position = at; position < at + 4; position++) {
      const digit = hexadecimal(this.#bytes[position] as number);
      if (digit < 0) return -1;
      unit = unit * 16 + digit;
    }
    return unit;
  }

  #skipScalar(at: number, code: number): number {
    if (code === MINUS || isDigit(code)) return this.#skipNumber(at);
    const word = WORDS.get(code);
    if (word === undefined || at + word.length > this.#to) return this.#fault(at);
    for (let index = 0; index < word.length; index++)
      if (this.#bytes[at + index] !== word[index]) return this.#fault(at);
    return at + word.length;
  }

  #skipNumber(at: number): number {
    const bytes = this.#bytes;
    const to = this.#to;
    let position = bytes[at] === MINUS ? at + 1 : at;
    if (position < to && bytes[position] === ZERO) {
      position++;
    } else {
      position = this.#skipDigits(position);
      if (position < 0) return position;
    }
    if (position < to && bytes[position] === POINT) {
      position = this.#skipDigits(position + 1);
      if (position < 0) return position;
    }
    if (position >= to || (bytes[position] !== UPPER_E && bytes[position] !== LOWER_E)) return position;
    const sign = position + 1 < to ? bytes[position + 1] : END;
    return this.#skipDigits(position + (sign === PLUS || sign === MINUS ? 2 : 1));
  }

  #skipDigits(at: number): number {
    const bytes = this.#bytes;
    const to = this.#to;
    let position = at;
    while (position < to && isDigit(bytes[position] as number)) position++;
    return position === at ? this.#fault(at) : position;
  }

  #fault(at: number): -1 {
    this.faultAt = at - this.#from;
    return -1;
  }
}

/**
 * The names that members had before. Records of a topic usually have the same names in the same order, and some leave
 * some out. Then no name has to be cut out again.
 *
 * Names with escapes are not kept. {@link JsonObject} has to see each escape, because it may be half of a character.
 */
class KnownNames {
  /** The last name that was read, one character per byte. */
  name = '';
  readonly #names: string[] = [];
  /** Each of them as it was written, with its quotes. */
  readonly #written: Buffer[] = [];
  /** A hash table: the index of each name plus one, at the place of its hash or one of the next. 0 if a place is free. */
  readonly #places = new Uint16Array(PLACES);
  /** The name that is expected next. */
  #next = 0;
  /** Characters of the present object, between these places of the bytes. */
  #text = '';
  #textFrom = 0;
  #textTo = 0;

  /** A new object begins. */
  begin(): void {
    this.#next = 0;
    this.#textTo = 0;
  }

  /** @returns the end of the name that begins here. -1 if it is no name, is very long, or has escapes */
  read(bytes: Buffer, at: number, to: number): number {
    const next = this.#next;
    if (next < this.#names.length) {
      const end = endOfSame(this.#written[next] as Buffer, bytes, at, to);
      if (end >= 0) {
        this.#next = next + 1;
        this.name = this.#names[next] as string;
        return end;
      }
    }
    return this.#readUnexpected(bytes, at, to);
  }

  #readUnexpected(bytes: Buffer, at: number, to: number): number {
    if (at >= to || bytes[at] !== QUOTE) return -1;
    const last = Math.min(to, at + NAME_BYTES_MAX);
    let hash = 0;
    for (let position = at + 1; position < last; position++) {
      const code = bytes[position] as number;
      if (code === QUOTE) {
        this.#find(bytes, at, position + 1, to, hash);
        return position + 1;
      }
      if (code === BACKSLASH || code < SPACE) return -1;
      hash = (Math.imul(hash, 31) + code) | 0;
    }
    return -1;
  }

  /** Finds the name between these places, or keeps it. */
  #find(bytes: Buffer, start: number, end: number, to: number, hash: number): void {
    const places = this.#places;
    let place = (hash ^ (hash >>> 12)) & (PLACES - 1);
    for (let tries = PLACES_TRIED; tries > 0; tries--, place = (place + 1) & (PLACES - 1)) {
      const index = (places[place] as number) - 1;
      if (index < 0) {
        if (this.#names.length === KNOWN_NAMES_MAX) break;
        this.name = bytes.toString('latin1', start + 1, end - 1);
        this.#next = places[place] = this.#names.push(this.name);
        this.#written.push(Buffer.from(bytes.subarray(start, end)));
        return;
      }
      // The quote at its end tells it from a name that goes on.
      if (endOfSame(this.#written[index] as Buffer, bytes, start, end) < 0) continue;
      this.#next = index + 1;
      this.name = this.#names[index] as string;
      return;
    }
    this.name = this.#cutOut(bytes, start + 1, end - 1, to);
  }

  /** Cuts a name out of a longer text. To make a text takes longer than to cut it, and such names rarely come alone. */
  #cutOut(bytes: Buffer, start: number, end: number, to: number): string {
    if (end > this.#textTo) {
      this.#textFrom = start;
      this.#textTo = Math.min(to, start + TEXT_BYTES);
      this.#text = bytes.toString('latin1', start, this.#textTo);
    }
    return this.#text.slice(start - this.#textFrom, end - this.#textFrom);
  }
}

/** Names may be anything in objects that are used as maps. */
const KNOWN_NAMES_MAX = 1_000;

/** Bytes of a name that is kept, with its quotes, at most. */
const NAME_BYTES_MAX = 256;

/** A power of two. With four times as many places as names, nearly every name finds a free one. */
const PLACES = 4_096;

/** So many places are tried for a name, from that of its hash on. A producer could choose names of the same hash. */
const PLACES_TRIED = 4;

/** More than {@link NAME_BYTES_MAX}. Bounded, because a name keeps the text alive that it is cut out of. */
const TEXT_BYTES = 1_024;

/** The end of what is written here, if it is the same. Otherwise -1. */
function endOfSame(written: Buffer, bytes: Buffer, at: number, to: number): number {
  const { length } = written;
  if (at + length > to) return -1;
  for (let index = 0; index < length; index++) if (bytes[at + index] !== written[index]) return -1;
  return at + length;
}

/** Stands for the byte after the last one. */
const END = -1;
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
const LOWER_U = 117;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
const QUOTE = 34;
const SPACE = 32;

const NOTHING = Buffer.alloc(0);

const SIMPLE_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'));

const WORDS: ReadonlyMap<number, Uint8Array> = new Map(
  ['true', 'false', 'null'].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
);

/** By the first byte of the value. */
const KINDS: Readonly<Record<number, JsonKind>> = {
  [OPEN_BRACE]: 'object',
  [OPEN_BRACKET]: 'array',
  [QUOTE]: 'string',
  116: 'boolean',
  102: 'boolean',
  110: 'null',
};

/** The first place at or after `at` that is no white space. */
function skipSpace(bytes: Buffer, at: number, to: number): number {
  let position = at;
  while (position < to) {
    const code = bytes[position] as number;
    if (code > SPACE || (code !== SPACE && code !== 10 && code !== 13 && code !== 9)) break;
    position++;
  }
  return position;
}

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** The value of a hexadecimal digit. -1 if it is none. */
function hexadecimal(code: number): number {
  if (isDigit(code)) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

function isFirstHalf(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isSecondHalf(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
