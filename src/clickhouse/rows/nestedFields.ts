import { pointerTokens } from '../../lib/jsonPointer.js';
import { latin1 } from '../../lib/latin1.js';
import type { Rejection } from '../../protocol/ack.js';
import { objectMembers } from '../values/json.js';
import type { Field } from './knownFields.js';
import { quoteLatin1 } from './quoting.js';
import { notColumns, outOfRange, unknownField } from './rowRejections.js';

/** Fields that are objects whose members are columns: `{"a":{"b":1}}` is the field `a.b`. */
export class NestedFields {
  readonly #fields: ReadonlyMap<string, Field>;
  readonly #rejectsUnknown: boolean;
  /** The places in the value that mapped columns are taken from. */
  readonly #pointers: readonly (readonly string[])[];

  /** @param sources where the mapped columns are taken from */
  constructor(fields: ReadonlyMap<string, Field>, sources: readonly string[], rejectsUnknown: boolean) {
    this.#fields = fields;
    this.#rejectsUnknown = rejectsUnknown;
    this.#pointers = sources.flatMap((from) => (from.startsWith('/') ? [pointerTokens(from).map(latin1)] : []));
  }

  /**
   * Adds the members of an object as fields. Returns a rejection if one of them has no column, or does not fit into it.
   *
   * @param start where the object begins in the text
   * @param path its name, after the names of those around it
   * @param place the names that lead to it. Empty if no column is mapped from a pointer
   */
  add(into: string[], text: string, start: number, path: string, place: readonly string[]): Rejection | undefined {
    if (text[start] === '[') return this.#areMapped(place, false) ? undefined : notColumns(path);
    // It is neither an object nor null, so there is no column for it.
    if (text[start] !== '{' && text[start] !== 'n' && this.#rejectsUnknown && !this.#areMapped(place, false))
      return unknownField(path);
    for (const { name, start: from, end } of objectMembers(text, start)) {
      const inner = `${path}.${name}`;
      const field = this.#fields.get(inner);
      const innerPlace = this.#pointers.length === 0 ? place : [...place, name];
      if (field?.kind === 'column') {
        if (field.check?.(text, from, end) === false) return outOfRange(field.column);
        into.push(`${quoteLatin1(inner)}:${text.slice(from, end)}`);
      } else if (field?.kind === 'parent' && text[from] !== 'n') {
        const rejection = this.add(into, text, from, inner, innerPlace);
        if (rejection !== undefined) return rejection;
      } else if ((field === undefined || field.kind === 'source') && this.#rejectsUnknown) {
        const isContainer = text[from] === '{' || text[from] === '[';
        if (!this.#areMapped(innerPlace, isContainer)) return unknownField(inner);
      }
    }
    return undefined;
  }

  /** Whether mapped columns use the value at this place: all of it, or, for an object or array, perhaps a part. */
  #areMapped(place: readonly string[], mayBePart: boolean): boolean {
    return this.#pointers.some(
      (pointer) =>
        (mayBePart || pointer.length <= place.length) &&
        pointer.slice(0, place.length).every((token, index) => token === place[index]),
    );
  }
}
