/*
 * Why a record becomes no row. No message has a value of the record, and dead letters are counted by their messages.
 */
import { withoutControls } from '../../lib/controlCharacters.js';
import { fromLatin1 } from '../../lib/latin1.js';
import { LEFT_OUT, REJECTION_CODES, type Rejection } from '../../protocol/ack.js';
import { JsonObject, type JsonKind } from '../values/jsonBytesReader.js';
import type { TimeColumn } from './timestamps.js';

export function unknownField(key: string): Rejection {
  const name = shownName(key);
  const message = `the value has a field ${name}, which the table has no column for`;
  return { code: REJECTION_CODES.unknownField, message };
}

/** @param path of a member of an object, with its column */
export function unknownMember(path: string): Rejection {
  const message = `the value has a field ${shownName(path)}, which the Tuple of its column has no element for`;
  return { code: REJECTION_CODES.unknownField, message };
}

/** Says why a text is no JSON, without quoting it. */
export function notJson(text: string, { faultAt }: JsonObject): Rejection {
  const why = whyNotJson(text, faultAt);
  return { code: REJECTION_CODES.notJson, message: `the value is not JSON${why === undefined ? '' : `: ${why}`}` };
}

/** It does not name the place of the fault, because dead letters are counted by their messages. */
function whyNotJson(text: string, at: number): string | undefined {
  const begin = BEGINNINGS.find(([bytes]) => text.startsWith(bytes));
  if (begin !== undefined) return begin[1];
  if (text.startsWith(MAGIC_BYTE) && text.length > REGISTRY_HEADER_BYTES) return ofRegistry(text);
  if (text.trim() === '') return 'it is empty';
  if (at >= text.length) return 'it ends too early';
  if (at > 0 && /^\s*[{[]/.test(text) && /^[{[]/.test(text.slice(at)) && isComplete(text.slice(0, at)))
    return 'more JSON follows after it; each record holds one value';
  if (/^-?(nan|infinity)/i.test(text.slice(at, at + 9))) return 'JSON has no NaN and no Infinity';
  return undefined;
}

/** First bytes of values in other formats. */
const BEGINNINGS: readonly (readonly [bytes: string, message: string])[] = [
  ['\xff\xfe', 'it is UTF-16, and begins with a byte-order mark'],
  ['\xfe\xff', 'it is UTF-16, and begins with a byte-order mark'],
  ['\x1f\x8b', 'it is compressed with gzip'],
  ['\x28\xb5\x2f\xfd', 'it is compressed with Zstandard'],
];

/** A serializer with a schema registry writes this byte and 4 bytes with the schema's id before the value. */
const MAGIC_BYTE = '\x00';
const REGISTRY_HEADER_BYTES = 5;

function ofRegistry(text: string): string {
  const looks = `it begins with the magic byte and the schema id of a schema registry`;
  return isComplete(text.slice(REGISTRY_HEADER_BYTES))
    ? `${looks}, and JSON follows: a JSON Schema serializer has written it. Set format: json-schema, or keep the bytes with format: bytes`
    : `${looks}: it is Avro or Protobuf, most likely. Set format: avro or format: protobuf, or keep the bytes with format: bytes`;
}

function isComplete(text: string): boolean {
  return new JsonObject().read(Buffer.from(text, 'latin1')) !== undefined;
}

/** It is no rejection that anybody sees: the record is skipped. */
export function leftOut(): Rejection {
  return { code: LEFT_OUT, message: '' };
}

export function notObject(kind: JsonKind): Rejection {
  const what = kind === 'null' ? 'null' : kind === 'array' ? 'an array' : `a ${kind}`;
  return { code: REJECTION_CODES.notObject, message: `the value is ${what}, not a JSON object` };
}

export function notArray(kind: JsonKind): Rejection {
  const what = kind === 'null' ? 'null' : kind === 'object' ? 'an object' : `a ${kind}`;
  return { code: REJECTION_CODES.notJson, message: `the value is ${what}, not a JSON array` };
}

export function cutShort(): Rejection {
  return { code: REJECTION_CODES.notJson, message: 'the value is not JSON: it ends too early' };
}

export function moreFollows(): Rejection {
  const message = 'the value is not JSON: more follows after the array; each record holds one';
  return { code: REJECTION_CODES.notJson, message };
}

/** @param number of the row in its record, as in `_row` */
export function ofRow(number: number, { code, message }: Rejection): Rejection {
  return { code, message: `row ${number}: ${message}` };
}

export function tooManyRows(max: number): Rejection {
  const message = `the record has more than ${max} rows`;
  return { code: REJECTION_CODES.tooLarge, message };
}

export function rowsTooLarge(number: number): Rejection {
  const message = `row ${number}: the rows of the record up to this one are too large together`;
  return { code: REJECTION_CODES.tooLarge, message };
}

export function reservedField(name: string): Rejection {
  const message = `the value has a field ${name}, which is the name of an identity column; rename the field`;
  return { code: REJECTION_CODES.reservedField, message };
}

export function outOfRange(column: string): Rejection {
  const message = `the value for column ${column} does not fit into its type: ClickHouse would refuse it, or change it without a word`;
  return { code: REJECTION_CODES.outOfRange, message };
}

/** @param column that takes fields without a column, each once */
export function twice(name: string, column: string): Rejection {
  const message = `the value has the field ${shownName(name)} twice, which column ${column} would take once`;
  return { code: REJECTION_CODES.outOfRange, message };
}

/** @param sources that lead to nothing in the record */
export function requiredMissing(column: string, sources: readonly string[]): Rejection {
  const message = `the record has nothing for column ${column}, which is required: ${sources.join(' or ')} leads to nothing, or to null`;
  return { code: REJECTION_CODES.missingValue, message };
}

export function halfCharacter(column: string): Rejection {
  const message = `the value for column ${column} has half of a character (an unpaired surrogate), which no text holds`;
  return { code: REJECTION_CODES.outOfRange, message };
}

export function notColumns(name: string): Rejection {
  const path = shownName(name);
  const message = `the field ${path} is an array, but its columns (${path}.…) are filled from an object of arrays`;
  return { code: REJECTION_CODES.outOfRange, message };
}

export function noTime({ column, msMax }: TimeColumn): Rejection {
  const message =
    msMax < 0
      ? `column ${column} is to have the record's timestamp, and its type takes none`
      : `the record's timestamp is beyond any date that column ${column} can hold, or before the first: Kafka's are milliseconds since 1970`;
  return { code: REJECTION_CODES.outOfRange, message };
}

/** @param what of the record is too much for one row */
export function tooMuchMapped(what: 'to check' | 'for one row'): Rejection {
  const message = `too much ${what}: several columns take the same large part of the record`;
  return { code: REJECTION_CODES.tooLarge, message };
}

/** Characters of a field's name in an error message, at most. */
const FIELD_NAME_MAX = 64;

/** A field's name as people see it, in one line, cut if it is long. It is given with one character per byte. */
export function shownName(latin1Name: string): string {
  return withoutControls(fromLatin1(latin1Name).slice(0, FIELD_NAME_MAX));
}
