import { isMonthAlone, isTimeOfDay, plainYear, readDay, readTime, type TextTime } from './dateTexts.js';
import { integerWithin, isNumber, isString, smallInteger } from './scalars.js';
import { knowsZone, wallClock, zoneOf } from './timeZones.js';
import { isAtPath, isInVariant, type Place, type ValueCheck, type ValueLimits } from './valueCheck.js';

/* Checks for days, times and times of day. A date out of range would be moved to the nearest possible one. */

const DATE_TIME_MAX = 2 ** 32 - 1;

/** The last year of a DateTime64, on servers that support it. */
const YEAR_MAX = 9_999;
const EPOCH_YEAR = 1970;
const SECONDS_OF_DAY = 86_400;

/** Days since 1970 that a Date holds, up to 2149-06-06. */
export const DAYS_OF_DATE = [0, 65_535] as const;
/** Those of a Date32: from 1900-01-01 to 2299-12-31. */
export const DAYS_OF_DATE32 = [-25_567, 120_529] as const;

/** The check for a Date or Date32. */
export function dayCheck(min: number, max: number): ValueCheck {
  const within = integerWithin(BigInt(min), BigInt(max));
  const [firstYear, lastYear] = [yearOf(min * SECONDS_OF_DAY), yearOf(max * SECONDS_OF_DAY)];
  return (text, start, end) => {
    if (isNumber(text, start)) return within(text, start, end);
    // Nobody means a day by true or false. Null is the default.
    if (!isString(text, start)) return text[start] !== 't' && text[start] !== 'f';
    const year = end - start === LENGTH_OF_DAY ? plainYear(text, start, end) : 0;
    if (year > firstYear && year < lastYear) return true;
    const day = readDay(text.slice(start + 1, end - 1));
    return day === undefined || (day !== null && day >= min && day <= max);
  };
}

/** Length of `"2024-01-02"`, with its quotes. */
const LENGTH_OF_DAY = 12;

function yearOf(seconds: number): number {
  return new Date(seconds * 1000).getUTCFullYear();
}

/** The check for a DateTime. */
export function dateTimeCheck(zoneParameter: string, place: Place, limits: ValueLimits): ValueCheck {
  const range = [0, DATE_TIME_MAX] as const;
  return timeCheck(
    integerWithin(0n, BigInt(DATE_TIME_MAX)),
    range,
    wallRange(range, zoneOf(zoneParameter, limits.timeZone)),
    place,
  );
}

/** The check for a DateTime64. */
export function dateTime64Check(
  precision: number,
  zoneParameter: string,
  place: Place,
  limits: ValueLimits,
): ValueCheck {
  const [first, last] = limits.years;
  const ticks = 10n ** BigInt(precision);
  const yearsMin = Date.parse(`${String(first).padStart(4, '0')}-01-01T00:00:00Z`) / 1000;
  const yearsMax = Date.parse(`${last}-12-31T23:59:59Z`) / 1000;
  const [low, high] = [BigInt(yearsMin) * ticks, BigInt(yearsMax + 1) * ticks - 1n];
  const [int64Min, int64Max] = [-(2n ** 63n), 2n ** 63n - 1n];
  const within = integerWithin(low < int64Min ? int64Min : low, high > int64Max ? int64Max : high);
  // With nine digits, 64 bits hold the years from 1677 to 2262 only.
  const min = Math.max(yearsMin, Number(int64Min / ticks));
  const max = Math.min(yearsMax, Number(int64Max / ticks) - 1);
  const ofZone = wallRange([min, max], zoneOf(zoneParameter, limits.timeZone));
  const firstWall = min > yearsMin ? ofZone[0] : min;
  // West of Greenwich the last hours of 9999 are in 10000 in UTC, and UTC's range ends before them.
  const lastWall = max < yearsMax ? ofZone[1] : last < YEAR_MAX ? max : Math.min(max, ofZone[1]);
  const walls = [firstWall, lastWall] as const;
  if (limits.keepsEarlyFractions || precision === 0) return timeCheck(within, [min, max], walls, place);
  const [epochWall] = wallRange([0, max], zoneOf(zoneParameter, limits.timeZone));
  const losesFraction = ({ seconds, fraction, zoned }: TextTime): boolean =>
    seconds < (zoned ? 0 : epochWall) && /[1-9]/.test(fraction.slice(0, precision));
  return timeCheck(within, [min, max], walls, place, losesFraction);
}

/**
 * @param number the check for a number of ticks
 * @param range of seconds since 1970
 * @param walls the same range, as a clock of the column's time zone shows it
 * @param losesFraction whether the server would change the fraction of a time; none after 1970 may
 */
function timeCheck(
  number: ValueCheck,
  range: readonly [number, number],
  walls: readonly [number, number],
  place: Place,
  losesFraction?: (time: TextTime) => boolean,
): ValueCheck {
  const [firstYear, last] = [yearOf(range[0]), yearOf(range[1])];
  const first = losesFraction === undefined ? firstYear : Math.max(firstYear, EPOCH_YEAR);
  return (text, start, end) => {
    if (isNumber(text, start)) return number(text, start, end);
    if (!isString(text, start)) return true;
    const year = plainYear(text, start, end);
    if (year > first && year < last) return true;
    const content = text.slice(start + 1, end - 1);
    const time = readTime(content);
    // Another type of a Variant may take it, if ClickHouse makes no time of it.
    if (time === null) return isInVariant(place) && !/\d/.test(content) && !isMonthAlone(content);
    const [min, max] = time.zoned ? range : walls;
    return time.seconds >= min && time.seconds <= max && losesFraction?.(time) !== true;
  };
}

/**
 * The range that a clock of a time zone shows between two instants. ClickHouse has zones that JavaScript does not know
 * (`localtime`, `Fixed/UTC+02:00:00`). For these it is only assumed that they differ from UTC by less than a day.
 */
function wallRange([first, last]: readonly [number, number], timeZone: string): readonly [number, number] {
  if (!knowsZone(timeZone)) return [first + SECONDS_OF_DAY, last - SECONDS_OF_DAY];
  const wall = wallClock(timeZone);
  return [wall(first), wall(last)];
}

/** At a typed path of JSON, an integer counts ticks, but a number with a fraction or an exponent counts seconds. */
export function ticksCheck(check: ValueCheck, place: Place): ValueCheck {
  if (!isAtPath(place)) return check;
  return (text, start, end) =>
    (!isNumber(text, start) || smallInteger(text, start, end) !== undefined) && check(text, start, end);
}

/** 1000 hours, in seconds. */
const TIME_OF_DAY_END = 3_600_000n;

/** The check for a Time or Time64. */
export function timeOfDayCheck(precision: number): ValueCheck {
  const end = TIME_OF_DAY_END * 10n ** BigInt(precision);
  const number = integerWithin(1n - end, end - 1n);
  return (text, start, stop) => {
    if (isNumber(text, start)) return number(text, start, stop);
    if (!isString(text, start)) return true;
    const content = text.slice(start + 1, stop - 1);
    return isTimeOfDay(content) || !/\d/.test(content);
  };
}
