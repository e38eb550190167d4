import { unescaped } from '../../lib/unescaped.js';
import { latin1 } from '../../lib/latin1.js';
import { parseColumnType } from './columnTypes.js';
import { readDay, readTime } from './dateTexts.js';
import { wallClock, zoneOf } from './timeZones.js';

/**
 * Makes a function for the keys of a Map. It gives all texts of the same key one name, and texts of different keys
 * different names. `01` and `1` are one integer, `2024-01-02` and `2024/01/02` one day.
 *
 * @param type of the keys, from `system.columns`
 * @param timeZone for times without a zone, if the type names none
 * @returns a function on texts of one character per byte
 */
export function keyNames(type: string, timeZone: string): (key: string) => string {
  const { name, parameters } = parseColumnType(type);
  const [first = '', second = ''] = parameters;
  if (/^(U?Int\d+|Interval.+)$/.test(name)) return numberName(0);
  switch (name) {
    case 'LowCardinality':
      return keyNames(first, timeZone);
    case 'Decimal':
      return numberName(Number(second));
    case 'Float32':
    case 'BFloat16':
      return floatName(Math.fround);
    case 'Float64':
      return floatName(Number);
    case 'Bool':
      return (key) => BOOLS.get(key.toLowerCase()) ?? key;
    case 'Date':
    case 'Date32':
      return (key) => String(readDay(key) ?? key);
    case 'DateTime':
    case 'DateTime32':
      return timeName(0, zoneOf(first, timeZone));
    case 'DateTime64':
      return timeName(Number(first), zoneOf(second, timeZone));
    case 'Time':
      return timeOfDayName(0);
    case 'Time64':
      return timeOfDayName(Number(first));
    case 'UUID':
      return (key) => key.replaceAll('-', '').toLowerCase();
    case 'IPv4':
      return (key) => key.split('.').map(Number).join('.');
    case 'IPv6':
      return ipv6Name;
    case 'FixedString':
      return withoutZeroBytes;
    case 'Enum8':
    case 'Enum16':
      return enumName(parameters);
    default:
      return (key) => key;
  }
}

/**
 * Removes zero bytes from the end. A regular expression would start at each of them, which takes quadratic time if
 * another byte follows.
 */
function withoutZeroBytes(key: string): string {
  let end = key.length;
  while (key.charCodeAt(end - 1) === 0) end--;
  return key.slice(0, end);
}

/** With a larger exponent no digit of a decimal fits into its column. */
const EXPONENT_MAX = 200;

/** A decimal without its exponent. */
function shifted(key: string): string {
  const [, sign, whole = '', fraction = '', exponent] = /^([+-]?)(\d*)(?:\.(\d*))?[eE]([+-]?\d+)$/.exec(key) ?? [];
  if (sign === undefined || Math.abs(Number(exponent)) > EXPONENT_MAX) return key;
  const digits = whole + fraction;
  const point = whole.length + Number(exponent);
  if (point <= 0) return `${sign}0.${'0'.repeat(-point)}${digits}`;
  return `${sign}${digits.slice(0, point).padEnd(point, '0')}.${digits.slice(point)}`;
}

const NUMBER = /^([+-]?)0*((?:[1-9]\d*)?)(?:\.(\d*))?$/;

function numberName(scale: number): (key: string) => string {
  return (key) => {
    const [, sign, whole, fraction = ''] = NUMBER.exec(shifted(key)) ?? [];
    if (whole === undefined) return key;
    const kept = fraction.slice(0, scale).replace(/0+$/, '');
    return whole === '' && kept === '' ? '0' : `${sign === '-' ? '-' : ''}${whole}.${kept}`;
  };
}

function floatName(rounded: (value: number) => number): (key: string) => string {
  return (key) => {
    const value = rounded(Number(key));
    return Number.isNaN(value) ? key.toLowerCase().replace(/^\+/, '') : String(value);
  };
}

/** The texts that `Bool` accepts, in upper or lower case. */
const BOOLS: ReadonlyMap<string, string> = new Map([
  ...['1', 'true', 't', 'yes', 'y', 'on', 'enable', 'enabled'].map((text) => [text, 'true'] as const),
  ...['0', 'false', 'f', 'no', 'n', 'off', 'disable', 'disabled'].map((text) => [text, 'false'] as const),
]);

function timeName(precision: number, zone: string): (key: string) => string {
  const instantOf = instantsOf(zone);
  return (key) => {
    const time = readTime(key);
    if (time === null) return key;
    const seconds = time.zoned ? time.seconds : instantOf(time.seconds);
    return `${seconds}.${time.fraction.slice(0, precision).replace(/0+$/, '')}`;
  };
}

/**
 * The instant at which a zone's clock shows a time. It may be an hour wrong for times that the clock skips or shows
 * twice.
 */
function instantsOf(zone: string): (wall: number) => number {
  const clock = wallClock(zone);
  return (wall) => {
    const guess = wall - (clock(wall) - wall);
    return wall - (clock(guess) - guess);
  };
}

function timeOfDayName(precision: number): (key: string) => string {
  return (key) => {
    const [, sign = '', hours, minutes, seconds, fraction = ''] = /^(-?)(\d+):(\d+):(\d+)(?:\.(\d*))?$/.exec(key) ?? [];
    if (hours === undefined) return key;
    const kept = fraction.slice(0, precision).replace(/0+$/, '');
    return `${sign}${Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)}.${kept}`;
  };
}

/** An IPv6 address in the form of the URL standard. */
function ipv6Name(key: string): string {
  const url = `http://[${/^\d+(?:\.\d+){3}$/.test(key) ? `::ffff:${key}` : key}]`;
  return URL.canParse(url) ? new URL(url).hostname : key;
}

/** The name of an enum's element is its number, because a key may be written as either. */
function enumName(parameters: readonly string[]): (key: string) => string {
  const elements = parameters.map((element) => /^'([^]*)'\s*=\s*(-?\d+)$/.exec(element) ?? []);
  const numbers = new Map(elements.map(([, element = '', value = '']) => [latin1(unescaped(element)), value]));
  const nameOf = numberName(0);
  return (key) => nameOf(numbers.get(key) ?? key);
}
