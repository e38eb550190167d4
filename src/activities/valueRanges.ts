import { parseColumnType, parseTupleElement } from './columnTypes.js';
import { quoteIntegers } from './json.js';

/**
 * Values that ClickHouse would not refuse but change: it keeps the low bits of an integer that is too large for its
 * column (300 in a UInt8 becomes 44), moves dates to the nearest it can hold and the 30th of February into March, makes
 * infinity of a number too large for a float, and stores for null in an enum a number that makes the table unreadable.
 * Tried out on ClickHouse 26.7; there is no setting against it.
 */

/**
 * Whether a value passes its column unchanged, or is refused by ClickHouse itself.
 *
 * @param value as `JSON.parse` gives it
 * @param seen told where digits that decide got lost in JavaScript: then it is to be asked again, with what `JSON.parse`
 *   makes of the text after {@link quoteIntegers}. Twice for all values together is enough, however many there are.
 */
export type RangeCheck = (value: unknown, seen: Seen) => boolean;

/** What checks have met. */
export interface Seen {
  rounded: boolean;
}

/** Whether what a JSON text says passes. */
export function fits(check: RangeCheck, json: string): boolean {
  const seen = { rounded: false };
  return check(JSON.parse(json), seen) && (!seen.rounded || check(JSON.parse(quoteIntegers(json)), seen));
}

/** The check for a column's type; undefined where every value passes. */
export function rangeCheck(type: string): RangeCheck | undefined {
  const { name, parameters } = parseColumnType(type);
  const [first = '', second = ''] = parameters;
  const integer = /^(U?)Int(\d+)$/.exec(name);
  if (integer !== null) return integerCheck(integer[1] === '', Number(integer[2]));
  switch (name) {
    case 'Float32':
    case 'BFloat16':
      return floatCheck(FLOAT32_MAX);
    case 'Float64':
      return floatCheck(Number.MAX_VALUE);
    case 'Date':
      return dateCheck({ from: '1970-01-01', to: '2149-06-06', numberMin: 0, numberMax: SECONDS_MAX });
    case 'DateTime':
    case 'DateTime32':
      // A day more at each end: the text's time zone may move it into the range.
      return dateCheck({ from: '1969-12-31', to: '2106-02-08', numberMin: 0, numberMax: SECONDS_MAX });
    case 'Date32':
    case 'DateTime64':
      // The years that these can hold differ between versions of ClickHouse.
      return dateCheck({ from: '', to: ':', numberMin: Number.MIN_SAFE_INTEGER, numberMax: Number.MAX_SAFE_INTEGER });
    case 'Enum8':
    case 'Enum16':
      return parameters.some((element) => /=\s*0$/.test(element)) ? undefined : (value) => value !== null;
    case 'Nullable': {
      const check = rangeCheck(first);
      return check && ((value, seen) => value === null || check(value, seen));
    }
    case 'LowCardinality':
      return rangeCheck(first);
    case 'SimpleAggregateFunction':
      return rangeCheck(second);
    case 'Array':
      return arrayCheck(rangeCheck(first));
    case 'Map':
      return mapCheck(rangeCheck(first), rangeCheck(second));
    case 'Tuple':
      return tupleCheck(parameters);
    default:
      return undefined;
  }
}

const FLOAT32_MAX = 3.4028234663852886e38;
const SECONDS_MAX = 2 ** 32 - 1;

const INTEGER = /^[+-]?\d+$/;

function integerCheck(signed: boolean, bits: number): RangeCheck {
  const max = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
  const min = signed ? -max - 1n : 0n;
  const [numberMin, numberMax] = [Number(min), Number(max)];
  const digitsFit = (digits: string): boolean => {
    if (!INTEGER.test(digits)) return true;
    const integer = BigInt(digits.replace('+', ''));
    return integer >= min && integer <= max;
  };
  return (value, seen) => {
    if (typeof value === 'string') return digitsFit(value);
    if (typeof value !== 'number') return true;
    // At the limits of 64 bits and more, a number of JavaScript stands for several integers.
    if (bits >= 64 && (value === numberMin || value === numberMax) && value !== 0) seen.rounded = true;
    return value >= numberMin && value <= numberMax;
  };
}

function floatCheck(max: number): RangeCheck {
  return (value) => typeof value !== 'number' || Math.abs(value) <= max;
}

/** @param range days as texts, which sort as they follow each other; and seconds, days or ticks as numbers */
function dateCheck(range: { from: string; to: string; numberMin: number; numberMax: number }): RangeCheck {
  return (value) => {
    if (typeof value === 'number') return value >= range.numberMin && value <= range.numberMax;
    if (typeof value !== 'string' || value[4] !== '-' || value[7] !== '-') return true;
    const date = value.slice(0, 10);
    return date >= range.from && date <= range.to && isDay(date);
  };
}

/** @param date `2024-02-29`; what is no number is left to ClickHouse */
function isDay(date: string): boolean {
  const month = Number(date.slice(5, 7));
  const day = Number(date.slice(8, 10));
  if (day >= 1 && day <= 28 && month >= 1 && month <= 12) return true;
  const parsed = new Date(`${date}T00:00:00Z`);
  return Number.isNaN(month + day) || (parsed.getUTCMonth() + 1 === month && parsed.getUTCDate() === day);
}

function arrayCheck(item: RangeCheck | undefined): RangeCheck | undefined {
  if (item === undefined) return undefined;
  return (value, seen) => !Array.isArray(value) || value.every((element) => item(element, seen));
}

function mapCheck(key: RangeCheck | undefined, item: RangeCheck | undefined): RangeCheck | undefined {
  if (key === undefined && item === undefined) return undefined;
  return (value, seen) =>
    !isObject(value) ||
    Object.entries(value).every(([name, element]) => (key?.(name, seen) ?? true) && (item?.(element, seen) ?? true));
}

function tupleCheck(parameters: readonly string[]): RangeCheck | undefined {
  const elements = parameters.map(parseTupleElement).map(({ name, type }) => ({ name, check: rangeCheck(type) }));
  if (elements.every(({ check }) => check === undefined)) return undefined;
  return (value, seen) =>
    elements.every(({ name, check }, index) => {
      const member = Array.isArray(value) ? String(index) : name;
      if (check === undefined || member === undefined || !isObject(value)) return true;
      return !Object.hasOwn(value, member) || check(value[member], seen);
    });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
