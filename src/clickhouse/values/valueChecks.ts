import { parseColumnType, parseTupleElement, type ColumnType } from './columnTypes.js';
import { isMonthAlone, isTimeOfDay, plainYear, readDay, readTime, type TextTime } from './dateTexts.js';
import { everyItem, everyScalar, hasBareNull, objectMembers, objectNames, textOfString } from './json.js';
import { keyNames } from './mapKeys.js';
import { knowsZone, wallClock, zoneOf } from './timeZones.js';

/*
 * Finds values that ClickHouse would change instead of refusing them. It keeps only the low bits of an integer that is
 * too large for its column (300 in a UInt8 becomes 44). It moves dates to the nearest possible one, and the 30th of
 * February into March. It makes infinity of a number that is too large for a float. It drops members of an object for
 * which a tuple has no element. No setting makes it refuse these values.
 *
 * Tested on ClickHouse 26.7 by the fuzz test of values, which compares what is stored with what was written, for all
 * types.
 */

/**
 * Whether a value is stored unchanged, or ClickHouse itself refuses it. False means that ClickHouse would change it.
 *
 * @param text valid JSON. The value is from `start` to `end`
 */
export type ValueCheck = (text: string, start: number, end: number) => boolean;

/** What differs between servers. */
export interface ValueLimits {
  /** The time zone of columns that name none: that of the inserts' session, or the server's. */
  readonly timeZone: string;
  /** The first and the last year of a `DateTime64`. */
  readonly years: readonly [first: number, last: number];
  /**
   * Whether the server refuses a text that is nearly a float (`-`, `1e+`) or nearly a UUID (with a `g`). Some versions,
   * 24.8 to 26.3, take it for 0, for 1, or for another UUID.
   */
  readonly refusesNearly: boolean;
  /** Whether a `DateTime64` before 1970 keeps its fraction. 24.8 and 25.8 subtract it: 37.5 s become 36.5 s. */
  readonly keepsEarlyFractions: boolean;
  /**
   * Whether an integer too large for a double keeps its digits in a `JSON` column, at a path without a type, if another
   * record of the insert has a fraction there. 24.8 and 25.8 round it to the nearest double.
   */
  readonly keepsIntegers: boolean;
  /**
   * The same for an integer in an array, if another record has an array with a fraction. No version up to 26.9 keeps
   * it.
   */
  readonly keepsIntegersOfArrays: boolean;
}

/** The limits of every supported server. */
export const DEFAULT_LIMITS: ValueLimits = {
  timeZone: 'UTC',
  years: [1900, 2299],
  refusesNearly: false,
  keepsEarlyFractions: false,
  keepsIntegers: false,
  keepsIntegersOfArrays: false,
};

/**
 * The place of a type, because ClickHouse reads values differently. `variant`: it searches for a type that fits.
 * `path`: a typed path of a JSON column. `pathVariant`: it searches for a type at such a path, and would cut fractions
 * off.
 */
type Place = 'column' | 'variant' | 'path' | 'pathVariant';

/** The check for a column's type. Undefined if every value passes. */
export function valueCheck(type: string, limits = DEFAULT_LIMITS): ValueCheck | undefined {
  return checkOf(type, limits, 'column');
}

function checkOf(text: string, limits: ValueLimits, place: Place): ValueCheck | undefined {
  const type = parseColumnType(text);
  const { name, parameters } = type;
  const [first = '', second = ''] = parameters;
  const of = (inner: string): ValueCheck | undefined => checkOf(inner, limits, place);
  if (/^(U?Int\d+|Interval.+)$/.test(name)) return integerCheck(name, place);
  switch (name) {
    case 'Float32':
    case 'BFloat16':
      return floatCheck(Math.fround, place, limits);
    case 'Float64':
      return floatCheck(Number, place, limits);
    case 'Decimal':
      return place === 'path' ? decimalPathCheck : decimalCheck;
    case 'Date':
      return dayCheck(0, DATE_MAX);
    case 'Date32':
      return dayCheck(DATE32_MIN, DATE32_MAX);
    case 'DateTime':
    case 'DateTime32':
      return dateTimeCheck(first, place, limits);
    case 'DateTime64':
      return ticksCheck(dateTime64Check(Number(first), second, place, limits), place);
    case 'Time':
      return timeOfDayCheck(0);
    case 'Time64':
      return ticksCheck(timeOfDayCheck(Number(first)), place);
    case 'Bool':
      return isAtPath(place) ? boolPathCheck : undefined;
    case 'Enum8':
    case 'Enum16':
      return enumCheck(parameters);
    case 'UUID':
      return uuidCheck(place, limits);
    case 'IPv6':
      return ipv6Check;
    case 'Nullable':
      return nullableCheck(of(first));
    case 'LowCardinality':
      return of(first);
    case 'SimpleAggregateFunction':
      return of(second);
    case 'Array':
      return arrayCheck(of(first));
    case 'Map':
      return mapCheck(first, of(first), of(second), limits);
    case 'Tuple':
      return tupleCheck(parameters, of);
    case 'Nested':
      return arrayCheck(tupleCheck(parameters, of));
    case 'Variant':
      return allOf([
        ...parameters.map((inner) => checkOf(inner, limits, placeInVariant(place, parameters))),
        isAtPath(place) ? variantPathCheck(parameters) : variantTextCheck(parameters),
      ]);
    case 'QBit':
      return arrayCheck(of(first));
    case 'JSON':
    case 'Object':
      return pathsCheck(type, limits);
    case 'Dynamic':
      return allOf([
        numbersCheck(true, isAtPath(place) ? limits : undefined),
        integersCheck,
        namesCheck,
        isAtPath(place) ? nullsCheck : nullsOfTuplesCheck,
      ]);
    case 'Geometry':
      return allOf([...SHAPES.values()].map(of));
    case 'String':
      return place === 'path' ? textPathCheck : undefined;
    case 'FixedString':
      return place === 'path' ? fixedTextPathCheck : undefined;
    default: {
      const shape = SHAPES.get(name);
      return shape === undefined ? undefined : of(shape);
    }
  }
}

function isAtPath(place: Place): boolean {
  return place === 'path' || place === 'pathVariant';
}

function isInVariant(place: Place): boolean {
  return place === 'variant' || place === 'pathVariant';
}

/** At a path, another type of a Variant besides its integers may take a fraction or a text unchanged. */
function placeInVariant(place: Place, parameters: readonly string[]): Place {
  return isAtPath(place) && !parameters.some((type) => TAKES_FRACTIONS.test(type)) ? 'pathVariant' : 'variant';
}

/**
 * At a path, a Variant with `Bool` turns all integers up to 255 into true or false, even if another of its types could
 * take them. A Variant with texts but no numbers writes numbers in its own way.
 */
function variantPathCheck(parameters: readonly string[]): ValueCheck | undefined {
  const takesText = parameters.some((type) => TAKES_TEXT.test(type));
  const takesNumbers = parameters.some((type) => TAKES_NUMBERS.test(type));
  return allOf([
    parameters.includes('Bool') ? boolOfVariantCheck(takesText) : undefined,
    takesText && !takesNumbers ? textPathCheck : undefined,
  ]);
}

/**
 * A Variant column with integers or floats turns the texts `true` and `false` into 1 and 0, even if it also takes
 * texts.
 */
function variantTextCheck(parameters: readonly string[]): ValueCheck | undefined {
  if (!parameters.some((type) => TAKES_TEXT.test(type)) || !parameters.some((type) => TAKES_BITS.test(type)))
    return undefined;
  return (text, start, end) => {
    if (!isString(text, start) || end - start > '"false"'.length) return true;
    const content = text.slice(start + 1, end - 1);
    return content !== 'true' && content !== 'false';
  };
}

const TAKES_BITS = /^(?:LowCardinality\()?(?:U?Int|Float|BFloat)/;
const TAKES_TEXT = /^(?:LowCardinality\()?(?:String|FixedString)/;
const TAKES_NUMBERS = /^(?:U?Int|Float|BFloat|Decimal)/;
const BOOL_INTEGER_MAX = 255;

function boolOfVariantCheck(takesText: boolean): ValueCheck {
  return (text, start, end) => {
    const isText = isString(text, start);
    if (!isText && !isNumber(text, start)) return true;
    const content = isText ? textOfString(text, start, end) : text.slice(start, end);
    const value = Number(content);
    if (!(value >= 0 && value <= BOOL_INTEGER_MAX)) return true;
    if (isText) return !/^\+?\d+$/.test(content) || (!takesText && (content === '0' || content === '1'));
    return !Number.isInteger(value) || value === 1 || Object.is(value, 0);
  };
}

const TAKES_FRACTIONS = /^(?:LowCardinality\()?(?:String|FixedString|Float|BFloat|Decimal)/;

/** The types that geometries stand for. */
const SHAPES: ReadonlyMap<string, string> = new Map([
  ['Point', 'Tuple(Float64, Float64)'],
  ['Ring', 'Array(Point)'],
  ['LineString', 'Array(Point)'],
  ['Polygon', 'Array(Ring)'],
  ['MultiLineString', 'Array(LineString)'],
  ['MultiPolygon', 'Array(Polygon)'],
]);

/** Days since 1970: 2149-06-06. */
const DATE_MAX = 65_535;
/** 1900-01-01 and 2299-12-31. */
const DATE32_MIN = -25_567;
const DATE32_MAX = 120_529;
const EPOCH_YEAR = 1970;
const SECONDS_OF_DAY = 86_400;
const DATE_TIME_MAX = 2 ** 32 - 1;
/** The last year of a DateTime64, on servers that support it. */
const YEAR_MAX = 9_999;

const QUOTE = 34;
const MINUS = 45;
const ZERO = 48;

const INTEGER = /^[+-]?\d+$/;
/**
 * This pattern and those of keys can match digits in one way only. Otherwise a text of a million digits takes hours.
 */
const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const NO_NUMBER = /^[+-]?(?:nan|inf|infinity)$/i;

/** Whether ClickHouse reads a text as a float. */
function isFloatText(text: string): boolean {
  return DECIMAL.test(text) || NO_NUMBER.test(text);
}

function isNumber(text: string, start: number): boolean {
  const code = text.charCodeAt(start);
  return code === MINUS || (code >= ZERO && code <= 57);
}

function isString(text: string, start: number): boolean {
  return text.charCodeAt(start) === QUOTE;
}

/** So many digits are always exact in a JavaScript number. */
const SAFE_DIGITS = 15;

/** The integer, exact if it is in the safe range. Undefined for numbers with a fraction or an exponent. */
function smallInteger(text: string, start: number, end: number): number | undefined {
  const negative = text.charCodeAt(start) === MINUS;
  let value = 0;
  for (let at = negative ? start + 1 : start; at < end; at++) {
    const digit = text.charCodeAt(at) - ZERO;
    if (!(digit >= 0 && digit <= 9)) return undefined;
    value = value * 10 + digit;
  }
  return negative ? -value : value;
}

/**
 * Whether a number is in a range, exact to its last digit. Numbers with a fraction or an exponent are left to
 * ClickHouse.
 */
function integerWithin(min: bigint, max: bigint): ValueCheck {
  const [low, high] = [Number(min), Number(max)];
  return (text, start, end) => {
    const value = smallInteger(text, start, end);
    if (value === undefined) return true;
    return end - start <= SAFE_DIGITS ? value >= low && value <= high : isWithin(text.slice(start, end), min, max);
  };
}

/**
 * More digits than the largest integer of 256 bits. Longer numbers are not turned into integers, because that is slow.
 */
const DIGITS_MAX = 80;

function isWithin(digits: string, min: bigint, max: bigint): boolean {
  let significant = digits;
  if (digits.length > DIGITS_MAX || digits.startsWith('+')) {
    significant = digits.replace(/^\+?(-?)0*(?=\d)/, '$1');
    if (significant.length > DIGITS_MAX) return false;
  }
  const value = BigInt(significant);
  return value >= min && value <= max;
}

function integerCheck(name: string, place: Place): ValueCheck | undefined {
  const [, unsigned, digits] = /^(U?)Int(\d+)$/.exec(name) ?? ['', '', '64'];
  const bits = Number(digits);
  // While it searches for a type, ClickHouse itself notices numbers that are too large, up to 64 bits. But it reads an
  // empty text as 0, even if texts are allowed.
  if (place === 'variant' && bits <= 64) return (text, start, end) => !isString(text, start) || end - start > 2;
  // At a typed path of JSON, ClickHouse cuts off the fractions of numbers and texts, and makes an integer of "nan".
  const ofFloats = place === 'path' || place === 'pathVariant';
  if (place === 'pathVariant' && bits <= 64)
    return (text, start, end) => {
      if (isNumber(text, start)) return smallInteger(text, start, end) !== undefined;
      if (!isString(text, start)) return true;
      const content = textOfString(text, start, end);
      return content !== '' && (INTEGER.test(content) || !isFloatText(content));
    };
  const max = 2n ** BigInt(unsigned === '' ? bits - 1 : bits) - 1n;
  const min = unsigned === '' ? -max - 1n : 0n;
  const within = integerWithin(min, max);
  return (text, start, end) => {
    if (isNumber(text, start))
      return within(text, start, end) && (!ofFloats || smallInteger(text, start, end) !== undefined);
    if (!isString(text, start)) return true;
    const content = textOfString(text, start, end);
    // ClickHouse reads an empty text as 0.
    if (INTEGER.test(content)) return isWithin(content, min, max);
    return content !== '' && !(ofFloats && isFloatText(content));
  };
}

/** At a typed path of JSON, ClickHouse reads every number, and every text that looks like a float, as true or false. */
const boolPathCheck: ValueCheck = (text, start, end) => {
  const isText = isString(text, start);
  if (!isText && !isNumber(text, start)) return true;
  const content = isText ? textOfString(text, start, end) : text.slice(start, end);
  return content === '0' || content === '1' || (isText && !isFloatText(content));
};

/** What has no digits before its exponent, or none in it: to older servers a float. */
const NEARLY_FLOAT = /^[+-]?(?:\.?(?:[eE][+-]?\d*)?|(?:\d+(?:\.\d*)?|\.\d+)[eE][+-]?)$/;

/** Older servers read as 0 what has no digit. */
function floatCheck(rounded: (value: number) => number, place: Place, limits: ValueLimits): ValueCheck {
  const isFinite = (digits: string): boolean => Number.isFinite(rounded(Number(digits)));
  // Another type of a Variant may take a text.
  const takesText = (content: string): boolean =>
    isInVariant(place) && (limits.refusesNearly || !NEARLY_FLOAT.test(content));
  return (text, start, end) => {
    if (isNumber(text, start)) return isFinite(text.slice(start, end));
    if (!isString(text, start)) return true;
    const content = textOfString(text, start, end);
    return DECIMAL.test(content) ? isFinite(content) : NO_NUMBER.test(content) || takesText(content);
  };
}

const UUID = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$|^[\da-f]{32}$/i;
/** What older servers read as a UUID: they look at the length, and with hyphens at their places. */
const NEARLY_UUID = /^(?:[^]{8}(?:-[^]{4}){3}-[^]{12}|[^]{32})$/;

/** Older servers make a digit of any byte. */
function uuidCheck(place: Place, limits: ValueLimits): ValueCheck {
  const takesText = (content: string): boolean =>
    isInVariant(place) && (limits.refusesNearly || !NEARLY_UUID.test(content));
  return (text, start, end) => {
    if (!isString(text, start)) return true;
    const content = textOfString(text, start, end);
    return UUID.test(content) || takesText(content);
  };
}

const OF_IPV6 = /^[\da-f:.]+$/i;

/** `1::2:` is read without its last colon, by every server. */
const ipv6Check: ValueCheck = (text, start, end) => {
  if (!isString(text, start)) return true;
  const content = textOfString(text, start, end);
  if (!content.endsWith(':') || content.endsWith('::')) return true;
  return !content.includes('::') || !OF_IPV6.test(content);
};

/** ClickHouse reads a text without digits as 0, and `1.2.3` as 1.23. */
const decimalCheck: ValueCheck = (text, start, end) => {
  return !isString(text, start) || DECIMAL.test(textOfString(text, start, end));
};

/** At a typed path of JSON, ClickHouse converts numbers through a float. */
const decimalPathCheck: ValueCheck = (text, start, end) => {
  if (!isNumber(text, start)) return decimalCheck(text, start, end);
  const digits = text
    .slice(start, end)
    .replace(/[eE].*$/, '')
    .replace('.', '')
    .replace(/^-?0*/, '');
  return digits.length <= SAFE_DIGITS;
};

function dayCheck(min: number, max: number): ValueCheck {
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

function dateTimeCheck(zoneParameter: string, place: Place, limits: ValueLimits): ValueCheck {
  const range = [0, DATE_TIME_MAX] as const;
  return timeCheck(
    integerWithin(0n, BigInt(DATE_TIME_MAX)),
    range,
    wallRange(range, zoneOf(zoneParameter, limits.timeZone)),
    place,
  );
}

function dateTime64Check(precision: number, zoneParameter: string, place: Place, limits: ValueLimits): ValueCheck {
  const [first, last] = limits.years;
  const ticks = 10n ** BigInt(precision);
  const min = Date.parse(`${String(first).padStart(4, '0')}-01-01T00:00:00Z`) / 1000;
  const max = Date.parse(`${last}-12-31T23:59:59Z`) / 1000;
  const [low, high] = [BigInt(min) * ticks, BigInt(max + 1) * ticks - 1n];
  const [int64Min, int64Max] = [-(2n ** 63n), 2n ** 63n - 1n];
  const within = integerWithin(low < int64Min ? int64Min : low, high > int64Max ? int64Max : high);
  // West of Greenwich the last hours of 9999 are in 10000 in UTC, and UTC's range ends before them.
  const lastWall = last < YEAR_MAX ? max : wallRange([min, max], zoneOf(zoneParameter, limits.timeZone))[1];
  const walls = [min, Math.min(max, lastWall)] as const;
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
function ticksCheck(check: ValueCheck, place: Place): ValueCheck {
  if (place !== 'path' && place !== 'pathVariant') return check;
  return (text, start, end) =>
    (!isNumber(text, start) || smallInteger(text, start, end) !== undefined) && check(text, start, end);
}

/** 1000 hours, in seconds. */
const TIME_OF_DAY_END = 3_600_000n;

function timeOfDayCheck(precision: number): ValueCheck {
  const end = TIME_OF_DAY_END * 10n ** BigInt(precision);
  const number = integerWithin(1n - end, end - 1n);
  return (text, start, stop) => {
    if (isNumber(text, start)) return number(text, start, stop);
    if (!isString(text, start)) return true;
    const content = text.slice(start + 1, stop - 1);
    return isTimeOfDay(content) || !/\d/.test(content);
  };
}

function enumValues(elements: readonly string[]): ReadonlySet<number> {
  return new Set(elements.map((element) => Number(/=\s*(-?\d+)$/.exec(element)?.[1])));
}

/**
 * Whether a type can hold zero. ClickHouse stores zero for null, and for a missing element of a tuple, even in an enum
 * without such an element. It accepts the insert, and then nothing of the column can be read in that part any more, not
 * even rows of others.
 */
function takesZero(text: string): boolean {
  const type = parseColumnType(text);
  switch (type.name) {
    case 'Enum8':
    case 'Enum16':
      return enumValues(type.parameters).has(0);
    case 'Tuple':
      return type.parameters.every((parameter) => takesZero(parseTupleElement(parameter).type));
    case 'JSON':
      return typedPaths(type).every(([, pathType]) => takesZero(pathType));
    default:
      return true;
  }
}

function enumCheck(elements: readonly string[]): ValueCheck {
  const values = enumValues(elements);
  return (text, start, end) => {
    if (text[start] === 'n') return values.has(0);
    if (!isNumber(text, start)) return true;
    const value = smallInteger(text, start, end);
    return value === undefined || values.has(value);
  };
}

function nullableCheck(check: ValueCheck | undefined): ValueCheck | undefined {
  return check && ((text, start, end) => text[start] === 'n' || check(text, start, end));
}

function allOf(checks: readonly (ValueCheck | undefined)[]): ValueCheck | undefined {
  const present = checks.filter((check) => check !== undefined);
  if (present.length === 0) return undefined;
  return (text, start, end) => present.every((check) => check(text, start, end));
}

function arrayCheck(item: ValueCheck | undefined): ValueCheck | undefined {
  if (item === undefined) return undefined;
  return (text, start) => text[start] !== '[' || everyItem(text, start, (from, to) => item(text, from, to));
}

/** If a key occurs twice, in whatever form, readers see only one of its values. */
function mapCheck(
  keyType: string,
  key: ValueCheck | undefined,
  value: ValueCheck | undefined,
  { timeZone }: ValueLimits,
): ValueCheck {
  const nameOf = keyNames(keyType, timeZone);
  return (text, start) => {
    if (text[start] !== '{') return true;
    const members = objectMembers(text, start);
    if (members.length > 1 && new Set(members.map(({ name }) => nameOf(name))).size < members.length) return false;
    return members.every(
      (member) =>
        (key?.(text, member.nameStart, member.nameEnd) ?? true) && (value?.(text, member.start, member.end) ?? true),
    );
  };
}

function tupleCheck(
  parameters: readonly string[],
  checkOfType: (type: string) => ValueCheck | undefined,
): ValueCheck | undefined {
  const elements = parameters.map(parseTupleElement);
  const checks = elements.map(({ type }) => checkOfType(type));
  const names = new Map(elements.map(({ name }, index) => [name && latin1(name), checks[index]]));
  const isNamed = elements.some(({ name }) => name !== undefined);
  const required = elements.filter(({ type }) => !takesZero(type)).map(({ name }) => name && latin1(name));
  if (!isNamed && checks.every((check) => check === undefined)) return undefined;
  return (text, start) => {
    if (text[start] === 'n') return required.length === 0;
    if (text[start] === '[') {
      let index = 0;
      return everyItem(text, start, (from, to) => checks[index++]?.(text, from, to) ?? true);
    }
    if (text[start] !== '{' || !isNamed) return true;
    const members = objectMembers(text, start);
    // ClickHouse drops members without an element, and does not resolve escapes in names.
    return (
      members.every(
        ({ name, escaped, start: from, end }) =>
          !escaped && names.has(name) && (names.get(name)?.(text, from, end) ?? true),
      ) && required.every((name) => members.some((member) => member.name === name))
    );
  };
}

/**
 * For types that the value decides. A number over every float becomes infinite. And values that share a type, such as
 * the items of an array, change each other: a large integer beside a fraction loses its last digits, true beside a
 * number becomes 1.
 *
 * @param ofObjects see {@link everyScalar}
 * @param limits where values share their type with those of other records
 */
function numbersCheck(ofObjects: boolean, limits?: ValueLimits): ValueCheck {
  const { keepsIntegers, keepsIntegersOfArrays } = limits ?? { keepsIntegers: true, keepsIntegersOfArrays: true };
  return (text, start, end) => {
    const met = new Map<number, number>();
    return everyScalar(text, start, end, ofObjects, (from, to, path) => {
      const kind = kindOfScalar(text, from, to);
      if (kind === INFINITE) return false;
      if (kind === OTHER_INTEGER && !(path === undefined ? keepsIntegers : keepsIntegersOfArrays)) return false;
      if (path === undefined || kind === 0) return true;
      const kinds = (met.get(path) ?? 0) | kind;
      met.set(path, kinds);
      const hasBoth = (kinds & BOOL) !== 0 && kinds !== BOOL;
      return !hasBoth && (kinds & MIXED) !== MIXED;
    });
  };
}

/**
 * In a JSON column, ClickHouse first tries the types that other records of the insert have at this path. An array of
 * objects then reads null as an empty object, an array of arrays as an empty array. If there is also a text, a number,
 * true or false, no such type fits, and null stays null.
 */
const nullsCheck: ValueCheck = (text, start, end) => !hasBareNull(text, start, end, true);

/**
 * In a Dynamic column, other records do not matter. But beside objects, null becomes a tuple of defaults, and beside
 * arrays, an empty array.
 */
const nullsOfTuplesCheck: ValueCheck = (text, start, end) => !hasBareNull(text, start, end, false);

/** Different names in a value of a Dynamic column, at most. */
const DYNAMIC_NAMES_MAX = 500;

/**
 * In a Dynamic column, ClickHouse turns an object into a tuple, whose elements it stores by their paths.
 * `{"a":{"b":1},"a.b":2}` has a path twice. ClickHouse accepts it, and then nothing of that part can be read any more,
 * not even rows of others (error 33). So no name may continue another name after a dot, wherever the two are.
 *
 * And there must not be too many names. A tuple costs ClickHouse the square of its elements, seconds for a thousand, so
 * a few such records would hold their batch for ever. An insert of 32 times {@link DYNAMIC_NAMES_MAX} takes some ten
 * seconds.
 */
const namesCheck: ValueCheck = (text, start, end) => {
  const names = objectNames(text, start, end);
  if (names.length > DYNAMIC_NAMES_MAX && new Set(names).size > DYNAMIC_NAMES_MAX) return false;
  if (!names.some((name) => name.includes('.'))) return true;
  const sorted = Array.from(new Set(names), (name) => `${name}.`).sort();
  // In sorted order, a text that begins with another one comes directly after it.
  return !sorted.some((name, index) => sorted[index + 1]?.startsWith(name));
};

/** In a Dynamic column, ClickHouse makes true of the first integer over 64 bits, and floats of the next ones. */
const integersCheck: ValueCheck = (text, start, end) => {
  return everyScalar(text, start, end, false, (from, to) => !isNumber(text, from) || in64Bits(text, from, to));
};

const in64Bits = integerWithin(-(2n ** 63n), 2n ** 64n - 1n);

const BOOL = 1;
const INTEGER_OF_FLOATS = 2;
const OTHER_INTEGER = 4;
const FRACTION = 8;
const INFINITE = 16;
const MIXED = OTHER_INTEGER | FRACTION;

/** 0 for anything but a number, true or false. */
function kindOfScalar(text: string, start: number, end: number): number {
  if (text[start] === 't' || text[start] === 'f') return BOOL;
  if (!isNumber(text, start)) return 0;
  const integer = smallInteger(text, start, end);
  if (integer !== undefined && end - start <= SAFE_DIGITS) return INTEGER_OF_FLOATS;
  const digits = text.slice(start, end);
  if (!Number.isFinite(Number(digits))) return INFINITE;
  if (integer === undefined) return FRACTION;
  return BigInt(Number(digits)) === BigInt(digits) ? INTEGER_OF_FLOATS : OTHER_INTEGER;
}

/** At a path of texts, ClickHouse rewrites numbers: as the nearest float, if they have a fraction or are too large. */
const textPathCheck: ValueCheck = (text, start, end) => {
  if (!isNumber(text, start)) return true;
  const digits = text.slice(start, end);
  return smallInteger(text, start, end) === undefined ? String(Number(digits)) === digits : end - start <= SAFE_DIGITS;
};

/** At a path of fixed-length texts, ClickHouse would turn everything that fits into a text. */
const fixedTextPathCheck: ValueCheck = (text, start) => isString(text, start) || text[start] === 'n';

/** The paths with a type, one character per byte: `a.b` in `JSON(a.b UInt8, SKIP c)`. */
function typedPaths({ parameters }: ColumnType): (readonly [path: string, type: string])[] {
  return parameters.flatMap((parameter) => {
    const [, path, type] = /^((?:`(?:[^`\\]|\\.)*`|[^\s`=])+)\s+([^\s=][^]*)$/.exec(parameter) ?? [];
    return path === undefined || type === undefined || /^SKIP$/i.test(path) ? [] : [[pathName(path), type] as const];
  });
}

/**
 * The paths that ClickHouse leaves out with everything below them. Paths that it leaves out by a pattern are checked
 * like the rest.
 */
function skippedPaths({ parameters }: ColumnType): string[] {
  return parameters.flatMap((parameter) => {
    const [, path] = /^SKIP\s+((?:`(?:[^`\\]|\\.)*`|[^\s`])+)$/i.exec(parameter) ?? [];
    return path === undefined ? [] : [pathName(path)];
  });
}

function pathName(path: string): string {
  return latin1(path.replaceAll(/`((?:[^`\\]|\\.)*)`/g, '$1'));
}

/** Paths without a type are checked by {@link nullsCheck}. At a path with a type, the type's check decides on null. */
function pathsCheck(type: ColumnType, limits: ValueLimits): ValueCheck | undefined {
  const typed = typedPaths(type);
  const skipped = skippedPaths(type);
  const numbers = numbersCheck(false);
  const paths = new Map(typed.map(([path, pathType]) => [path, allOf([numbers, checkOf(pathType, limits, 'path')])]));
  const untyped = allOf([numbersCheck(false, limits), nullsCheck]);
  const names = [...paths.keys(), ...skipped];
  if (names.length === 0) return untyped;
  const holds = (text: string, start: number, prefix: string): boolean =>
    objectMembers(text, start).every((member) => {
      const path = prefix + member.name;
      if (skipped.some((name) => path === name || path.startsWith(`${name}.`))) return true;
      const leads = text[member.start] === '{' && names.some((name) => name.startsWith(`${path}.`));
      if (leads && !paths.has(path)) return holds(text, member.start, `${path}.`);
      return (paths.get(path) ?? untyped)?.(text, member.start, member.end) ?? true;
    });
  const takesNull = typed.every(([, pathType]) => takesZero(pathType));
  return (text, start) => (text[start] === 'n' ? takesNull : holds(text, start, ''));
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1');
}
