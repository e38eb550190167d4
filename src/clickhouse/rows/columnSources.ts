/*
 * Where a mapped column takes its value from: a part of the value, a header, or another part of the record.
 */
import { withoutMark } from '../../lib/byteOrderMark.js';
import type { Rejection } from '../../protocol/ack.js';
import {
  pointerOf,
  sourcesOf,
  sourceText,
  type ColumnSource,
  type Constant,
  type PointedAt,
  type SourceRule,
} from '../../protocol/columnSource.js';
import {
  lastHeader,
  NO_TIMESTAMP,
  type KafkaRecord,
  type RecordHeader,
  type RecordSource,
} from '../../protocol/record.js';
import type { TableColumns } from '../tableColumns.js';
import type { JsonObject } from '../values/jsonBytesReader.js';
import type { JsonPointers } from '../values/jsonPointers.js';
import { parseColumnType, parseTupleElement } from '../values/columnTypes.js';
import { keyText } from './jsonKeys.js';
import { numberTime } from './numberTimes.js';
import { quote, quoteBytes, quoteLatin1 } from './quoting.js';
import { notJson, outOfRange, requiredMissing } from './rowRejections.js';
import { takesTimestamps, timestampWriter } from './timestamps.js';

/** Returns a column's value as JSON. Undefined if there is none. */
export type ColumnReader = (source: RecordSource, record: KafkaRecord) => string | Rejection | undefined;

/** The documents of a record that columns are taken from. */
export interface RecordDocuments {
  /** Reads the value, for columns that need JSON. */
  readonly json: JsonObject;
  /** They must have read their documents before a reader is asked. */
  readonly pointers: Readonly<Record<PointedAt, JsonPointers>>;
  /** Whether keys are JSON. */
  readonly hasJsonKeys: boolean;
}

/** @param column its name, for messages */
export function columnReader(
  column: string,
  from: ColumnSource,
  type: string,
  documents: RecordDocuments,
): ColumnReader {
  return typeof from === 'string' ? sourceReader(from, type, documents) : ruleReader(column, from, type, documents);
}

function sourceReader(from: string, type: string, documents: RecordDocuments): ColumnReader {
  const { json, pointers, hasJsonKeys } = documents;
  const pointed = pointerOf(from);
  if (pointed !== null) return pointerReader(pointers[pointed.into], pointed.pointer);
  if (from.startsWith('header:')) {
    const name = from.slice('header:'.length);
    return (_source, { headers }) => quoteBytes(lastHeader(headers, name) ?? null);
  }
  const timestampText = timestampWriter(type);
  const readers: Record<string, ColumnReader> = {
    key: hasJsonKeys ? (_source, { key }) => keyText(key) : (_source, { key }) => quoteBytes(key),
    value: TAKES_JSON.test(type) ? jsonOfValue(json) : (_source, { value }) => quoteBytes(value),
    topic: ({ topic }) => quote(topic),
    partition: ({ partition }) => String(partition),
    offset: (_source, { offset }) => String(offset),
    timestamp: (_source, { timestampMs }) => (timestampMs === NO_TIMESTAMP ? undefined : timestampText(timestampMs)),
    epoch: ({ epoch }) => quote(epoch),
    document: TAKES_JSON.test(type)
      ? (_source, { value }) => documentOf(value)
      : (_source, { value }) => documentText(value),
    headers: PAIRS.test(type) ? headerPairs(type) : (_source, { headers }) => headerObject(headers),
    kind: (_source, { value }) => (value === null ? '"tombstone"' : '"record"'),
  };
  const reader = readers[from];
  if (reader === undefined) throw new Error(`a column cannot be taken from ${from}`);
  return reader;
}

function pointerReader(pointers: JsonPointers, pointer: string): ColumnReader {
  const place = pointers.add(pointer);
  return () => pointers.textAt(place);
}

/**
 * The value itself, for a column that needs JSON. White space around it is removed, and a byte-order mark, because the
 * checks look at the first character.
 */
function jsonOfValue(json: JsonObject): ColumnReader {
  return (_source, { value }) => {
    if (value === null) return 'null';
    const bytes = withoutMark(value);
    const text = bytes.toString('latin1');
    return json.read(bytes) === undefined ? notJson(text, json) : text.trim();
  };
}

/** The whole value as JSON. It has been read already: only JSON objects and tombstones become rows. */
function documentOf(value: Buffer | null): string {
  return value === null ? 'null' : withoutMark(value).toString('latin1').trim();
}

function documentText(value: Buffer | null): string {
  return value === null ? 'null' : quoteLatin1(documentOf(value));
}

/** Types for names and values in pairs. Others get an object. */
const PAIRS = /^Array\(Tuple\b/;

/**
 * Writes every header in its order, also if several have one name. ClickHouse reads tuples with names as objects, others
 * as arrays.
 */
function headerPairs(type: string): ColumnReader {
  const tuple = parseColumnType(parseColumnType(type).parameters[0] ?? '');
  const [name, value] = tuple.parameters.map((element) => parseTupleElement(element).name);
  const pair =
    name === undefined || value === undefined
      ? ([of, is]: RecordHeader) => `[${quote(of)},${quoteBytes(is)}]`
      : ([of, is]: RecordHeader) => `{${quote(name)}:${quote(of)},${quote(value)}:${quoteBytes(is)}}`;
  return (_source, { headers }) => `[${headers.map(pair).join(',')}]`;
}

/** The headers by their names. Of several with one name the last counts. */
function headerObject(headers: readonly RecordHeader[]): string {
  const members = Array.from(new Map(headers), ([name, value]) => `${quote(name)}:${quoteBytes(value)}`);
  return `{${members.join(',')}}`;
}

/** A rule's reader: the first of its sources that leads to something other than null, or what stands for it. */
function ruleReader(column: string, rule: SourceRule, type: string, documents: RecordDocuments): ColumnReader {
  const { constant, first = [], unit, required, default: standard } = rule;
  if (constant !== undefined) {
    const text = constantText(constant);
    return () => text;
  }
  const readers = first.map((from) => sourceReader(from, type, documents));
  const toTime = unit === undefined ? undefined : numberTime(type, unit);
  const inUnit = (json: string): string | Rejection =>
    toTime === undefined ? json : (toTime(json) ?? outOfRange(column));
  const standardText = standard === undefined ? undefined : inUnit(constantText(standard));
  const missing = requiredMissing(column, first);
  return (source, record) => {
    let found: ReturnType<ColumnReader>;
    for (const read of readers) {
      const value = read(source, record) ?? found;
      if (value !== undefined) found = value;
      if (found !== undefined && found !== 'null') break;
    }
    if (typeof found !== 'string' && found !== undefined) return found;
    if (found === undefined || found === 'null') return required === true ? missing : (standardText ?? found);
    return inUnit(found);
  };
}

/** A constant as JSON, one character per byte. */
export function constantText(constant: Constant): string {
  return typeof constant === 'string' ? quote(constant) : JSON.stringify(constant);
}

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

/** Mapped columns that refuse every value. JSON pointers, `value`, `document` and `headers` may give JSON. */
export function unfitMappings(
  table: TableColumns,
  columns: Readonly<Record<string, ColumnSource>>,
): readonly UnfitMapping[] {
  return Object.entries(columns).flatMap(([column, source]): UnfitMapping[] => {
    const type = table.get(column);
    if (type === undefined || sourcesOf(source).some(mayGiveJson)) return [];
    const from = sourceText(source);
    if (TAKES_JSON.test(type)) return [{ column, from, why: 'json' }];
    return from === 'timestamp' && !takesTimestamps(type, table.limits) ? [{ column, from, why: 'timestamp' }] : [];
  });
}

function mayGiveJson(from: string): boolean {
  return pointerOf(from) !== null || ['value', 'document', 'headers'].includes(from);
}
