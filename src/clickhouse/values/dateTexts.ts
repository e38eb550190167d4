/*
 * Reads texts as dates and times, as ClickHouse does. ClickHouse accepts more texts than these, and reads some of them
 * wrongly: the 61st minute as the first of the next hour, `9999:00:00` as a year, `10:11` as minutes and seconds. Only
 * texts that are accepted here count as read correctly. A fuzz test of values compares this with ClickHouse.
 */

/** A point in time from a text. */
export interface TextTime {
  /** Seconds since 1970. If the text names no zone: of its own wall clock. */
  readonly seconds: number;
  /** Digits of the fraction of a second. */
  readonly fraction: string;
  readonly zoned: boolean;
}

/**
 * The day at the beginning of a text, in days since 1970, for texts that a `Date` accepts. Null if there is no such day
 * (the 30th of February). Undefined for other texts.
 */
export function readDay(text: string): number | null | undefined {
  const match = /^(\d{4})\D(\d{1,2})\D(\d{1,2})(?!\d)/.exec(text) ?? /^(\d{4})(\d\d)(\d\d)$/.exec(text);
  return match === null ? undefined : dayNumber(Number(match[1]), Number(match[2]), Number(match[3]));
}

/** The time in a text that a `DateTime` accepts. Null for other texts. */
export function readTime(text: string): TextTime | null {
  const [, whole, decimals = ''] = /^(\d{9,10})(?:\.(\d+))?$/.exec(text) ?? [];
  if (whole !== undefined) return { seconds: Number(whole), fraction: decimals, zoned: true };
  // Milli-, micro-, and nanoseconds.
  if (/^(?:\d{13}|\d{16}|\d{19})$/.test(text))
    return { seconds: Number(text.slice(0, 10)), fraction: text.slice(10), zoned: true };
  const trimmed = text.trim();
  for (const pattern of DATES) {
    const date = pattern.exec(trimmed);
    if (date === null) continue;
    const { y, m = '', d } = date.groups as Groups;
    const day = dayNumber(Number(y), Number.isNaN(Number(m)) ? monthOf(m) : Number(m), Number(d));
    const time = TIME.exec(trimmed.slice(date[0].length));
    return day === null || time === null ? null : timeOf(day, time);
  }
  return null;
}

/** Whether a text is a time that a `Time` accepts, with up to three digits for the hours. */
export function isTimeOfDay(text: string): boolean {
  return /^-?\d{1,3}:[0-5]\d:[0-5]\d(?:\.\d*)?$/.test(text);
}

/**
 * Whether ClickHouse takes a text without a digit for a time. It takes `Jan` for the first of January of this year.
 * Words like `Mon`, `UTC` and `PM` may be in the text, too.
 */
export function isMonthAlone(text: string): boolean {
  return WORDS_OF_TIMES.test(text) && HAS_MONTH.test(text);
}

/**
 * The year of a text in the usual form, `2024-01-02T03:04:05.678Z` with or without time, fraction and zone. 0 for other
 * texts. It creates no object, because columns of times are common.
 *
 * @param start of the JSON string, including its quote
 */
export function plainYear(text: string, start: number, end: number): number {
  const from = start + 1;
  const last = end - 1;
  const length = last - from;
  if (length < 10 || text.charCodeAt(from + 4) !== DASH || text.charCodeAt(from + 7) !== DASH) return 0;
  const year = twoDigits(text, from) * 100 + twoDigits(text, from + 2);
  const month = twoDigits(text, from + 5);
  const day = twoDigits(text, from + 8);
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= 28) && !(dayNumber(year, month, day) !== null)) return 0;
  if (length === 10) return year;
  const separator = text.charCodeAt(from + 10);
  if (length < 19 || (separator !== LETTER_T && separator !== BLANK)) return 0;
  if (text.charCodeAt(from + 13) !== COLON || text.charCodeAt(from + 16) !== COLON) return 0;
  const fits = twoDigits(text, from + 11) <= 23 && twoDigits(text, from + 14) <= 59 && twoDigits(text, from + 17) <= 59;
  if (!fits) return 0;
  let at = from + 19;
  if (text.charCodeAt(at) === POINT) {
    at++;
    while (at < last && isDigit(text.charCodeAt(at))) at++;
  }
  if (at === last) return year;
  if (text.charCodeAt(at) === LETTER_Z) return at + 1 === last ? year : 0;
  const sign = text.charCodeAt(at);
  const isZone =
    (sign === PLUS || sign === DASH) &&
    at + 6 === last &&
    text.charCodeAt(at + 3) === COLON &&
    twoDigits(text, at + 1) <= OFFSET_HOURS_MAX &&
    twoDigits(text, at + 4) <= 59;
  return isZone ? year : 0;
}

const PLUS = 43;
const DASH = 45;
const POINT = 46;
const COLON = 58;
const BLANK = 32;
const LETTER_T = 84;
const LETTER_Z = 90;

function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** NaN if they are not digits. */
function twoDigits(text: string, at: number): number {
  const tens = text.charCodeAt(at);
  const ones = text.charCodeAt(at + 1);
  return isDigit(tens) && isDigit(ones) ? (tens - 48) * 10 + ones - 48 : NaN;
}

/** The largest offset of any time zone. */
const OFFSET_HOURS_MAX = 14;

type Groups = Readonly<Record<string, string | undefined>>;

const MONTHS = [
  ...['january', 'february', 'march', 'april', 'may', 'june', 'july'],
  ...['august', 'september', 'october', 'november', 'december'],
];
const MONTH = `(?<m>${MONTHS.flatMap((name) => [name, name.slice(0, 3)]).join('|')})`;
const HAS_MONTH = new RegExp(`(?:^|\\s)${MONTH}(?:\\s|$)`, 'i');
const WORDS_OF_TIMES = new RegExp(
  `^\\s*(?:(?:${MONTH}|(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?|utc|gmt|msk|z|am|pm)(?:\\s+|$))+$`,
  'i',
);
const WEEKDAY = '(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? )?';

/** Dates at the beginning of a text. Days come before months, as ClickHouse reads them. */
const DATES: readonly RegExp[] = [
  /^(?<y>\d{4})([-/.])(?<m>\d{1,2})\2(?<d>\d{1,2})(?!\d)/,
  /^(?<y>\d{4})(?<m>\d\d)(?<d>\d\d)(?=$|[T ]|\d{6}$)/,
  /^(?<d>\d{1,2})([-/.])(?<m>\d{1,2})\2(?<y>\d{4})(?!\d)/,
  new RegExp(`^${WEEKDAY}(?<d>\\d{1,2})[ -]${MONTH}[ -](?<y>\\d{4})(?!\\d)`, 'i'),
  new RegExp(`^${WEEKDAY}${MONTH} (?<d>\\d{1,2}),? (?<y>\\d{4})(?!\\d)`, 'i'),
];

/**
 * The part after the date: a time, perhaps with a zone, or nothing. Its groups have no names, which makes it twice as
 * fast.
 */
const TIME = new RegExp(
  '^(?:' +
    '(?:(?:[T,] ?| {1,2})(\\d{1,2})(?::(\\d{1,2})(?::(\\d{1,2})(?:\\.(\\d*))?)?)?(?: ?([AP])M)?' +
    '|[T ]?(\\d\\d)(\\d\\d)(\\d\\d)(?:\\.(\\d*))?)' +
    '(?: ?(Z|UTC|GMT|MSK)?(?:([+-])(?:(\\d\\d)(\\d\\d)|(\\d{1,2})(?::(\\d\\d))?))?)' +
    ')?$',
  'i',
);

function timeOf(day: number, time: readonly (string | undefined)[]): TextTime | null {
  const [, h, min, s, f, half, hh, mm, ss, ff, zone, sign, oh, om, oh1, om1] = time;
  const hours = Number(h ?? hh ?? 0);
  const minutes = Number(min ?? mm ?? 0);
  const seconds = Number(s ?? ss ?? 0);
  const offsetHours = Number(oh ?? oh1 ?? 0);
  const offsetMinutes = Number(om ?? om1 ?? 0);
  if (hours > 23 || minutes > 59 || seconds > 59 || offsetHours > OFFSET_HOURS_MAX || offsetMinutes > 59) return null;
  if (half !== undefined && (hours === 0 || hours > 12)) return null;
  const hour = half === undefined ? hours : (hours % 12) + (half.toUpperCase() === 'P' ? 12 : 0);
  const offset = (offsetHours * 3600 + offsetMinutes * 60) * (sign === '-' ? -1 : 1);
  const named = zone?.toUpperCase() === 'MSK' ? 3 * 3600 : 0;
  return {
    seconds: day * 86_400 + hour * 3600 + minutes * 60 + seconds - offset - named,
    fraction: f ?? ff ?? '',
    zoned: zone !== undefined || sign !== undefined,
  };
}

function monthOf(name: string): number {
  return MONTHS.findIndex((month) => month.startsWith(name.toLowerCase())) + 1;
}

/** A calendar day in days since 1970. Null if the calendar has no such day. */
function dayNumber(year: number, month: number, day: number): number | null {
  if (!(day >= 1 && day <= 31 && month >= 1 && month <= 12 && year >= 0)) return null;
  const days = daysBefore(year, month) + day;
  return day <= 28 || days <= daysBefore(year, month + 1) ? days - 1 : null;
}

/** Days from 1970 to a month. The calendar repeats itself after 400 years, and JavaScript reads the year 99 as 1999. */
function daysBefore(year: number, month: number): number {
  return Date.UTC(year + 400, month - 1) / 86_400_000 - 146_097;
}
