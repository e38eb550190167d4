/*
 * A record's timestamp as a column's value.
 */
import { writeLastDigits } from '../../lib/digits.js';
import { DATE_MS_MAX, NO_TIMESTAMP, timeText } from '../../protocol/record.js';
import type { RowBlocks } from '../rowBlocks.js';
import type { TableColumns } from '../tableColumns.js';
import { checkOfType } from '../values/checkOfType.js';
import { innerType, type ColumnType } from '../values/columnTypes.js';
import type { ValueLimits } from '../values/valueCheck.js';

/** Types of numbers that keep every digit of milliseconds. */
const NUMBER = /^(U?Int\d+|Float64|Decimal)$/;

/** Types of days. ClickHouse takes no text with a time of day for them. */
const DAY = /^Date(32)?$/;

const TEXT = /^(String|DateTime(64)?|Dynamic|Variant)$/;

/** The last millisecond of year 9999. */
const FOUR_DIGITS_MS_MAX = Date.UTC(10_000, 0) - 1;

/** The first millisecond of year 0. Earlier years have a sign and six digits. */
const YEAR_0_MS = Date.parse('0000-01-01T00:00:00Z');

/** A timestamp long before any record of today, with as many digits as theirs: 2001-09-09. */
const LONG_AGO_MS = 1e12;

/**
 * Writes a timestamp, in milliseconds since 1970, as JSON for a column: milliseconds for numbers, the day in UTC for days,
 * otherwise a text that ClickHouse's best-effort parser reads for all types of times.
 *
 * @param text the type, as in `system.columns`
 */
export function timestampWriter(text: string): (timestampMs: number) => string {
  const { name } = storedType(text);
  if (NUMBER.test(name)) return String;
  if (DAY.test(name)) return (timestampMs) => `"${timeText(timestampMs).slice(0, DAY_LENGTH)}"`;
  return (timestampMs) => `"${timeText(timestampMs)}"`;
}

const DAY_LENGTH = '2026-01-02'.length;

/**
 * Writes timestamps into rows, the same bytes as those of {@link timestampWriter}.
 *
 * @param text the type, as in `system.columns`
 */
export function timestampBytesWriter(text: string): (into: RowBlocks, timestampMs: number) => void {
  const { name } = storedType(text);
  const write = timestampWriter(text);
  if (NUMBER.test(name) || DAY.test(name)) return (into, timestampMs) => into.text(write(timestampMs));
  const time = new TimeText();
  return (into, timestampMs) => {
    if (time.set(timestampMs)) into.bytes(time.bytes, 0, time.bytes.length);
    else into.text(write(timestampMs));
  };
}

/**
 * The text of a timestamp in quotes, as bytes. Most timestamps of a batch are of one day, so only their time of day is
 * written anew: a `Date` for each takes ten times as long.
 */
class TimeText {
  readonly bytes = Buffer.from('"0000-00-00T00:00:00.000Z"');
  #dayStartMs = NaN;

  /** @returns false if it is no date of a year with four digits */
  set(timestampMs: number): boolean {
    const ofDay = timestampMs - this.#dayStartMs;
    if (!(ofDay >= 0 && ofDay < DAY_MS)) return this.#setDay(timestampMs);
    const { bytes } = this;
    const seconds = Math.floor(ofDay / 1000);
    const minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    writeLastDigits(bytes, HOURS_AT, HOURS_AT + 2, hours);
    writeLastDigits(bytes, HOURS_AT + 3, HOURS_AT + 5, minutes - hours * 60);
    writeLastDigits(bytes, HOURS_AT + 6, HOURS_AT + 8, seconds - minutes * 60);
    writeLastDigits(bytes, HOURS_AT + 9, HOURS_AT + 12, ofDay - seconds * 1000);
    return true;
  }

  #setDay(timestampMs: number): boolean {
    const text = `"${timeText(timestampMs)}"`;
    if (text.length !== this.bytes.length) return false;
    this.bytes.write(text, 'latin1');
    this.#dayStartMs = Math.floor(timestampMs / DAY_MS) * DAY_MS;
    return true;
  }
}

const DAY_MS = 86_400_000;

/** Where the hours are in the text. */
const HOURS_AT = '"2026-01-02T'.length;

/** A column for timestamps, and the largest that it holds, in milliseconds since 1970. -1 if it holds none. */
export interface TimeColumn {
  readonly column: string;
  readonly msMax: number;
}

/** Returns the column that cannot hold a record's timestamp. Undefined if each of them can, and if the record has none. */
export type TimestampCheck = (timestampMs: number) => TimeColumn | undefined;

/** @param columns those that get the timestamp */
export function timestampCheck(table: TableColumns, columns: readonly string[]): TimestampCheck {
  const checked = columns.map((column) => {
    const type = table.get(column) ?? '';
    return { column, msMax: timestampMax(type, table.limits), holdsEarly: earlyCheck(type, table.limits) };
  });
  // The one that holds the least comes first.
  checked.sort((a, b) => a.msMax - b.msMax);
  const [narrowest] = checked;
  if (narrowest === undefined) return () => undefined;
  const { msMax } = narrowest;
  return (timestampMs) => {
    if (timestampMs >= 0) return timestampMs > msMax ? narrowest : undefined;
    if (timestampMs === NO_TIMESTAMP) return undefined;
    return checked.find(({ holdsEarly }) => !holdsEarly(timestampMs));
  };
}

/**
 * Returns whether a column of this type holds a timestamp before 1970. Each is tried by itself: some servers keep whole
 * seconds of that time, and no fractions.
 */
function earlyCheck(type: string, limits: ValueLimits | undefined): (timestampMs: number) => boolean {
  const { name } = storedType(type);
  const check = checkOfType(type, limits);
  const write = timestampWriter(type);
  // The checks of numbers leave it to ClickHouse to refuse a sign.
  if (name.startsWith('UInt')) return () => false;
  const msMin = check === undefined || NUMBER.test(name) ? -DATE_MS_MAX : YEAR_0_MS;
  return (timestampMs) => {
    if (timestampMs < msMin) return false;
    const value = write(timestampMs);
    return check?.(value, 0, value.length) !== false;
  };
}

/** The largest timestamp that a column of this type holds, in milliseconds since 1970. -1 if it holds none. */
function timestampMax(type: string, limits: ValueLimits | undefined): number {
  const check = checkOfType(type, limits);
  if (check === undefined) return DATE_MS_MAX;
  const write = timestampWriter(type);
  const fits = (timestampMs: number): boolean => {
    const value = write(timestampMs);
    return check(value, 0, value.length);
  };
  let least = -1;
  // The checks of dates do not accept years of more than four digits.
  let beyond = (NUMBER.test(storedType(type).name) ? DATE_MS_MAX : FOUR_DIGITS_MS_MAX) + 1;
  while (least + 1 < beyond) {
    const middle = Math.floor((least + beyond) / 2);
    if (fits(middle)) least = middle;
    else beyond = middle;
  }
  return least;
}

/** Whether a column of this type takes the timestamps of records of today. */
export function takesTimestamps(type: string, limits: ValueLimits | undefined): boolean {
  const { name, parameters } = storedType(type);
  const [size = 0, scale = 0] = parameters.map(Number);
  // ClickHouse refuses what such a type is too short for, so the checks of values do not look at it.
  if (name === 'FixedString') return size >= timeText(LONG_AGO_MS).length;
  if (name === 'Decimal' && size - scale < String(LONG_AGO_MS).length) return false;
  return (NUMBER.test(name) || DAY.test(name) || TEXT.test(name)) && timestampMax(type, limits) >= LONG_AGO_MS;
}

/** The type of what is stored, without what stands around it. */
function storedType(text: string): ColumnType {
  const type = innerType(text);
  return type.name === 'SimpleAggregateFunction' ? innerType(type.parameters[1] ?? '') : type;
}
