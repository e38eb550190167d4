import { everyScalar, hasBareNull, objectNames } from './jsonText.js';
import { integerWithin, isNumber, SAFE_DIGITS, smallInteger } from './scalars.js';
import { allOf, isAtPath, type Place, type ValueCheck, type ValueLimits } from './valueCheck.js';

/* Checks where ClickHouse infers a type from the value: for Dynamic, and for paths of JSON that have no type. */

/** The check for Dynamic. First it bounds the number of names, which the others keep. */
export function dynamicCheck(place: Place, limits: ValueLimits): ValueCheck | undefined {
  return allOf([
    namesCheck,
    numbersCheck(true, isAtPath(place) ? limits : undefined),
    integersCheck,
    isAtPath(place) ? nullsCheck : nullsOfTuplesCheck,
  ]);
}

/**
 * For types that the value decides. A number over every float becomes infinite. And values that share a type, such as
 * the items of an array, change each other: a large integer beside a fraction loses its last digits, true beside a
 * number becomes 1.
 *
 * @param ofObjects see {@link everyScalar}
 * @param limits where values share their type with those of other records
 */
export function numbersCheck(ofObjects: boolean, limits?: ValueLimits): ValueCheck {
  const { keepsIntegers, keepsIntegersOfArrays } = limits ?? { keepsIntegers: true, keepsIntegersOfArrays: true };
  // The kinds met at each path. They are kept, because a value may be one of millions in an array.
  const met: number[] = [];
  let paths = 0;
  const holds = (text: string, from: number, to: number, path: number | undefined): boolean => {
    const kind = kindOfScalar(text, from, to);
    if (kind === INFINITE) return false;
    if (kind === OTHER_INTEGER && !(path === undefined ? keepsIntegers : keepsIntegersOfArrays)) return false;
    if (path === undefined || kind === 0) return true;
    while (paths <= path) met[paths++] = 0;
    const kinds = (met[path] as number) | kind;
    met[path] = kinds;
    const hasBoth = (kinds & BOOL) !== 0 && kinds !== BOOL;
    return !hasBoth && (kinds & MIXED) !== MIXED;
  };
  return (text, start, end) => {
    paths = 0;
    return everyScalar(text, start, end, ofObjects, holds);
  };
}

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

const BOOL = 1;
const INTEGER_OF_FLOATS = 2;
const OTHER_INTEGER = 4;
const FRACTION = 8;
const INFINITE = 16;
const MIXED = OTHER_INTEGER | FRACTION;

/**
 * In a JSON column, ClickHouse first tries the types that other records of the insert have at this path. An array of
 * objects then reads null as an empty object, an array of arrays as an empty array. If there is also a text, a number,
 * true or false, no such type fits, and null stays null.
 */
export const nullsCheck: ValueCheck = (text, start, end) => !hasBareNull(text, start, end, true);

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
  const names = objectNames(text, start, end, DYNAMIC_NAMES_MAX);
  if (names.size > DYNAMIC_NAMES_MAX) return false;
  if (!hasDot(names)) return true;
  const sorted = Array.from(names, (name) => `${name}.`).sort();
  // In sorted order, a text that begins with another one comes directly after it.
  return !sorted.some((name, index) => sorted[index + 1]?.startsWith(name));
};

function hasDot(names: ReadonlySet<string>): boolean {
  for (const name of names) if (name.includes('.')) return true;
  return false;
}

/** In a Dynamic column, ClickHouse makes true of the first integer over 64 bits, and floats of the next ones. */
const integersCheck: ValueCheck = (text, start, end) => {
  return everyScalar(text, start, end, false, isNoLargeInteger);
};

function isNoLargeInteger(text: string, start: number, end: number): boolean {
  return !isNumber(text, start) || in64Bits(text, start, end);
}

const in64Bits = integerWithin(-(2n ** 63n), 2n ** 64n - 1n);
