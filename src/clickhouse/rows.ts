import { isUtf8 } from 'node:buffer';
import { pointerTokens } from '../lib/jsonPointer.js';
import { latin1 } from '../lib/latin1.js';
import { lastHeader, NO_TIMESTAMP, type KafkaRecord, type RecordSource } from '../protocol/record.js';
import { REJECTION_CODES, setAsideBecause, type Rejection } from '../protocol/ack.js';
import { DEFAULT_MAPPING, type Mapping } from '../protocol/settings.js';
import { takesTimestamps, timestampMax, timestampWriter } from './timestamps.js';
import { hasHalfCharacter, JsonObject, objectMembers, textAtPointer, type JsonKind } from './values/json.js';
import { checkOfType } from './values/checkOfType.js';
import type { ValueCheck, ValueLimits } from './values/valueCheck.js';

/** The columns of a table that a row may fill: name to type, as in `system.columns`. */
export type TableColumns = ReadonlyMap<string, string> & {
  /** Limits of the table's server. Default: those of every server. */
  readonly limits?: ValueLimits;
  /** Columns with a default, which null stands for. Default: none. */
  readonly defaults?: ReadonlySet<string>;
  /** Whether the table had materialized views when its columns were read. Default: not known. */
  readonly hasViews?: boolean;
};

/**
 * The identity columns: a record's identity, its timestamp and key. Named like the virtual columns of ClickHouse's
 * Kafka engine. Filled if the table has them.
 */
export const IDENTITY_COLUMNS = ['_topic', '_partition', '_offset', '_timestamp', '_key', '_epoch'] as const;
export type IdentityColumn = (typeof IDENTITY_COLUMNS)[number];

/** The columns that a look-up of identities needs. */
export const LOOKUP_COLUMNS: readonly IdentityColumn[] = ['_topic', '_partition', '_offset', '_epoch'];

/** The columns by which a rewind finds rows, whatever their epoch. */
export const REWIND_COLUMNS: readonly IdentityColumn[] = [...LOOKUP_COLUMNS, '_timestamp'];

/** The columns that a table lacks. Default: of those that a look-up of identities needs. */
export function missingColumns(table: TableColumns, wanted: readonly string[] = LOOKUP_COLUMNS): string[] {
  return wanted.filter((column) => !table.has(column));
}

/**
 * A row as one line of `JSONEachRow`, one character per byte (`latin1`), so that bytes which are not checked stay
 * unchanged. Or a rejection, if the record cannot become a row.
 */
export type Row = string | Rejection;

/** Makes rows for one table and one mapping. */
export type RowBuilder = (source: RecordSource, record: KafkaRecord) => Row;

/** The meaning of a name that a field of the value may have. */
interface Field {
  readonly column: string;
  readonly kind: 'column' | 'identity' | 'mapped' | 'parent' | 'source';
  readonly check?: ValueCheck | undefined;
}

export function createRowBuilder(
  table: TableColumns,
  columns: Readonly<Record<string, string>>,
  { format, unknownFields, tombstones }: Mapping = DEFAULT_MAPPING,
): RowBuilder {
  const identity = IDENTITY_COLUMNS.filter((name) => table.has(name) && !(name in columns));
  const identityFields = identityFieldWriter(identity, table);
  const object = new JsonObject();
  const mapped = Object.entries(columns).map(([column, from]) => ({
    column,
    from,
    read: columnReader(from, table.get(column) ?? '', object),
    check: columnCheck(table, column),
  }));
  const fields = knownFields(table, columns, identity);
  const pointers = Object.values(columns).flatMap((from) =>
    from.startsWith('/') ? [pointerTokens(from).map(latin1)] : [],
  );
  const times = [
    ...identity.filter((name) => name === '_timestamp'),
    ...mapped.flatMap(({ column, from }) => (from === 'timestamp' ? [column] : [])),
  ].map((column) => ({ column, msMax: timestampMax(table.get(column) ?? '', table.limits) }));
  const narrowest = times.reduce<(typeof times)[number] | undefined>(
    (least, time) => (least === undefined || time.msMax < least.msMax ? time : least),
    undefined,
  );

  /** The fields before those of the value. A rejection if a value does not fit. */
  const leadingFields = (source: RecordSource, record: KafkaRecord, text: string): string[] | Rejection => {
    const head = identityFields(source, record);
    const leading = head === '' ? [] : [head];
    for (const { column, read, check } of mapped) {
      const value = read(source, record, text);
      if (value === undefined) continue;
      if (typeof value !== 'string') return value;
      if (check?.(value, 0, value.length) === false) return outOfRange(column);
      if (object.hasHalfCharacters && hasHalfCharacter(value)) return halfCharacter(column);
      leading.push(`${quote(column)}:${value}`);
    }
    return leading;
  };
  const rowWithoutFields = (source: RecordSource, record: KafkaRecord): Row => {
    const leading = leadingFields(source, record, '');
    return 'code' in leading ? leading : `{${leading.join(',')}}`;
  };

  /**
   * Checks a value's names and values. Returns a rejection, or the number of fields that cannot stay at their place.
   */
  const judge = (text: string): Rejection | number => {
    let misplaced = mapped.length;
    for (let index = 0; index < object.length; index++) {
      const name = object.names[index] as string;
      const field = fields.get(name);
      if (field === undefined) {
        if (unknownFields === 'reject') return unknownField(name);
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
  };

  /** Whether mapped columns use the value at this place: all of it, or, for an object or array, perhaps a part. */
  const areMapped = (place: readonly string[], mayBePart: boolean): boolean =>
    pointers.some(
      (pointer) =>
        (mayBePart || pointer.length <= place.length) &&
        pointer.slice(0, place.length).every((token, index) => token === place[index]),
    );

  /**
   * Adds the members of an object whose members are columns: `{"a":{"b":1}}` is the field `a.b`.
   *
   * @param place the names that lead to it. Empty if no column is mapped from a pointer
   */
  const addMembers = (
    into: string[],
    text: string,
    start: number,
    path: string,
    place: readonly string[],
  ): Rejection | undefined => {
    if (text[start] === '[') return areMapped(place, false) ? undefined : notColumns(path);
    // It is neither an object nor null, so there is no column for it.
    if (text[start] !== '{' && text[start] !== 'n' && unknownFields === 'reject' && !areMapped(place, false))
      return unknownField(path);
    for (const { name, start: from, end } of objectMembers(text, start)) {
      const inner = `${path}.${name}`;
      const field = fields.get(inner);
      const innerPlace = pointers.length === 0 ? place : [...place, name];
      if (field?.kind === 'column') {
        if (field.check?.(text, from, end) === false) return outOfRange(field.column);
        into.push(`${quoteLatin1(inner)}:${text.slice(from, end)}`);
      } else if (field?.kind === 'parent' && text[from] !== 'n') {
        const rejection = addMembers(into, text, from, inner, innerPlace);
        if (rejection !== undefined) return rejection;
      } else if ((field === undefined || field.kind === 'source') && unknownFields === 'reject') {
        const isContainer = text[from] === '{' || text[from] === '[';
        if (!areMapped(innerPlace, isContainer)) return unknownField(inner);
      }
    }
    return undefined;
  };

  const rowOfObject = (source: RecordSource, record: KafkaRecord): Row => {
    if (record.value === null)
      return { code: REJECTION_CODES.notJson, message: 'the record has no value (a tombstone)' };
    const text = record.value.toString('latin1');
    const kind = object.read(text);
    if (kind === undefined) return notJson(text, object);
    if (kind !== 'object') return notObject(kind);
    const judged = judge(text);
    if (typeof judged !== 'number') return judged;
    if (judged === 0) {
      const head = `{${identityFields(source, record)}`;
      return head + (head.length > 1 && object.length > 0 ? ',' : '') + text.slice(text.indexOf('{') + 1);
    }
    const parts = leadingFields(source, record, text);
    if ('code' in parts) return parts;
    for (let index = 0; index < object.length; index++) {
      const name = object.names[index] as string;
      const kindOfField = fields.get(name)?.kind;
      const start = object.starts[index] as number;
      if (kindOfField === 'parent') {
        const rejection = addMembers(parts, text, start, name, [name]);
        if (rejection !== undefined) return rejection;
      } else if (kindOfField !== 'mapped') {
        parts.push(`${quoteLatin1(name)}:${text.slice(start, object.ends[index])}`);
      }
    }
    return `{${parts.join(',')}}`;
  };

  return (source, record) => {
    if (record.tooLargeBytes !== undefined) return setAsideBecause(record.tooLargeBytes);
    if (narrowest !== undefined && (record.timestampMs > narrowest.msMax || record.timestampMs < NO_TIMESTAMP))
      return noTime(narrowest);
    if (record.value === null && tombstones === 'insert') return rowWithoutFields(source, record);
    if (format === 'json') return rowOfObject(source, record);
    if (record.value === null) return { code: REJECTION_CODES.noValue, message: 'the record has no value' };
    if (format === 'text' && !isUtf8(record.value))
      return { code: REJECTION_CODES.notText, message: 'the value is not UTF-8' };
    return rowWithoutFields(source, record);
  };
}

/**
 * The names that a field may have, one character per byte: columns, sources of mappings, and prefixes of columns'
 * names, because a field `a` may contain the column `a.b`.
 */
function knownFields(
  table: TableColumns,
  columns: Readonly<Record<string, string>>,
  identity: readonly string[],
): ReadonlyMap<string, Field> {
  const fields = new Map<string, Field>();
  const add = (column: string, field: Omit<Field, 'column'>): void => {
    const name = latin1(column);
    if (!fields.has(name)) fields.set(name, { column, ...field });
  };
  for (const name of identity) add(name, { kind: 'identity' });
  for (const name of Object.keys(columns)) add(name, { kind: 'mapped' });
  for (const name of table.keys()) add(name, { kind: 'column', check: columnCheck(table, name) });
  for (const name of table.keys()) {
    const parts = name.split('.');
    for (let length = 1; length < parts.length; length++) add(parts.slice(0, length).join('.'), { kind: 'parent' });
  }
  for (const from of Object.values(columns))
    if (from.startsWith('/')) add(pointerTokens(from)[0] ?? '', { kind: 'source' });
  return fields;
}

function columnCheck(table: TableColumns, column: string): ValueCheck | undefined {
  const check = checkOfType(table.get(column) ?? '', table.limits);
  if (check === undefined || table.defaults?.has(column) !== true) return check;
  return (text, start, end) => text[start] === 'n' || check(text, start, end);
}

/** Characters of a field's name in an error message, at most. */
const FIELD_NAME_MAX = 64;

function unknownField(key: string): Rejection {
  const name = Buffer.from(key, 'latin1').toString().slice(0, FIELD_NAME_MAX);
  const message = `the value has a field ${name}, which the table has no column for`;
  return { code: REJECTION_CODES.unknownField, message };
}

/** Says why a text is no JSON, without quoting it. */
function notJson(text: string, { faultAt }: JsonObject): Rejection {
  const why = whyNotJson(text, faultAt);
  return { code: REJECTION_CODES.notJson, message: `the value is not JSON${why === undefined ? '' : `: ${why}`}` };
}

/** It does not name the place of the fault, because dead letters are counted by their messages. */
function whyNotJson(text: string, at: number): string | undefined {
  const begin = BEGINNINGS.find(([bytes]) => text.startsWith(bytes));
  if (begin !== undefined) return begin[1];
  if (text.trim() === '') return 'it is empty';
  if (at >= text.length) return 'it ends too early';
  if (at > 0 && /^\s*[{[]/.test(text) && /^[{[]/.test(text.slice(at)) && isComplete(text.slice(0, at)))
    return 'more JSON follows after it; each record holds one value';
  if (/^-?(nan|infinity)/i.test(text.slice(at, at + 9))) return 'JSON has no NaN and no Infinity';
  return undefined;
}

/** First bytes of values in other formats. */
const BEGINNINGS: readonly (readonly [bytes: string, message: string])[] = [
  ['\xef\xbb\xbf', 'it begins with a byte-order mark'],
  ['\xff\xfe', 'it is UTF-16, and begins with a byte-order mark'],
  ['\xfe\xff', 'it is UTF-16, and begins with a byte-order mark'],
  [
    '\x00',
    'it begins with the magic byte 0 of a schema registry, as Avro, Protobuf and JSON Schema serializers write it',
  ],
  ['\x1f\x8b', 'it is compressed with gzip'],
  ['\x28\xb5\x2f\xfd', 'it is compressed with Zstandard'],
];

function isComplete(text: string): boolean {
  return new JsonObject().read(text) !== undefined;
}

function notObject(kind: JsonKind): Rejection {
  const what = kind === 'null' ? 'null' : kind === 'array' ? 'an array' : `a ${kind}`;
  return { code: REJECTION_CODES.notObject, message: `the value is ${what}, not a JSON object` };
}

function reservedField(name: string): Rejection {
  const message = `the value has a field ${name}, which is the name of an identity column; rename the field`;
  return { code: REJECTION_CODES.reservedField, message };
}

function outOfRange(column: string): Rejection {
  const message = `the value for column ${column} does not fit into its type, and ClickHouse would change it without a word`;
  return { code: REJECTION_CODES.outOfRange, message };
}

function halfCharacter(column: string): Rejection {
  const message = `the value for column ${column} has half of a character (an unpaired surrogate), which no text holds`;
  return { code: REJECTION_CODES.outOfRange, message };
}

function notColumns(name: string): Rejection {
  const path = Buffer.from(name, 'latin1').toString().slice(0, FIELD_NAME_MAX);
  const message = `the field ${path} is an array, but its columns (${path}.…) are filled from an object of arrays`;
  return { code: REJECTION_CODES.outOfRange, message };
}

function noTime({ column, msMax }: { readonly column: string; readonly msMax: number }): Rejection {
  const message =
    msMax < 0
      ? `column ${column} is to have the record's timestamp, and its type takes none`
      : `the record's timestamp is beyond any date that column ${column} can hold: Kafka's are milliseconds since 1970`;
  return { code: REJECTION_CODES.outOfRange, message };
}

/** Writes the fields of the identity columns. The part that all records of a partition share is built once. */
function identityFieldWriter(
  identity: readonly IdentityColumn[],
  table: TableColumns,
): (source: RecordSource, record: KafkaRecord) => string {
  const has = (name: IdentityColumn): boolean => identity.includes(name);
  const timestampText = timestampWriter(table.get('_timestamp') ?? '');
  const sharedFields = new WeakMap<RecordSource, string>();
  const shared = (source: RecordSource): string => {
    const fields: string[] = [];
    if (has('_topic')) fields.push(`"_topic":${quote(source.topic)}`);
    if (has('_partition')) fields.push(`"_partition":${source.partition}`);
    if (has('_epoch')) fields.push(`"_epoch":${quote(source.epoch)}`);
    return fields.join(',');
  };
  return (source, record) => {
    let fields = sharedFields.get(source);
    if (fields === undefined) {
      fields = shared(source);
      sharedFields.set(source, fields);
    }
    const comma = (): string => (fields === '' ? '' : ',');
    if (has('_offset')) fields += `${comma()}"_offset":${record.offset}`;
    if (has('_timestamp') && record.timestampMs >= 0)
      fields += `${comma()}"_timestamp":${timestampText(record.timestampMs)}`;
    if (has('_key')) fields += `${comma()}"_key":${quoteBytes(record.key)}`;
    return fields;
  };
}

/** Returns a column's value as JSON. Undefined if there is none. */
type ColumnReader = (source: RecordSource, record: KafkaRecord, text: string) => string | Rejection | undefined;

/** Types that need JSON itself, not a JSON text in a string. */
const TAKES_JSON =
  /^(Nullable\()?(JSON|Object|Map|Tuple|Array|Nested|QBit|Point|Ring|(Multi)?LineString|(Multi)?Polygon|Geometry)\b/;

/**
 * A mapped column that refuses every value. `json`: its type needs JSON, but its source is always a text or a number.
 * `timestamp`: its type takes no timestamp of today.
 */
export interface UnfitMapping {
  readonly column: string;
  readonly from: string;
  readonly why: 'json' | 'timestamp';
}

/** Mapped columns that refuse every value. JSON pointers and `value` may give JSON. */
export function unfitMappings(table: TableColumns, columns: Readonly<Record<string, string>>): readonly UnfitMapping[] {
  return Object.entries(columns).flatMap(([column, from]): UnfitMapping[] => {
    const type = table.get(column);
    if (type === undefined || from === 'value' || from.startsWith('/')) return [];
    if (TAKES_JSON.test(type)) return [{ column, from, why: 'json' }];
    return from === 'timestamp' && !takesTimestamps(type, table.limits) ? [{ column, from, why: 'timestamp' }] : [];
  });
}

/** @param json reads the value, for columns that need JSON */
function columnReader(from: string, type: string, json: JsonObject): ColumnReader {
  if (from.startsWith('/')) {
    const tokens = pointerTokens(from);
    return (_source, _record, text) => textAtPointer(text, tokens);
  }
  if (from.startsWith('header:')) {
    const name = from.slice('header:'.length);
    return (_source, { headers }) => quoteBytes(lastHeader(headers, name) ?? null);
  }
  const timestampText = timestampWriter(type);
  const readers: Record<string, ColumnReader> = {
    key: (_source, { key }) => quoteBytes(key),
    value: TAKES_JSON.test(type) ? jsonOfValue(json) : (_source, { value }) => quoteBytes(value),
    topic: ({ topic }) => quote(topic),
    partition: ({ partition }) => String(partition),
    offset: (_source, { offset }) => String(offset),
    timestamp: (_source, { timestampMs }) => (timestampMs < 0 ? undefined : timestampText(timestampMs)),
    epoch: ({ epoch }) => quote(epoch),
  };
  const reader = readers[from];
  if (reader === undefined) throw new Error(`a column cannot be taken from ${from}`);
  return reader;
}

/**
 * The value itself, for a column that needs JSON. White space around it is removed, because the checks look at the
 * first character.
 */
function jsonOfValue(json: JsonObject): ColumnReader {
  return (_source, { value }) => {
    if (value === null) return 'null';
    const text = value.toString('latin1');
    return json.read(text) === undefined ? notJson(text, json) : text.trim();
  };
}

/** A JSON string of a text, with one character per byte of its UTF-8. */
function quote(text: string): string {
  return quoteBytes(Buffer.from(text));
}

/** A JSON string of a text that has one character per byte already. */
function quoteLatin1(text: string): string {
  return JSON.stringify(text);
}

/** A JSON string with the bytes unchanged, even if they are no UTF-8. Strings of ClickHouse are bytes, too. */
function quoteBytes(bytes: Buffer | null): string {
  return bytes === null ? 'null' : quoteLatin1(bytes.toString('latin1'));
}
