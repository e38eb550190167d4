import type { TimeUnit } from '../../protocol/columnSource.js';
import { innerType } from '../values/columnTypes.js';

/** Decimal places of a second that a unit counts. */
const PLACES: Readonly<Record<TimeUnit, number>> = { s: 0, ms: 3, us: 6, ns: 9 };

/** Types that take a time as text. Numbers of other types stay as they are written. */
const TIMES = /^(DateTime(64)?|Date(32)?)$/;

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
 * past. Other values stay as they are.
 *
 * @returns null if it is no time of the years 0 to 9999
 */
export function numberTime(type: string, unit: TimeUnit): (json: string) => string | null {
  const { name } = innerType(type);
  if (!TIMES.test(name)) return (json) => json;
  const isDay = name.startsWith('Date') && !name.startsWith('DateTime');
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
