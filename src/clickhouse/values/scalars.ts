import type { ValueCheck } from './valueCheck.js';

/* Reads texts and numbers of a JSON text, and decides whether a number is in a range. */

/** Whether a number begins here. */
export function isNumber(text: string, start: number): boolean {
  const code = text.charCodeAt(start);
  return code === MINUS || (code >= ZERO && code <= 57);
}

/** Whether a string begins here. */
export function isString(text: string, start: number): boolean {
  return text.charCodeAt(start) === QUOTE;
}

const QUOTE = 34;
const MINUS = 45;
const ZERO = 48;

/** So many digits are always exact in a JavaScript number. */
export const SAFE_DIGITS = 15;

/** The integer, exact if it is in the safe range. Undefined for numbers with a fraction or an exponent. */
export function smallInteger(text: string, start: number, end: number): number | undefined {
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
export function integerWithin(min: bigint, max: bigint): ValueCheck {
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

/** The same for an integer's digits. */
export function isWithin(digits: string, min: bigint, max: bigint): boolean {
  let significant = digits;
  if (digits.length > DIGITS_MAX || digits.startsWith('+')) {
    significant = digits.replace(/^\+?(-?)0*(?=\d)/, '$1');
    if (significant.length > DIGITS_MAX) return false;
  }
  const value = BigInt(significant);
  return value >= min && value <= max;
}

export const INTEGER = /^[+-]?\d+$/;

/**
 * This pattern and those of keys can match digits in one way only. Otherwise a text of a million digits takes hours.
 */
export const DECIMAL = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;

/** What ClickHouse reads as a float although it is no number. */
export const NO_NUMBER = /^[+-]?(?:nan|inf|infinity)$/i;

/** Whether ClickHouse reads a text as a float. */
export function isFloatText(text: string): boolean {
  return DECIMAL.test(text) || NO_NUMBER.test(text);
}
