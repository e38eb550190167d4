import type { TimeUnit } from '../../protocol/columnSource.js';
import { innerType, parseColumnType } from '../values/columnTypes.js';
import { everyItem } from '../values/jsonText.js';

/** Decimal places of a second that a unit counts. */
const PLACES: Readonly<Record<TimeUnit, number>> = { s: 0, ms: 3, us: 6, ns: 9 };

/** Types that take a time as text. */
const TIMES = /^DateTime(64)?$/;
const DAYS = /^Date(32)?$/;

const NUMBER = /^"?(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?"?$/;

/** Digits of a number that can be a time, with those after its point. */
const DIGITS_MAX = 60;
/** The year 9999 ends before this many seconds since 1970. */
const SECONDS_MAX = 253_402_300_800n;
/** The year 0 begins at this many. */
const SECONDS_MIN = -62_167_219_200n;
const NANOSECONDS = 1_000_000_000n;

/**
 * Makes the JSON text of a number, or of digits in a text, the JSON text of a time: `1704164645678` in ms is
 * `"2024-01-02T03:04:05.678Z"`. No digit passes through a double. Smaller fractions than nanoseconds are cut, towards the
 * past. The same of each item of an array, if the column has arrays. Other values stay as they are, and so does every value
 * of a type without times.
 *
 * @param text the type, as in `system.columns`
 * @returns null if a number is no time of the years 0 to 9999
 */
export function numberTime(text: string, unit: TimeUnit): Convert {
  return converterOf(text, unit) ?? ((json) => json);
}

type Convert = (json: string) => string | null;

/** Undefined if the type has no times. */
function converterOf(text: string, unit: TimeUnit): Convert | undefined {
  const { name, parameters } = innerType(text);
  const [first = '', second = ''] = parameters;
  if (TIMES.test(name) || DAYS.test(name)) return timeConverter(unit, DAYS.test(name));
  if (name === 'SimpleAggregateFunction') return converterOf(second, unit);
  if (name === 'Array') return arrayConverter(converterOf(first, unit));
  return name === 'Variant' ? variantConverter(parameters, unit) : undefined;
}

function arrayConverter(convert: Convert | undefined): Convert | undefined {
  if (convert === undefined) return undefined;
  return (json) => {
    if (!json.startsWith('[')) return json;
    const items: string[] = [];
    const areTimes = everyItem(json, 0, (start, end) => {
      const item = convert(json.slice(start, end));
      if (item !== null) items.push(item);
      return item !== null;
    });
    return areTimes ? `[${items.join(',')}]` : null;
  };
}

/** One of its types is for numbers, and one for arrays. A time of day is kept if any of the types keeps it. */
function variantConverter(types: readonly string[], unit: TimeUnit): Convert | undefined {
  const isArray = (type: string): boolean => parseColumnType(type).name === 'Array';
  const first = (ones: readonly string[]): Convert | undefined =>
    ones.map((type) => converterOf(type, unit)).find((convert) => convert !== undefined);
  const times = types.filter((type) => TIMES.test(parseColumnType(type).name));
  const ofNumbers = first([...times, ...types.filter((type) => !isArray(type))]);
  const ofArrays = first(types.filter(isArray));
  if (ofNumbers === undefined && ofArrays === undefined) return undefined;
  return (json) => {
    const convert = json.startsWith('[') ? ofArrays : ofNumbers;
    return convert === undefined ? json : convert(json);
  };
}

function timeConverter(unit: TimeUnit, isDay: boolean): Convert {
  return (json) => {
    const [, sign, whole = '', fraction = '', exponent = '0'] = NUMBER.exec(json) ?? [];
    if (sign === undefined) return json;
    if (json.length > DIGITS_MAX || Math.abs(Number(exponent)) > DIGITS_MAX) return null;
    const digits = BigInt(`${sign}${whole}${fraction}`);
    // The number is digits / 10^(length of the fraction) * 10^exponent, in the unit.
    const shift = 9 - PLACES[unit] - fraction.length + Number(exponent);
    const nanoseconds = shift >= 0 ? digits * 10n ** BigInt(shift) : floorDivided(digits, 10n ** BigInt(-shift));
    const seconds = floorDivided(nanoseconds, NANOSECONDS);
    if (seconds < SECONDS_MIN || seconds >= SECONDS_MAX) return null;
    const text = new Date(Number(seconds) * 1000).toISOString();
    if (isDay) return `"${text.slice(0, 10)}"`;
    const rest = String(nanoseconds - seconds * NANOSECONDS)
      .padStart(9, '0')
      .replace(/0+$/, '');
    return `"${text.slice(0, 19)}${rest === '' ? '' : `.${rest}`}Z"`;
  };
}

function floorDivided(number: bigint, by: bigint): bigint {
  const quotient = number / by;
  return number < 0n && quotient * by !== number ? quotient - 1n : quotient;
}
