/*
 * Where a mapped column takes its value from: a part of the value, a header, or another part of the record.
 */
import { withoutMark } from '../../lib/byteOrderMark.js';
import type { Rejection } from '../../protocol/ack.js';
import { lastHeader, NO_TIMESTAMP, type KafkaRecord, type RecordSource } from '../../protocol/record.js';
import type { TableColumns } from '../tableColumns.js';
import type { JsonObject } from '../values/jsonObject.js';
import type { JsonPointers } from '../values/jsonPointers.js';
import { quote, quoteBytes } from './quoting.js';
import { notJson } from './rowRejections.js';
import { takesTimestamps, timestampWriter } from './timestamps.js';

/** Returns a column's value as JSON. Undefined if there is none. */
export type ColumnReader = (source: RecordSource, record: KafkaRecord) => string | Rejection | undefined;

/**
 * @param json reads the value, for columns that need JSON
 * @param pointers must have read the record's value, before the reader is asked
 */
export function columnReader(from: string, type: string, json: JsonObject, pointers: JsonPointers): ColumnReader {
  if (from.startsWith('/')) {
    const place = pointers.add(from);
    return () => pointers.textAt(place);
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
    timestamp: (_source, { timestampMs }) => (timestampMs === NO_TIMESTAMP ? undefined : timestampText(timestampMs)),
    epoch: ({ epoch }) => quote(epoch),
  };
  const reader = readers[from];
  if (reader === undefined) throw new Error(`a column cannot be taken from ${from}`);
  return reader;
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
