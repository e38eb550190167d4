import { latin1 } from '../../lib/latin1.js';
import { pointerOf, type PointedAt } from '../../protocol/columnSource.js';
import { lastHeader, type KafkaRecord } from '../../protocol/record.js';
import type { Mapping, TablesOfValues } from '../../protocol/settings.js';
import { textOfString } from '../values/json.js';
import { JsonObject } from '../values/jsonObject.js';
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
  const pointers = new JsonPointers();
  const place = pointers.add(pointer);
  const documentOf = DOCUMENTS[into]();
  return (record) => {
    const document = documentOf(record);
    if (typeof document !== 'string') return document;
    pointers.read(document);
    return scalarText(pointers.textAt(place) ?? 'null');
  };
}

/** What make readers of the documents that pointers lead into, as valid JSON. */
const DOCUMENTS: Readonly<Record<PointedAt, () => (record: KafkaRecord) => FoundText>> = {
  value: () => {
    const value = new RecordValue();
    const object = new JsonObject();
    return (record) => {
      if (!value.set(record)) return null;
      value.passOverMark();
      return object.read(value.bytes, value.from, value.to) === 'object' ? value.text : undefined;
    };
  },
  key:
    () =>
    ({ key }) =>
      key?.toString('latin1') ?? null,
  envelope: () => (record) => (record instanceof ChangedRow ? record.envelope : null),
};

/** The content of a text, and a number, true or false as it is written. */
function scalarText(json: string): FoundText {
  if (json === 'null' || json.startsWith('{') || json.startsWith('[')) return null;
  return json.startsWith('"') ? textOfString(json, 0, json.length) : json;
}
