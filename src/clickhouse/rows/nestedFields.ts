import type { Rejection } from '../../protocol/ack.js';
import { pointersOf, type ColumnSource } from '../../protocol/columnSource.js';
import { endOfValue, everyMember, textOfString } from '../values/jsonText.js';
import { JsonPointers, type JsonPlace } from '../values/jsonPointers.js';
import type { Field } from './knownFields.js';
import { quoteLatin1 } from './quoting.js';
import { notColumns, unknownField } from './rowRejections.js';
import type { UnknownFields } from './unknownFields.js';
import type { UnknownMembers } from './unknownMembers.js';

/** Fields that are objects whose members are columns: `{"a":{"b":1}}` is the field `a.b`. */
export class NestedFields {
  readonly #fields: ReadonlyMap<string, Field>;
  readonly #rejectsUnknown: boolean;
  readonly #members: UnknownMembers;
  readonly #unknown: UnknownFields | undefined;
  /** The places in the value that mapped columns are taken from. */
  readonly #pointers = new JsonPointers();

  /**
   * @param sources where the mapped columns are taken from
   * @param members says why a check refused a value
   * @param unknown gathers what has no column. Undefined: it is left out, or rejected
   */
  constructor(
    fields: ReadonlyMap<string, Field>,
    sources: readonly ColumnSource[],
    rejectsUnknown: boolean,
    members: UnknownMembers,
    unknown?: UnknownFields,
  ) {
    this.#members = members;
    this.#fields = fields;
    this.#unknown = unknown;
    this.#rejectsUnknown = rejectsUnknown;
    for (const pointer of sources.flatMap(pointersOf)) this.#pointers.add(pointer);
  }

  /**
   * Adds the members of an object as fields. Returns a rejection if one of them has no column, or does not fit into it.
   *
   * @param start where the object begins in the text
   * @param name its name
   */
  add(into: string[], text: string, start: number, name: string): Rejection | undefined {
    return this.#add(into, text, start, name, this.#pointers.root.inner.get(name));
  }

  /**
   * @param path the object's name, after the names of those around it
   * @param place its place, or the one around it that a mapped column takes as a whole. Undefined if there is neither
   */
  #add(into: string[], text: string, start: number, path: string, place: JsonPlace | undefined): Rejection | undefined {
    if (text[start] === '[') return isMapped(place, false) ? undefined : notColumns(path);
    // It is neither an object nor null, so there is no column for it.
    if (text[start] !== '{' && text[start] !== 'n' && !isMapped(place, false)) {
      if (this.#rejectsUnknown) return unknownField(path);
      return this.#unknown?.add(path, text.slice(start, endOfValue(text, start)));
    }
    let rejection: Rejection | undefined;
    everyMember(text, start, (nameStart, nameEnd, from, end) => {
      const name = textOfString(text, nameStart, nameEnd);
      const inner = `${path}.${name}`;
      const field = this.#fields.get(inner);
      if (field?.kind === 'column') {
        if (field.check?.(text, from, end) === false) rejection = this.#members.rejection(field.column);
        else into.push(`${quoteLatin1(inner)}:${text.slice(from, end)}`);
      } else if (field?.kind === 'parent' && text[from] !== 'n') {
        rejection = this.#add(into, text, from, inner, placeBelow(place, name));
      } else if (field === undefined || field.kind === 'source') {
        const isContainer = text[from] === '{' || text[from] === '[';
        if ((this.#rejectsUnknown || this.#unknown !== undefined) && !isMapped(placeBelow(place, name), isContainer)) {
          rejection = this.#rejectsUnknown ? unknownField(inner) : this.#unknown?.add(inner, text.slice(from, end));
        }
      }
      return rejection === undefined;
    });
    return rejection;
  }
}

function placeBelow(place: JsonPlace | undefined, name: string): JsonPlace | undefined {
  return place?.isEnd === true ? place : place?.inner.get(name);
}

/** Whether mapped columns use the value at this place: all of it, or, for an object or array, perhaps a part. */
function isMapped(place: JsonPlace | undefined, mayBePart: boolean): boolean {
  return place !== undefined && (mayBePart || place.isEnd);
}
