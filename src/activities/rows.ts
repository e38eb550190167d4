import { isUtf8 } from 'node:buffer';
import { pointerTokens } from '../records/jsonPointer.js';
import { isTime, lastHeader, timeText, type KafkaRecord, type RecordSource } from '../records/record.js';
import { REJECTION_CODES, tooLarge, type Rejection } from '../records/ack.js';
import { DEFAULT_MAPPING, type Mapping } from '../records/settings.js';
import { objectMembers, quoteIntegers, textAtPointer } from './json.js';
import { fits, rangeCheck, type RangeCheck, type Seen } from './valueRanges.js';

/** The columns of a table that matter to a row: name to type, as `system.columns` has them. */
export type TableColumns = ReadonlyMap<string, string>;

/**
 * The identity columns: what a record is, and when it was written. Named as the virtual columns of ClickHouse's Kafka
 * engine; written where the table has them.
 */
const IDENTITY_COLUMNS = ['_topic', '_partition', '_offset', '_timestamp', '_key', '_epoch'] as const;
export type IdentityColumn = (typeof IDENTITY_COLUMNS)[number];

/** The columns that an identity look-up needs. */
export const LOOKUP_COLUMNS: readonly IdentityColumn[] = ['_topic', '_partition', '_offset', '_epoch'];

/** The columns by which a rewind finds what is in the table, whichever the epoch. */
export const REWIND_COLUMNS: readonly IdentityColumn[] = [...LOOKUP_COLUMNS, '_timestamp'];

/** Which columns a table lacks: of those that an identity look-up needs, unless others are named. */
export function missingColumns(table: TableColumns, wanted: readonly string[] = LOOKUP_COLUMNS): string[] {
  return wanted.filter((column) => !table.has(column));
}

/**
 * A row as one line of `JSONEachRow`, one character a byte (`latin1`): what is not looked at passes byte for byte.
 * A rejection where the record cannot become a row.
 */
export type Row = string | Rejection;

/** Makes rows for one table and one mapping. */
export type RowBuilder = (source: RecordSource, record: KafkaRecord) => Row;

export function createRowBuilder(
  table: TableColumns,
  columns: Readonly<Record<string, string>>,
  { format, unknownFields, tombstones }: Mapping = DEFAULT_MAPPING,
): RowBuilder {
  const identity = IDENTITY_COLUMNS.filter((name) => table.has(name) && !(name in columns));
  const identityFields = identityFieldWriter(identity, table);
  const checks = new Map([...table].flatMap(([name, type]) => checkEntry(name, type)));
  const mapped = Object.entries(columns).map(([column, from]) => ({
    column,
    from,
    read: columnReader(from),
    check: checks.get(column),
  }));
  const mappedNames = new Set(mapped.map(({ column }) => column));
  const fieldChecks = [...checks]
    .filter(([name]) => !mappedNames.has(name) && !identity.some((own) => own === name))
    .map(([name, check]) => ({ name, key: latin1(name), check }));
  const known = unknownFields === 'reject' ? knownFields(table, columns) : null;
  const timeColumn =
    identity.find((name) => name === '_timestamp') ?? mapped.find(({ from }) => from === 'timestamp')?.column;

  /** The fields that precede the value's own, one after the other; a rejection where a value does not fit. */
  const leadingFields = (source: RecordSource, record: KafkaRecord, text: string): string[] | Rejection => {
    const head = identityFields(source, record);
    const fields = head === '' ? [] : [head];
    for (const { column, read, check } of mapped) {
      const value = read(source, record, text);
      if (value === undefined) continue;
      if (check !== undefined && !fits(check, value)) return outOfRange(column);
      fields.push(`${quote(column)}:${value}`);
    }
    return fields;
  };
  const rowWithoutFields = (source: RecordSource, record: KafkaRecord): Row => {
    const fields = leadingFields(source, record, '');
    return 'code' in fields ? fields : `{${fields.join(',')}}`;
  };

  const unfitField = (object: Fields, seen: Seen): string | undefined =>
    fieldChecks.find(({ key, check }) => Object.hasOwn(object, key) && !check(object[key], seen))?.name;
  const rowOfObject = (source: RecordSource, record: KafkaRecord): Row => {
    const text = record.value?.toString('latin1') ?? '';
    const parsed = parseObject(text);
    if (parsed.rejection !== undefined) return parsed.rejection;
    for (const name of identity) {
      if (Object.hasOwn(parsed.object, name)) return reservedField(name);
    }
    const seen = { rounded: false };
    let unfit = unfitField(parsed.object, seen);
    if (seen.rounded) unfit ??= unfitField(JSON.parse(quoteIntegers(text)) as Fields, seen);
    if (unfit !== undefined) return outOfRange(unfit);
    const unknown = known && Object.keys(parsed.object).find((key) => !known.has(key));
    if (typeof unknown === 'string') return unknownField(unknown);
    if (mapped.length === 0) {
      const head = `{${identityFields(source, record)}`;
      return head + fieldsOf(text, head.length > 1);
    }
    const fields = leadingFields(source, record, text);
    if ('code' in fields) return fields;
    for (const { name, start, end } of objectMembers(text)) {
      if (!mappedNames.has(name)) fields.push(`${quote(name)}:${text.slice(start, end)}`);
    }
    return `{${fields.join(',')}}`;
  };

  return (source, record) => {
    if (record.tooLargeBytes !== undefined) return tooLarge(record.tooLargeBytes);
    if (timeColumn !== undefined && !isTime(record.timestampMs)) return noTime(timeColumn);
    if (record.value === null && tombstones === 'insert') return rowWithoutFields(source, record);
    if (format === 'json') return rowOfObject(source, record);
    if (record.value === null) return { code: REJECTION_CODES.noValue, message: 'the record has no value' };
    if (format === 'text' && !isUtf8(record.value))
      return { code: REJECTION_CODES.notText, message: 'the value is not UTF-8' };
    return rowWithoutFields(source, record);
  };
}

/**
 * The names that a field may have, one character a byte: columns, their beginnings (a field for the column `a.b` is called
 * `a`), and what a mapping reads.
 */
function knownFields(table: TableColumns, columns: Readonly<Record<string, string>>): ReadonlySet<string> {
  const names = [...table.keys()].flatMap((name) => [name, name.split('.')[0] ?? name]);
  const pointers = Object.values(columns).filter((source) => source.startsWith('/'));
  return new Set([...names, ...pointers.map((pointer) => pointerTokens(pointer)[0] ?? '')].map(latin1));
}

/** Of a field's name as much as an error message shows. */
const FIELD_NAME_MAX = 64;

function unknownField(key: string): Rejection {
  const name = Buffer.from(key, 'latin1').toString().slice(0, FIELD_NAME_MAX);
  const message = `the value has a field ${name}, which the table has no column for`;
  return { code: REJECTION_CODES.unknownField, message };
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** The object's own text behind its opening brace, with a comma before it where fields precede and follow. */
function fieldsOf(text: string, afterFields: boolean): string {
  const rest = text.slice(text.indexOf('{') + 1);
  const empty = /^\s*\}/.test(rest);
  return afterFields && !empty ? `,${rest}` : rest;
}

type Fields = Readonly<Record<string, unknown>>;

type Parsed = { readonly object: Fields; readonly rejection?: undefined } | { readonly rejection: Rejection };

function parseObject(text: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the value, which must not leave the record.
    return { rejection: { code: REJECTION_CODES.notJson, message: 'the value is not JSON' } };
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { object: value as Fields };
  const kind = value === null ? 'null' : Array.isArray(value) ? 'an array' : `a ${typeof value}`;
  return { rejection: { code: REJECTION_CODES.notObject, message: `the value is ${kind}, not a JSON object` } };
}

function reservedField(name: string): Rejection {
  const message = `the value has a field ${name}, which is the name of an identity column; rename the field`;
  return { code: REJECTION_CODES.reservedField, message };
}

function checkEntry(name: string, type: string): [string, RangeCheck][] {
  const check = rangeCheck(type);
  return check === undefined ? [] : [[name, check]];
}

function outOfRange(column: string): Rejection {
  const message = `the value for column ${column} does not fit into its type, and ClickHouse would change it without a word`;
  return { code: REJECTION_CODES.outOfRange, message };
}

function noTime(column: string): Rejection {
  const message = `the record's timestamp is beyond any date, and column ${column} wants it: Kafka's are milliseconds since 1970`;
  return { code: REJECTION_CODES.outOfRange, message };
}

/** Writes the identity columns' fields. What the records of a partition share is put together once. */
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

/** Integers for integer columns, otherwise a text that ClickHouse's best-effort parser reads for dates of every kind. */
function timestampWriter(type: string): (timestampMs: number) => string {
  if (/^(Nullable\()?U?Int/.test(type)) return String;
  return (timestampMs) => `"${timeText(timestampMs)}"`;
}

type ColumnReader = (source: RecordSource, record: KafkaRecord, text: string) => string | undefined;

function columnReader(from: string): ColumnReader {
  if (from.startsWith('/')) {
    const tokens = pointerTokens(from);
    return (_source, _record, text) => textAtPointer(text, tokens);
  }
  if (from.startsWith('header:')) {
    const name = from.slice('header:'.length);
    return (_source, { headers }) => quoteBytes(lastHeader(headers, name) ?? null);
  }
  const readers: Record<string, ColumnReader> = {
    key: (_source, { key }) => quoteBytes(key),
    value: (_source, { value }) => quoteBytes(value),
    topic: ({ topic }) => quote(topic),
    partition: ({ partition }) => String(partition),
    offset: (_source, { offset }) => String(offset),
    timestamp: (_source, { timestampMs }) => (timestampMs < 0 ? undefined : `"${timeText(timestampMs)}"`),
    epoch: ({ epoch }) => quote(epoch),
  };
  const reader = readers[from];
  if (reader === undefined) throw new Error(`a column cannot be taken from ${from}`);
  return reader;
}

/** A JSON string of a text, one character a byte of its UTF-8. */
function quote(text: string): string {
  return quoteBytes(Buffer.from(text));
}

/** A JSON string that holds the bytes as they are, whether or not they are UTF-8; ClickHouse's strings are bytes, too. */
function quoteBytes(bytes: Buffer | null): string {
  return bytes === null ? 'null' : JSON.stringify(bytes.toString('latin1'));
}
