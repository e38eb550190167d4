/*
 * Finds the rows of a value that holds many: JSON Lines, or the elements of a JSON array. The rows themselves are read
 * later, so a row may be anything here.
 */
import { beginsWithMark, MARK_BYTES } from '../../lib/byteOrderMark.js';
import type { Rejection } from '../../protocol/ack.js';
import type { KafkaRecord } from '../../protocol/record.js';
import { RowOfRecord } from '../../protocol/rowOfRecord.js';
import type { ManyRowsFormat } from '../../protocol/settings.js';
import { JsonObject } from '../values/jsonBytesReader.js';
import { RecordValue } from './recordValue.js';
import { cutShort, moreFollows, notArray, notJson } from './rowRejections.js';

/**
 * The rows of a record, in order. A record without a value has none.
 *
 * @returns why the record is no such list. Undefined if it is one. It may have no rows
 */
export function* rowsOfRecord(
  record: KafkaRecord,
  format: ManyRowsFormat,
): Generator<RowOfRecord, Rejection | undefined, undefined> {
  const value = new RecordValue();
  if (!value.set(record)) return undefined;
  const { bytes, to } = value;
  const from = beginsWithMark(bytes, value.from, to) ? value.from + MARK_BYTES : value.from;
  return format === 'json-lines' ? yield* lines(record, bytes, from, to) : yield* elements(record, bytes, from, to);
}

/** Each line that has more than white space. */
function* lines(record: KafkaRecord, bytes: Buffer, from: number, to: number): Generator<RowOfRecord, undefined> {
  let number = 0;
  for (let start = from; start < to;) {
    let end = start;
    while (end < to && bytes[end] !== LINE_BREAK) end++;
    if (skipSpace(bytes, start, end) < end) yield new RowOfRecord(record, number++, bytes, start, end - start);
    start = end + 1;
  }
  return undefined;
}

function* elements(
  record: KafkaRecord,
  bytes: Buffer,
  from: number,
  to: number,
): Generator<RowOfRecord, Rejection | undefined> {
  const start = skipSpace(bytes, from, to);
  if (start === to) return undefined;
  if (bytes[start] !== OPEN_BRACKET) return noArray(bytes, from, to);
  let at = skipSpace(bytes, start + 1, to);
  if (at < to && bytes[at] === CLOSE_BRACKET) return endOfArray(bytes, at, to);
  for (let number = 0; ; number++) {
    const end = endOfElement(bytes, at, to);
    if (end === to) return cutShort();
    yield new RowOfRecord(record, number, bytes, at, end - at);
    if (bytes[end] === CLOSE_BRACKET) return endOfArray(bytes, end, to);
    at = end + 1;
  }
}

function noArray(bytes: Buffer, from: number, to: number): Rejection {
  const object = new JsonObject();
  const kind = object.read(bytes, from, to);
  return kind === undefined ? notJson(bytes.toString('latin1', from, to), object) : notArray(kind);
}

function endOfArray(bytes: Buffer, at: number, to: number): Rejection | undefined {
  return skipSpace(bytes, at + 1, to) < to ? moreFollows() : undefined;
}

/**
 * Where the comma or the bracket is that ends an element. If the array is JSON, this is its end. If it is not, one of the
 * elements is no JSON either, or the end of the array is not found.
 */
function endOfElement(bytes: Buffer, from: number, to: number): number {
  let depth = 0;
  for (let at = from; at < to; at++) {
    const code = bytes[at];
    if (code === QUOTE) {
      at = endOfText(bytes, at + 1, to);
    } else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
      depth++;
    } else if (depth === 0) {
      if (code === COMMA || code === CLOSE_BRACKET) return at;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
    }
  }
  return to;
}

/** Where the quote is that ends a text. */
function endOfText(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

/** White space within a line, and around values. */
function skipSpace(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && isSpace(bytes[at] as number)) at++;
  return at;
}

function isSpace(code: number): boolean {
  return code === SPACE || code === LINE_BREAK || code === CARRIAGE_RETURN || code === TAB;
}

const TAB = 9;
const LINE_BREAK = 10;
const CARRIAGE_RETURN = 13;
const SPACE = 32;
const QUOTE = 34;
const COMMA = 44;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;
