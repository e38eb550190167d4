import { isArrayIndex, pointerTokens } from '../../lib/jsonPointer.js';
import { latin1 } from '../../lib/latin1.js';
import { endOfString, endOfValue, skipSpace, textOfString } from './jsonText.js';

/** A place in JSON values that a pointer leads to or through. Made by {@link JsonPointers.add}. */
export class JsonPlace {
  /** The places of members and items, by their tokens, one character per byte. */
  readonly inner = new Map<string, JsonPlace>();
  /** Whether a pointer ends here. */
  isEnd = false;
  /** The value's text is `text.slice(start, end)`. -1 if there is none. */
  start = -1;
  end = -1;
  readonly #outer: JsonPlace | undefined;
  /** Places of items, by index. */
  readonly #items = new Map<number, JsonPlace>();
  /** The largest index of an item that has a place. */
  #lastItem = -1;
  /** The lengths of the members' names in bytes. */
  readonly #lengths = new Set<number>();

  constructor(outer?: JsonPlace) {
    this.#outer = outer;
  }

  isWithinOuter(): boolean {
    const outerStart = this.#outer?.start ?? -1;
    return outerStart >= 0 && this.start > outerStart;
  }

  add(token: string): JsonPlace {
    const name = latin1(token);
    const place = new JsonPlace(this);
    this.inner.set(name, place);
    this.#lengths.add(name.length);
    if (isArrayIndex(token)) {
      this.#items.set(Number(token), place);
      this.#lastItem = Math.max(this.#lastItem, Number(token));
    }
    return place;
  }

  /** The place of the member whose name, with its quotes, is here. It cuts out only names that may have a place. */
  member(text: string, nameStart: number, nameEnd: number): JsonPlace | undefined {
    const mayHavePlace = this.#lengths.has(nameEnd - nameStart - 2) || hasEscape(text, nameStart, nameEnd);
    return mayHavePlace ? this.inner.get(textOfString(text, nameStart, nameEnd)) : undefined;
  }

  item(index: number): JsonPlace | undefined {
    return index > this.#lastItem ? undefined : this.#items.get(index);
  }
}

/**
 * Finds the values that JSON pointers (RFC 6901) lead to, in one pass for all pointers. What no pointer leads to is
 * skipped, and no object is made for it. So the time depends on the size of the text, not on the number of pointers.
 *
 * The texts are valid JSON, with one character per byte.
 */
export class JsonPointers {
  /** The whole value. */
  readonly root = new JsonPlace();
  /** All others, each after the one around it. */
  readonly #places: JsonPlace[] = [];
  #text = '';

  /** @returns where {@link textAt} finds the value */
  add(pointer: string): JsonPlace {
    let place = this.root;
    for (const token of pointerTokens(pointer)) {
      const known = place.inner.get(latin1(token));
      const next = known ?? place.add(token);
      if (known === undefined) this.#places.push(next);
      place = next;
    }
    place.isEnd = true;
    return place;
  }

  /** Whether there are any pointers. */
  get isUsed(): boolean {
    return this.#places.length > 0;
  }

  /** Finds all values. Of several members with one name the last counts, as in `JSON.parse`. */
  read(text: string): void {
    if (!this.isUsed) return;
    this.#text = text;
    for (const place of this.#places) place.start = -1;
    this.#find(this.root, skipSpace(text, 0));
    // What was found in a member that came again does not count.
    for (const place of this.#places) if (!place.isWithinOuter()) place.start = -1;
  }

  /** The text of the value in the text that was read last. Undefined if there is none. */
  textAt({ start, end }: JsonPlace): string | undefined {
    return start < 0 ? undefined : this.#text.slice(start, end);
  }

  /** @returns the end of the value */
  #find(place: JsonPlace, start: number): number {
    const text = this.#text;
    place.start = start;
    const opening = place.inner.size === 0 ? '' : text[start];
    if (opening === '{') place.end = this.#findMembers(place, start);
    else if (opening === '[') place.end = this.#findItems(place, start);
    else place.end = endOfValue(text, start);
    return place.end;
  }

  #findMembers(place: JsonPlace, at: number): number {
    const text = this.#text;
    let position = skipSpace(text, at + 1);
    while (text[position] === '"') {
      const nameEnd = endOfString(text, position);
      const member = place.member(text, position, nameEnd);
      const start = skipSpace(text, skipSpace(text, nameEnd) + 1);
      const end = skipSpace(text, member === undefined ? endOfValue(text, start) : this.#find(member, start));
      if (text[end] === '}') return end + 1;
      position = skipSpace(text, end + 1);
    }
    return position + 1;
  }

  #findItems(place: JsonPlace, at: number): number {
    const text = this.#text;
    let position = skipSpace(text, at + 1);
    for (let index = 0; text[position] !== ']'; index++) {
      const item = place.item(index);
      position = skipSpace(text, item === undefined ? endOfValue(text, position) : this.#find(item, position));
      if (text[position] === ',') position = skipSpace(text, position + 1);
    }
    return position + 1;
  }
}

function hasEscape(text: string, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (text[at] === '\\') return true;
  return false;
}
