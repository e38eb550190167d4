import { parseColumnType, parseTupleElement, type ColumnType } from './columnTypes.js';
import { isTimeOfDay, plainYear, readDay, readTime } from './dateTexts.js';
import { everyItem, everyScalar, hasBareNull, objectMembers, objectNames, textOfString } from './json.js';
import { keyNames } from './mapKeys.js';
import { knowsZone, wallClock, zoneOf } from './timeZones.js';

/*
 * Values that ClickHouse would not refuse but change: it keeps the low bits of an integer that is too large for its column
 * (300 in a UInt8 becomes 44), moves dates to the nearest it can hold and the 30th of February into March, makes infinity of a
 * number too large for a float, drops members of an object that a tuple has no element for. No setting makes it refuse them.
 *
 * Tried out on ClickHouse 26.7 by the fuzz of values, which compares what is stored with what was written, for all types.
 */

/**
 * Whether a value passes its column unchanged, or is refused by ClickHouse itself.
 *
 * @param text valid JSON, in which the value lies from `start` to `end`
 */
export type ValueCheck = (text: string, start: number, end: number) => boolean;

/** What differs between servers. */
export interface ValueLimits {
  /** The zone of columns that name none: that of the inserts' session, or the server's. */
  readonly timeZone: string;
  /** The first and the last year that a `DateTime64` takes. */
  readonly years: readonly [first: number, last: number];
}

/** Of every server that is old enough. */
export const DEFAULT_LIMITS: ValueLimits = { timeZone: 'UTC', years: [1900, 2299] };

/**
 * How a type is read: `variant` while ClickHouse looks for a type that fits, `path` at a typed path of a JSON column, `pathVariant`
 * while it looks for one there, and would cut fractions off.
 */
type Place = 'column' | 'variant' | 'path' | 'pathVariant';

/** The check for a column's type; undefined where every value passes. */
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
      return floatCheck(Math.fround);
    case 'Float64':
      return floatCheck(Number);
    case 'Decimal':
      return place === 'path' ? decimalPathCheck : decimalCheck;
    case 'Date':
      return dayCheck(0, DATE_MAX);
    case 'Date32':
      return dayCheck(DATE32_MIN, DATE32_MAX);
    case 'DateTime':
    case 'DateTime32':
      return dateTimeCheck(first, limits);
    case 'DateTime64':
      return ticksCheck(dateTime64Check(Number(first), second, limits), place);
    case 'Time':
      return timeOfDayCheck(0);
    case 'Time64':
      return ticksCheck(timeOfDayCheck(Number(first)), place);
    case 'Bool':
      return isAtPath(place) ? boolPathCheck : undefined;
    case 'Enum8':
    case 'Enum16':
      return enumCheck(parameters);
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
        isAtPath(place) ? variantPathCheck(parameters) : undefined,
      ]);
    case 'QBit':
      return arrayCheck(of(first));
    case 'JSON':
    case 'Object':
      return pathsCheck(type, limits);
    case 'Dynamic':
      return allOf([numbersCheck(true), integersCheck, namesCheck, isAtPath(place) ? nullsCheck : nullsOfTuplesCheck]);
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

/** At a path, what a Variant has besides integers may take a fraction, or a text, as it is. */
function placeInVariant(place: Place, parameters: readonly string[]): Place {
  return isAtPath(place) && !parameters.some((type) => TAKES_FRACTIONS.test(type)) ? 'pathVariant' : 'variant';
}

/**
 * At a path, a Variant with `Bool` makes true or false of all integers up to 255, though another of its types takes them as they are;
 * and one with texts writes numbers its own way, if it has no type of numbers.
 */
function variantPathCheck(parameters: readonly string[]): ValueCheck | undefined {
  const takesText = parameters.some((type) => TAKES_TEXT.test(type));
  const takesNumbers = parameters.some((type) => TAKES_NUMBERS.test(type));
  return allOf([
    parameters.includes('Bool') ? boolOfVariantCheck(takesText) : undefined,
    takesText && !takesNumbers ? textPathCheck : undefined,
  ]);
}

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

/** What stands for geometries. */
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
const SECONDS_OF_DAY = 86_400;
const DATE_TIME_MAX = 2 ** 32 - 1;
/** Of a DateTime64, on servers that go as far. */
const YEAR_MAX = 9_999;

const QUOTE = 34;
const MINUS = 45;
const ZERO = 48;

const INTEGER = /^[+-]?\d+$/;
/** Digits can be read in one way only, here and in the patterns of keys: else a text of a million takes hours. */
const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const NO_NUMBER = /^[+-]?(?:nan|inf|infinity)$/i;

/** What ClickHouse reads as a float. */
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

/** Digits that a JavaScript number holds whatever they are. */
const SAFE_DIGITS = 15;

/** The integer, exactly where it is in the range of safe ones; undefined for numbers with a fraction or an exponent. */
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

/** Whether a number lies in a range, to its last digit. One with a fraction or an exponent is left to ClickHouse. */
function integerWithin(min: bigint, max: bigint): ValueCheck {
  const [low, high] = [Number(min), Number(max)];
  return (text, start, end) => {
    const value = smallInteger(text, start, end);
    if (value === undefined) return true;
    return end - start <= SAFE_DIGITS ? value >= low && value <= high : isWithin(text.slice(start, end), min, max);
  };
}

/** More than the largest integer of 256 bits has; what is longer is not turned into an integer, which takes its time. */
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
  // While it looks for a type, ClickHouse itself sees what is too large, up to 64 bits; but nothing is 0, even beside texts.
  if (place === 'variant' && bits <= 64) return (text, start, end) => !isString(text, start) || end - start > 2;
  // At a typed path of JSON, it cuts the fractions of numbers and of texts off, and makes an integer of "nan".
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
    // ClickHouse reads nothing as 0.
    if (INTEGER.test(content)) return isWithin(content, min, max);
    return content !== '' && !(ofFloats && isFloatText(content));
  };
}

/** At a typed path of JSON, every number is true or false, and so is every text that ClickHouse reads as a float. */
const boolPathCheck: ValueCheck = (text, start, end) => {
  const isText = isString(text, start);
  if (!isText && !isNumber(text, start)) return true;
  const content = isText ? textOfString(text, start, end) : text.slice(start, end);
  return content === '0' || content === '1' || (isText && !isFloatText(content));
};

function floatCheck(rounded: (value: number) => number): ValueCheck {
  const isFinite = (digits: string): boolean => Number.isFinite(rounded(Number(digits)));
  return (text, start, end) => {
    if (isNumber(text, start)) return isFinite(text.slice(start, end));
    if (!isString(text, start)) return true;
    const content = textOfString(text, start, end);
    return !DECIMAL.test(content) || isFinite(content);
  };
}

/** ClickHouse reads as 0 what has no digit, and `1.2.3` as 1.23. */
const decimalCheck: ValueCheck = (text, start, end) => {
  return !isString(text, start) || DECIMAL.test(textOfString(text, start, end));
};

/** At a typed path of JSON, numbers come by way of a float. */
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
    // A day of true is not what anybody writes; null is the default.
    if (!isString(text, start)) return text[start] !== 't' && text[start] !== 'f';
    const year = end - start === LENGTH_OF_DAY ? plainYear(text, start, end) : 0;
    if (year > firstYear && year < lastYear) return true;
    const day = readDay(text.slice(start + 1, end - 1));
    return day === undefined || (day !== null && day >= min && day <= max);
  };
}

/** Of `"2024-01-02"`. */
const LENGTH_OF_DAY = 12;

function yearOf(seconds: number): number {
  return new Date(seconds * 1000).getUTCFullYear();
}

function dateTimeCheck(zoneParameter: string, limits: ValueLimits): ValueCheck {
  const range = [0, DATE_TIME_MAX] as const;
  return timeCheck(
    integerWithin(0n, BigInt(DATE_TIME_MAX)),
    range,
    wallRange(range, zoneOf(zoneParameter, limits.timeZone)),
  );
}

function dateTime64Check(precision: number, zoneParameter: string, limits: ValueLimits): ValueCheck {
  const [first, last] = limits.years;
  const ticks = 10n ** BigInt(precision);
  const min = Date.parse(`${String(first).padStart(4, '0')}-01-01T00:00:00Z`) / 1000;
  const max = Date.parse(`${last}-12-31T23:59:59Z`) / 1000;
  const [low, high] = [BigInt(min) * ticks, BigInt(max + 1) * ticks - 1n];
  const [int64Min, int64Max] = [-(2n ** 63n), 2n ** 63n - 1n];
  const within = integerWithin(low < int64Min ? int64Min : low, high > int64Max ? int64Max : high);
  // West of Greenwich the last hours of 9999 belong to 10000 in UTC, which ends before them.
  const lastWall = last < YEAR_MAX ? max : wallRange([min, max], zoneOf(zoneParameter, limits.timeZone))[1];
  return timeCheck(within, [min, max], [min, Math.min(max, lastWall)]);
}

/**
 * @param number of ticks, as the column counts them
 * @param range of seconds since 1970
 * @param walls the same as a clock of the column's time zone shows them
 */
function timeCheck(number: ValueCheck, range: readonly [number, number], walls: readonly [number, number]): ValueCheck {
  const [first, last] = [yearOf(range[0]), yearOf(range[1])];
  return (text, start, end) => {
    if (isNumber(text, start)) return number(text, start, end);
    if (!isString(text, start)) return true;
    const year = plainYear(text, start, end);
    if (year > first && year < last) return true;
    const content = text.slice(start + 1, end - 1);
    const time = readTime(content);
    // What has no digit is refused by ClickHouse; of the rest nobody knows.
    if (time === null) return !/\d/.test(content);
    const [min, max] = time.zoned ? range : walls;
    return time.seconds >= min && time.seconds <= max;
  };
}

/**
 * What a clock of a time zone shows between two instants. ClickHouse has zones that JavaScript does not know (`localtime`,
 * `Fixed/UTC+02:00:00`): of these, only that they are less than a day away from UTC.
 */
function wallRange([first, last]: readonly [number, number], timeZone: string): readonly [number, number] {
  if (!knowsZone(timeZone)) return [first + SECONDS_OF_DAY, last - SECONDS_OF_DAY];
  const wall = wallClock(timeZone);
  return [wall(first), wall(last)];
}

/** At a typed path of JSON, a number counts ticks, but one with a fraction or an exponent seconds. */
function ticksCheck(check: ValueCheck, place: Place): ValueCheck {
  if (place !== 'path' && place !== 'pathVariant') return check;
  return (text, start, end) =>
    (!isNumber(text, start) || smallInteger(text, start, end) !== undefined) && check(text, start, end);
}

/** 1000 hours. */
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
 * Whether a type has a value for what null, or an element that is missing, leaves in a tuple: zero, also in an enum that has no
 * such element. That is taken without an error, and nothing of the column can be read again in its part, whosever the rows are.
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

/** Of a key that occurs twice, however it is written, readers see one value. */
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
    // ClickHouse drops what has no element, and does not see through the escapes of a name.
    return (
      members.every(
        ({ name, escaped, start: from, end }) =>
          !escaped && names.has(name) && (names.get(name)?.(text, from, end) ?? true),
      ) && required.every((name) => members.some((member) => member.name === name))
    );
  };
}

/**
 * For types that the value decides on. A number that no float holds becomes infinite; and what shares a type, as the items
 * of an array do, is changed by it: a large integer beside a fraction loses its last digits, true beside a number becomes 1.
 *
 * @param ofObjects see {@link everyScalar}
 */
function numbersCheck(ofObjects: boolean): ValueCheck {
  return (text, start, end) => {
    const met = new Map<number, number>();
    return everyScalar(text, start, end, ofObjects, (from, to, path) => {
      const kind = kindOfScalar(text, from, to);
      if (kind === INFINITE) return false;
      if (path === undefined || kind === 0) return true;
      const kinds = (met.get(path) ?? 0) | kind;
      met.set(path, kinds);
      const hasBoth = (kinds & BOOL) !== 0 && kinds !== BOOL;
      return !hasBoth && (kinds & MIXED) !== MIXED;
    });
  };
}

/**
 * In a JSON column, ClickHouse first tries the types that other records of the insert have at the path. What an array of objects
 * takes for null is an empty object, what one of arrays takes is an empty array. Beside a text, a number, true or false, no such
 * type fits, and null stays null.
 */
const nullsCheck: ValueCheck = (text, start, end) => !hasBareNull(text, start, end, true);

/** In a Dynamic column, other records do not matter, but beside objects null becomes a tuple of defaults, beside arrays an empty one. */
const nullsOfTuplesCheck: ValueCheck = (text, start, end) => !hasBareNull(text, start, end, false);

/** Different names in a value of a Dynamic column, at most. */
const DYNAMIC_NAMES_MAX = 500;

/**
 * Of an object in a Dynamic column, ClickHouse makes a tuple, whose elements it stores by their paths. `{"a":{"b":1},"a.b":2}`
 * has a path twice: it is taken without an error, and nothing of its part can be read again, whosever the rows are (error 33).
 * So no name may go on after a dot where another one ends, wherever the two are.
 *
 * Nor may there be very many names: a tuple costs ClickHouse the square of its elements, seconds for a thousand, and a few such
 * records would hold their batch for ever. An insert of 32 times {@link DYNAMIC_NAMES_MAX} takes some ten seconds.
 */
const namesCheck: ValueCheck = (text, start, end) => {
  const names = objectNames(text, start, end);
  if (names.length > DYNAMIC_NAMES_MAX && new Set(names).size > DYNAMIC_NAMES_MAX) return false;
  if (!names.some((name) => name.includes('.'))) return true;
  const sorted = Array.from(new Set(names), (name) => `${name}.`).sort();
  // What begins with a text follows it at once.
  return !sorted.some((name, index) => sorted[index + 1]?.startsWith(name));
};

/** In a Dynamic column, ClickHouse makes true of the first integer beyond 64 bits, and floats of others. */
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

/** 0 for what is neither a number nor true or false. */
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

/** At a path of texts, ClickHouse writes numbers its own way: as the nearest float, if they have a fraction or are too large. */
const textPathCheck: ValueCheck = (text, start, end) => {
  if (!isNumber(text, start)) return true;
  const digits = text.slice(start, end);
  return smallInteger(text, start, end) === undefined ? String(Number(digits)) === digits : end - start <= SAFE_DIGITS;
};

/** At a path of texts of one length, ClickHouse would make texts of everything, where they fit. */
const fixedTextPathCheck: ValueCheck = (text, start) => isString(text, start) || text[start] === 'n';

/** `JSON(a.b UInt8, SKIP c)`: the paths that have a type, one character a byte. */
function typedPaths({ parameters }: ColumnType): (readonly [path: string, type: string])[] {
  return parameters.flatMap((parameter) => {
    const [, path, type] = /^((?:`(?:[^`\\]|\\.)*`|[^\s`=])+)\s+([^\s=][^]*)$/.exec(parameter) ?? [];
    return path === undefined || type === undefined || /^SKIP$/i.test(path) ? [] : [[pathName(path), type] as const];
  });
}

/** The paths that ClickHouse leaves out with all that is below them. What it leaves out by a pattern is judged like the rest. */
function skippedPaths({ parameters }: ColumnType): string[] {
  return parameters.flatMap((parameter) => {
    const [, path] = /^SKIP\s+((?:`(?:[^`\\]|\\.)*`|[^\s`])+)$/i.exec(parameter) ?? [];
    return path === undefined ? [] : [pathName(path)];
  });
}

function pathName(path: string): string {
  return latin1(path.replaceAll(/`((?:[^`\\]|\\.)*)`/g, '$1'));
}

/** What has no type is judged by {@link nullsCheck}: at a path with one, null is the type's matter. */
function pathsCheck(type: ColumnType, limits: ValueLimits): ValueCheck | undefined {
  const typed = typedPaths(type);
  const skipped = skippedPaths(type);
  const numbers = numbersCheck(false);
  const paths = new Map(typed.map(([path, pathType]) => [path, allOf([numbers, checkOf(pathType, limits, 'path')])]));
  const untyped = allOf([numbers, nullsCheck]);
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
