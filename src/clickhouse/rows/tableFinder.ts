import { pointerTokens } from '../../lib/jsonPointer.js';
import { latin1 } from '../../lib/latin1.js';
import { pointerOf, type PointedAt } from '../../protocol/columnSource.js';
import { lastHeader, type KafkaRecord } from '../../protocol/record.js';
import type { Mapping, TablesOfValues } from '../../protocol/settings.js';
import { textOfString } from '../values/jsonText.js';
import { JsonObject } from '../values/jsonBytesReader.js';
import { JsonPointers } from '../values/jsonPointers.js';
import { ChangedRow } from './debeziumEnvelope.js';
import { keyText } from './jsonKeys.js';
import { RecordValue } from './recordValue.js';

/**
 * A text with one character per byte. Null if there is none: nothing, null, an object or an array. Undefined if what it would
 * be in is no JSON, so that the record becomes no row.
 */
type FoundText = string | null | undefined;

/** Finds the tables of records that go by a value of theirs. Nothing but the record and these settings decide. */
export class TableFinder {
  readonly #tables: ReadonlyMap<string, string>;
  readonly #otherwise: string | null;
  readonly #textOf: (record: KafkaRecord) => FoundText;

  constructor({ by, tables, otherwise }: TablesOfValues, { key }: Pick<Mapping, 'key'>) {
    this.#tables = new Map(tables.map(([value, table]) => [latin1(value), table]));
    this.#otherwise = typeof otherwise === 'object' ? otherwise.table : null;
    this.#textOf = textReader(by, key !== undefined);
  }

  /**
   * @param record its value and its key are JSON, and the value is out of its envelope, see `opener`
   * @returns null if its value names no table, or cannot be read
   */
  of(record: KafkaRecord): string | null {
    const text = this.#textOf(record);
    if (text === undefined) return null;
    return (text === null ? undefined : this.#tables.get(text)) ?? this.#otherwise;
  }
}

function textReader(by: string, hasJsonKeys: boolean): (record: KafkaRecord) => FoundText {
  const pointed = pointerOf(by);
  if (pointed !== null) return pointerReader(pointed.into, pointed.pointer);
  if (by === 'key') return ({ key }) => (hasJsonKeys ? scalarText(keyText(key)) : (key?.toString('latin1') ?? null));
  const header = by.slice('header:'.length);
  return ({ headers }) => lastHeader(headers, header)?.toString('latin1') ?? null;
}

function pointerReader(into: PointedAt, pointer: string): (record: KafkaRecord) => FoundText {
  if (into === 'value') return valueReader(pointer);
  const pointers = new JsonPointers();
  const place = pointers.add(pointer);
  return (record) => {
    const document = into === 'key' ? record.key?.toString('latin1') : envelopeOf(record);
    if (document === undefined) return null;
    pointers.read(document);
    return scalarText(pointers.textAt(place) ?? 'null');
  };
}

function envelopeOf(record: KafkaRecord): string | undefined {
  return record instanceof ChangedRow ? record.envelope : undefined;
}

/** To prove that a value is JSON finds its members. So only the one that the pointer leads into becomes a text. */
function valueReader(pointer: string): (record: KafkaRecord) => FoundText {
  const [first = ''] = pointerTokens(pointer);
  const name = latin1(first);
  const rest = pointer.slice(pointer.split('/', 2).join('/').length);
  const pointers = new JsonPointers();
  const place = pointers.add(rest);
  const value = new RecordValue();
  const object = new JsonObject();
  return (record) => {
    if (!value.set(record)) return null;
    value.passOverMark();
    const { bytes, from, to } = value;
    if (object.read(bytes, from, to) !== 'object') return undefined;
    // Of several members with one name the last counts, as in `JSON.parse`.
    let index = object.length - 1;
    while (index >= 0 && object.names[index] !== name) index--;
    if (index < 0) return null;
    const member = bytes.toString('latin1', from + (object.starts[index] ?? 0), from + (object.ends[index] ?? 0));
    if (rest === '') return scalarText(member);
    pointers.read(member);
    return scalarText(pointers.textAt(place) ?? 'null');
  };
}

/** The content of a text, and a number, true or false as it is written. */
function scalarText(json: string): FoundText {
  if (json === 'null' || json.startsWith('{') || json.startsWith('[')) return null;
  return json.startsWith('"') ? textOfString(json, 0, json.length) : json;
}
