import { textOfString } from './jsonText.js';
import {
  DECIMAL,
  INTEGER,
  integerWithin,
  isFloatText,
  isNumber,
  isString,
  isWithin,
  NO_NUMBER,
  SAFE_DIGITS,
  smallInteger,
} from './scalars.js';
import { isAtPath, isInVariant, type Place, type ValueCheck, type ValueLimits } from './valueCheck.js';

/* Checks for integers, floats, decimals, and for true and false. */

/** The check for an integer or an interval. */
export function integerCheck(name: string, place: Place): ValueCheck | undefined {
  const [, unsigned, digits] = /^(U?)Int(\d+)$/.exec(name) ?? ['', '', '64'];
  const bits = Number(digits);
  // While it searches for a type, ClickHouse itself notices numbers that are too large, up to 64 bits. But it reads an
  // empty text as 0, even if texts are allowed.
  if (place === 'variant' && bits <= 64) return (text, start, end) => !isString(text, start) || end - start > 2;
  // At a typed path of JSON, ClickHouse cuts off the fractions of numbers and texts, and makes an integer of "nan".
  const ofFloats = isAtPath(place);
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
export const boolPathCheck: ValueCheck = (text, start, end) => {
  const isText = isString(text, start);
  if (!isText && !isNumber(text, start)) return true;
  const content = isText ? textOfString(text, start, end) : text.slice(start, end);
  return content === '0' || content === '1' || (isText && !isFloatText(content));
};

/** What has no digits before its exponent, or none in it: to older servers a float. */
const NEARLY_FLOAT = /^[+-]?(?:\.?(?:[eE][+-]?\d*)?|(?:\d+(?:\.\d*)?|\.\d+)[eE][+-]?)$/;

/**
 * The check for a float. Older servers read as 0 what has no digit.
 *
 * @param rounded rounds to the type's precision
 */
export function floatCheck(rounded: (value: number) => number, place: Place, limits: ValueLimits): ValueCheck {
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

/** The check for a Decimal. ClickHouse reads a text without digits as 0, and `1.2.3` as 1.23. */
export const decimalCheck: ValueCheck = (text, start, end) => {
  return !isString(text, start) || DECIMAL.test(textOfString(text, start, end));
};

/** The check for a Decimal at a typed path of JSON, where ClickHouse converts numbers through a float. */
export const decimalPathCheck: ValueCheck = (text, start, end) => {
  if (!isNumber(text, start)) return decimalCheck(text, start, end);
  const digits = text
    .slice(start, end)
    .replace(/[eE].*$/, '')
    .replace('.', '')
    .replace(/^-?0*/, '');
  return digits.length <= SAFE_DIGITS;
};
