import type { Rejection } from '../../protocol/ack.js';
import type { KafkaRecord, RecordSource } from '../../protocol/record.js';
import type { NewFields } from '../evolve/newFields.js';
import type { RowBlocks } from '../rowBlocks.js';
import { hasHalfCharacter } from '../values/jsonText.js';
import type { JsonObject } from '../values/jsonBytesReader.js';
import type { ValueCheck } from '../values/valueCheck.js';
import { isDeletion } from './debeziumEnvelope.js';
import type { IgnoredFields } from './ignoredFields.js';
import type { Field } from './knownFields.js';
import type { LeadingFields } from './leadingFields.js';
import type { NestedFields } from './nestedFields.js';
import { quote, quoteLatin1 } from './quoting.js';
import type { RecordValue } from './recordValue.js';
import {
  halfCharacter,
  leftOut,
  notJson,
  notObject,
  outOfRange,
  reservedField,
  unknownField,
} from './rowRejections.js';
import type { UnknownFields } from './unknownFields.js';
import type { UnknownMembers } from './unknownMembers.js';
import type { WhereRules } from './whereRules.js';

interface ObjectRowParts {
  /** The value of the present record. */
  readonly value: RecordValue;
  /** Reads the records' values. It is shared with what reads parts of them. */
  readonly object: JsonObject;
  readonly fields: ReadonlyMap<string, Field>;
  readonly leading: LeadingFields;
  readonly nested: NestedFields;
  readonly rejectsUnknown: boolean;
  /** Which records are wanted. Undefined: all. */
  readonly rules: WhereRules | undefined;
  /** Says why a check refused a value. */
  readonly members: UnknownMembers;
  /** Counts fields that are left out. */
  readonly ignored: IgnoredFields;
  /** Notes fields without a column. Undefined: nobody asks for them. */
  readonly newFields: NewFields | undefined;
  /** Takes fields without a column, and the check of the column that gets them. Undefined: they are left out. */
  readonly unknown: { readonly fields: UnknownFields; readonly check: ValueCheck | undefined } | undefined;
}

/**
 * Makes rows of records whose values are JSON objects, whose fields are columns. A value is read once and judged field by
 * field. If every field may stay where it is, the row is the value's own text behind the identity columns. Otherwise its
 * fields are put together anew.
 */
export class ObjectRows {
  readonly #value: RecordValue;
  readonly #object: JsonObject;
  readonly #fields: ReadonlyMap<string, Field>;
  readonly #leading: LeadingFields;
  readonly #nested: NestedFields;
  readonly #rejectsUnknown: boolean;
  readonly #rules: WhereRules | undefined;
  readonly #members: UnknownMembers;
  readonly #ignored: IgnoredFields;
  readonly #newFields: NewFields | undefined;
  readonly #unknown: ObjectRowParts['unknown'];
  /** Places of the last value's fields that are left out, see `deletionGaps.ts`. */
  readonly #gaps = new Set<number>();
  /** The names of the last value's first members, and what they mean. The next value usually has the same names. */
  readonly #names: string[] = [];
  readonly #fieldsOfNames: (Field | undefined)[] = [];

  constructor(parts: ObjectRowParts) {
    const { value, object, fields, leading, nested, rejectsUnknown, rules, members, ignored, newFields, unknown } =
      parts;
    this.#value = value;
    this.#object = object;
    this.#fields = fields;
    this.#leading = leading;
    this.#nested = nested;
    this.#rejectsUnknown = rejectsUnknown;
    this.#rules = rules;
    this.#members = members;
    this.#ignored = ignored;
    this.#newFields = newFields;
    this.#unknown = unknown;
  }

  /** Why a record is skipped, if the rules want none such. */
  leftOut(record: KafkaRecord): Rejection | undefined {
    const value = this.#value;
    if (this.#rules === undefined || !value.set(record)) return undefined;
    value.passOverMark();
    if (this.#object.read(value.bytes, value.from, value.to) !== 'object') return undefined;
    return this.#rules.hold(value.text, isDeletion(record)) ? undefined : leftOut();
  }

  /** Writes the row of a record. Returns a rejection if it can become none, and writes nothing. */
  writeRow(into: RowBlocks, source: RecordSource, record: KafkaRecord): Rejection | undefined {
    const value = this.#value;
    value.passOverMark();
    const kind = this.#object.read(value.bytes, value.from, value.to);
    if (kind === undefined) return notJson(value.text, this.#object);
    if (kind !== 'object') return notObject(kind);
    if (this.#rules?.hold(value.text, isDeletion(record)) === false) return leftOut();
    const misplaced = this.#judge(isDeletion(record));
    if (typeof misplaced !== 'number') return misplaced;
    if (misplaced > 0) return this.#writeRearranged(into, source, record);
    this.#writeAsItIs(into, source, record);
    return undefined;
  }

  /**
   * Checks a value's names and values. Returns a rejection, or the number of fields that cannot stay at their place.
   *
   * @param isPart whether it is a deletion, and may not know all fields
   */
  #judge(isPart: boolean): Rejection | number {
    const object = this.#object;
    const value = this.#value;
    let misplaced = this.#leading.mapped.length;
    this.#gaps.clear();
    for (let index = 0; index < object.length; index++) {
      const name = object.names[index] as string;
      const field = this.#fieldOf(name, index);
      if (field === undefined) {
        if (this.#rejectsUnknown) {
          this.#noteUnknown(index, object.length);
          return unknownField(name);
        }
        this.#noteUnknown(index, index + 1);
        if (this.#unknown === undefined) this.#ignored.count(name, index);
        else misplaced++;
        continue;
      }
      const { kind, column, check, isGap } = field;
      if (kind === 'identity') return reservedField(column);
      if (kind === 'parent') misplaced++;
      if (kind !== 'column' && kind !== 'parent') continue;
      const start = object.starts[index] as number;
      const end = object.ends[index] as number;
      if (isPart && isGap?.(value.text, start, end) === true) {
        this.#gaps.add(index);
        misplaced++;
        continue;
      }
      if (check?.(value.text, start, end) === false) return this.#members.rejection(column);
      if (object.hasHalfCharacters && hasHalfCharacter(value.text.slice(start, end))) return halfCharacter(column);
    }
    return misplaced;
  }

  /** Notes those of some members that have no column. */
  #noteUnknown(from: number, to: number): void {
    const { names, starts, ends } = this.#object;
    if (this.#newFields === undefined) return;
    for (let index = from; index < to; index++) {
      const name = names[index] as string;
      if (this.#fieldOf(name, index) === undefined)
        this.#newFields.note(name, this.#value.text, starts[index] as number, ends[index] as number);
    }
  }

  #fieldOf(name: string, index: number): Field | undefined {
    if (index >= KEPT_MEMBERS_MAX) return this.#fields.get(name);
    if (this.#names[index] !== name) {
      this.#names[index] = name;
      this.#fieldsOfNames[index] = this.#fields.get(name);
    }
    return this.#fieldsOfNames[index];
  }

  /** The value's own bytes, with the identity columns before its fields. */
  #writeAsItIs(into: RowBlocks, source: RecordSource, record: KafkaRecord): void {
    const { bytes, from, to } = this.#value;
    this.#leading.writeIdentity(into, source, record);
    if (into.rowBytes > 1 && this.#object.length > 0) into.byte(COMMA);
    into.bytes(bytes, from + this.#object.start + 1, to);
  }

  /** Every field on its own: the identity and the mapped columns, then those of the value, without the ones that a mapping replaces. */
  #writeRearranged(into: RowBlocks, source: RecordSource, record: KafkaRecord): Rejection | undefined {
    const object = this.#object;
    const { text } = this.#value;
    const row = this.#leading.mappedOf(source, record, text);
    if ('code' in row) return row;
    const unknown = this.#unknown?.fields;
    unknown?.begin();
    for (let index = 0; index < object.length; index++) {
      if (this.#gaps.has(index)) continue;
      const name = object.names[index] as string;
      const kind = this.#fieldOf(name, index)?.kind;
      const start = object.starts[index] as number;
      if (kind === 'parent') {
        const rejection = this.#nested.add(row, text, start, name);
        if (rejection !== undefined) return rejection;
      } else if (kind === undefined && unknown !== undefined) {
        const rejection = unknown.add(name, text.slice(start, object.ends[index]));
        if (rejection !== undefined) return rejection;
      } else if (kind !== 'mapped') {
        row.push(`${quoteLatin1(name)}:${text.slice(start, object.ends[index])}`);
      }
    }
    const rejection = this.#addUnknown(row);
    if (rejection !== undefined) return rejection;
    this.#leading.writeFields(into, source, record, row);
    return undefined;
  }

  /** Adds the column that takes what has none. */
  #addUnknown(row: string[]): Rejection | undefined {
    const json = this.#unknown?.fields.json;
    if (this.#unknown === undefined || json === undefined) return undefined;
    const { fields, check } = this.#unknown;
    if (check?.(json, 0, json.length) === false) return outOfRange(fields.column);
    if (this.#object.hasHalfCharacters && hasHalfCharacter(json)) return halfCharacter(fields.column);
    row.push(`${quote(fields.column)}:${json}`);
    return undefined;
  }
}

/** What names mean is kept for so many members. A value may have millions. */
const KEPT_MEMBERS_MAX = 1_000;

const COMMA = 44;
