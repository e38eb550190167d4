import { integerType } from '../integerTypes.js';
import { TYPE_DEPTH_MAX } from '../values/columnTypes.js';
import { everyItem } from '../values/jsonText.js';

/*
 * What the values of a field have in common, as far as it decides on the type of its column. Each value makes it wider,
 * so all of them count, and it stays small. ClickHouse's own inference is not asked: it takes texts for dates and times,
 * and then later texts are refused or lose a part.
 */

/** `any`: only a text of its JSON holds them all. */
export type FieldShape =
  | { readonly is: 'integer'; readonly least: bigint; readonly largest: bigint }
  | { readonly is: 'array'; /** Null: no value that has a type. */ readonly items: FieldShape | null }
  | { readonly is: 'fraction' | 'boolean' | 'text' | 'any' };

const FRACTION: FieldShape = { is: 'fraction' };
const BOOLEAN: FieldShape = { is: 'boolean' };
const TEXT: FieldShape = { is: 'text' };
export const ANY: FieldShape = { is: 'any' };

/** Arrays within each other, at most: `Nullable` is within the innermost one. */
const ARRAYS_MAX = TYPE_DEPTH_MAX - 1;

/** More digits than any integer type holds. */
const DIGITS_MAX = 78;

/** All integers up to this one are exact in a Float64. */
const EXACT_MAX = 2n ** 53n;

/** Digits of a fraction, at most: what programs write for a Float64 has no more. */
const FRACTION_DIGITS_MAX = 17;

/** The shape of one value of a JSON text. Null for null. */
export function shapeOf(text: string, start: number, end: number, depth = 0): FieldShape | null {
  switch (text[start]) {
    case '"':
      return TEXT;
    case '{':
      return ANY;
    case '[':
      return depth < ARRAYS_MAX ? shapeOfArray(text, start, depth) : ANY;
    case 't':
    case 'f':
      return BOOLEAN;
    case 'n':
      return null;
    default:
      return shapeOfNumber(text.slice(start, end));
  }
}

function shapeOfArray(text: string, start: number, depth: number): FieldShape {
  let items: FieldShape | null = null;
  everyItem(text, start, (from, to) => {
    items = both(items, shapeOf(text, from, to, depth + 1));
    return items?.is !== 'any';
  });
  return arrayOf(items);
}

function arrayOf(items: FieldShape | null): FieldShape {
  return items?.is === 'any' ? ANY : { is: 'array', items };
}

function shapeOfNumber(digits: string): FieldShape {
  if (/^-?\d+$/.test(digits)) {
    if (digits.length > DIGITS_MAX + 1) return ANY;
    const integer = BigInt(digits);
    return integers(integer, integer);
  }
  const significant = digits
    .replace(/[eE].*$/, '')
    .replaceAll(/[-.]/g, '')
    .replace(/^0+/, '');
  const value = Number(digits);
  const isKept = Number.isFinite(value) && (value !== 0 || significant === '');
  return isKept && significant.length <= FRACTION_DIGITS_MAX ? FRACTION : ANY;
}

function integers(least: bigint, largest: bigint): FieldShape {
  return integerType(least, largest) === undefined ? ANY : { is: 'integer', least, largest };
}

/** The shape of values of both shapes. */
export function both(one: FieldShape | null, other: FieldShape | null): FieldShape | null {
  if (one === null || other === null) return one ?? other;
  if (one.is === 'integer' && other.is === 'integer')
    return integers(
      one.least < other.least ? one.least : other.least,
      one.largest > other.largest ? one.largest : other.largest,
    );
  if (one.is === 'array' && other.is === 'array') return arrayOf(both(one.items, other.items));
  if (one.is === other.is) return one;
  return isExactFraction(one) && isExactFraction(other) ? FRACTION : ANY;
}

/** Whether values of this shape may be beside fractions. */
function isExactFraction(shape: FieldShape): boolean {
  if (shape.is === 'integer') return shape.least >= -EXACT_MAX && shape.largest <= EXACT_MAX;
  return shape.is === 'fraction';
}

/** The type of a column for values of this shape. Undefined if they have none yet, such as an empty array. */
export function typeOfShape(shape: FieldShape): string | undefined {
  switch (shape.is) {
    case 'integer':
      return `Nullable(${integerType(shape.least, shape.largest) ?? 'String'})`;
    case 'array': {
      const items = shape.items === null ? undefined : typeOfShape(shape.items);
      return items === undefined ? undefined : `Array(${items})`;
    }
    case 'fraction':
      return 'Nullable(Float64)';
    case 'boolean':
      return 'Nullable(Bool)';
    case 'text':
    case 'any':
      return 'Nullable(String)';
  }
}
