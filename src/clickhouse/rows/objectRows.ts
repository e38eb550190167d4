import { REJECTION_CODES, type Rejection } from '../../protocol/ack.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import { hasHalfCharacter, type JsonObject } from '../values/json.js';
import type { Field } from './knownFields.js';
import type { LeadingFields } from './leadingFields.js';
import type { NestedFields } from './nestedFields.js';
import { quoteLatin1 } from './quoting.js';
import type { Row } from './row.js';
import { halfCharacter, notJson, notObject, outOfRange, reservedField, unknownField } from './rowRejections.js';

interface ObjectRowParts {
  /** Reads the records' values. It is shared with what reads parts of them. */
  readonly object: JsonObject;
  readonly fields: ReadonlyMap<string, Field>;
  readonly leading: LeadingFields;
  readonly nested: NestedFields;
  readonly rejectsUnknown: boolean;
}

/**
 * Makes rows of records whose values are JSON objects, whose fields are columns. A value is read once and judged field by
 * field. If every field may stay where it is, the row is the value's own text behind the identity columns. Otherwise its
 * fields are put together anew.
 */
export class ObjectRows {
  readonly #object: JsonObject;
  readonly #fields: ReadonlyMap<string, Field>;
  readonly #leading: LeadingFields;
  readonly #nested: NestedFields;
  readonly #rejectsUnknown: boolean;

  constructor({ object, fields, leading, nested, rejectsUnknown }: ObjectRowParts) {
    this.#object = object;
    this.#fields = fields;
    this.#leading = leading;
    this.#nested = nested;
    this.#rejectsUnknown = rejectsUnknown;
  }

  rowOf(source: RecordSource, record: KafkaRecord): Row {
    if (record.value === null)
      return { code: REJECTION_CODES.notJson, message: 'the record has no value (a tombstone)' };
    const text = record.value.toString('latin1');
    const kind = this.#object.read(text);
    if (kind === undefined) return notJson(text, this.#object);
    if (kind !== 'object') return notObject(kind);
    const misplaced = this.#judge(text);
    if (typeof misplaced !== 'number') return misplaced;
    return misplaced === 0 ? this.#asItIs(source, record, text) : this.#rearranged(source, record, text);
  }

  /**
   * Checks a value's names and values. Returns a rejection, or the number of fields that cannot stay at their place.
   */
  #judge(text: string): Rejection | number {
    const object = this.#object;
    const fields = this.#fields;
    let misplaced = this.#leading.mapped.length;
    for (let index = 0; index < object.length; index++) {
      const name = object.names[index] as string;
      const field = fields.get(name);
      if (field === undefined) {
        if (this.#rejectsUnknown) return unknownField(name);
        continue;
      }
      const { kind, column, check } = field;
      if (kind === 'identity') return reservedField(column);
      if (kind === 'parent') misplaced++;
      if (kind !== 'column' && kind !== 'parent') continue;
      const start = object.starts[index] as number;
      const end = object.ends[index] as number;
      if (check?.(text, start, end) === false) return outOfRange(column);
      if (object.hasHalfCharacters && hasHalfCharacter(text.slice(start, end))) return halfCharacter(column);
    }
    return misplaced;
  }

  /** The value's own text, with the identity columns before its fields. */
  #asItIs(source: RecordSource, record: KafkaRecord, text: string): string {
    const head = `{${this.#leading.identityFields(source, record)}`;
    return head + (head.length > 1 && this.#object.length > 0 ? ',' : '') + text.slice(text.indexOf('{') + 1);
  }

  /** Every field on its own: the leading fields, then those of the value, without the ones that a mapping replaces. */
  #rearranged(source: RecordSource, record: KafkaRecord, text: string): Row {
    const object = this.#object;
    const fields = this.#fields;
    const row = this.#leading.of(source, record, text);
    if ('code' in row) return row;
    for (let index = 0; index < object.length; index++) {
      const name = object.names[index] as string;
      const kind = fields.get(name)?.kind;
      const start = object.starts[index] as number;
      if (kind === 'parent') {
        const rejection = this.#nested.add(row, text, start, name);
        if (rejection !== undefined) return rejection;
      } else if (kind !== 'mapped') {
        row.push(`${quoteLatin1(name)}:${text.slice(start, object.ends[index])}`);
      }
    }
    return `{${row.join(',')}}`;
  }
}
