/*
 * A record's timestamp as a column's value.
 */
import { DATE_MS_MAX, NO_TIMESTAMP, timeText } from '../../protocol/record.js';
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

/** A column for timestamps, and the largest that it holds, in milliseconds since 1970. -1 if it holds none. */
export interface TimeColumn {
  readonly column: string;
  readonly msMax: number;
}

/** Returns the column that cannot hold a record's timestamp. Undefined if each of them can, and if the record has none. */
export type TimestampCheck = (timestampMs: number) => TimeColumn | undefined;

/** @param columns those that get the timestamp */
export function timestampCheck(table: TableColumns, columns: readonly string[]): TimestampCheck {
  const narrowest = narrowestTime(table, columns);
  if (narrowest === undefined) return () => undefined;
  const { msMax } = narrowest;
  const early = columns.map((column) => {
    const type = table.get(column) ?? '';
    return { column, msMax: timestampMax(type, table.limits), holds: earlyCheck(type, table.limits) };
  });
  return (timestampMs) => {
    if (timestampMs >= 0) return timestampMs > msMax ? narrowest : undefined;
    if (timestampMs === NO_TIMESTAMP) return undefined;
    return early.find(({ holds }) => !holds(timestampMs));
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

/** Of the columns that get the timestamp, the one that holds the least. Undefined if there are none. */
function narrowestTime(table: TableColumns, columns: readonly string[]): TimeColumn | undefined {
  let narrowest: TimeColumn | undefined;
  for (const column of columns) {
    const msMax = timestampMax(table.get(column) ?? '', table.limits);
    if (narrowest === undefined || msMax < narrowest.msMax) narrowest = { column, msMax };
  }
  return narrowest;
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
