import { writeLastDigits } from '../lib/digits.js';
import type { JsonWriter } from './jsonWriter.js';
import { UndecodableError } from './errors.js';

const DAY_S = 86_400;

/** A duration or a point in time, in exact parts. */
export interface ExactTime {
  /** Whole days, rounded down. */
  readonly days: number;
  /** Whole seconds of the day. */
  readonly seconds: number;
  /** What is left, in units of the last digit. */
  readonly fraction: number;
}

/**
 * Divides a number of units.
 *
 * @param value NaN if only `big` holds it
 * @param digits of the fraction of a second: 3 for milliseconds
 */
export function exactTime(value: number, big: bigint, digits: number): ExactTime {
  const perSecond = 10 ** digits;
  if (!Number.isNaN(value)) {
    const seconds = Math.floor(value / perSecond);
    const days = Math.floor(seconds / DAY_S);
    return { days, seconds: seconds - days * DAY_S, fraction: value - seconds * perSecond };
  }
  const units = BigInt(perSecond);
  const perDay = units * BigInt(DAY_S);
  const ofDay = ((big % perDay) + perDay) % perDay;
  return {
    days: Number((big - ofDay) / perDay),
    seconds: Number(ofDay / units),
    fraction: Number(ofDay % units),
  };
}

/** Writes dates and times as ClickHouse reads them exactly. Most values of a batch are of one day, whose text is kept. */
export class TimeWriter {
  #day = NaN;
  #dayText = Buffer.alloc(0);
  readonly #time = Buffer.from('00:00:00.000000000');

  /** @param day counted from 1970-01-01 */
  date(out: JsonWriter, day: number): void {
    out.byte(QUOTE);
    out.literal(this.#textOf(day));
    out.byte(QUOTE);
  }

  /** A point in time in UTC, `2026-01-02T03:04:05.678Z`; without a zone `2026-01-02 03:04:05.678`. */
  timestamp(out: JsonWriter, { days, seconds, fraction }: ExactTime, digits: number, isLocal: boolean): void {
    out.byte(QUOTE);
    out.literal(this.#textOf(days));
    out.byte(isLocal ? BLANK : LETTER_T);
    this.#timeOfDay(out, seconds, fraction, digits);
    if (!isLocal) out.byte(LETTER_Z);
    out.byte(QUOTE);
  }

  /** A time since midnight, `03:04:05.678`. */
  time(out: JsonWriter, { days, seconds, fraction }: ExactTime, digits: number): void {
    if (days !== 0) throw new UndecodableError('a time is not within a day');
    out.byte(QUOTE);
    this.#timeOfDay(out, seconds, fraction, digits);
    out.byte(QUOTE);
  }

  #timeOfDay(out: JsonWriter, seconds: number, fraction: number, digits: number): void {
    const time = this.#time;
    const minutes = Math.floor(seconds / 60);
    const hours = Math.floor(minutes / 60);
    writeLastDigits(time, 0, 2, hours);
    writeLastDigits(time, 3, 5, minutes - hours * 60);
    writeLastDigits(time, 6, 8, seconds - minutes * 60);
    writeLastDigits(time, TIME_LENGTH, TIME_LENGTH + digits, fraction);
    out.literal(time.subarray(0, TIME_LENGTH + digits));
  }

  #textOf(day: number): Buffer {
    if (day !== this.#day) {
      this.#day = day;
      this.#dayText = Buffer.from(dateText(day));
    }
    return this.#dayText;
  }
}

/** The year has four digits, or a sign and more of them. */
function dateText(day: number): string {
  // The calendar repeats itself after 400 years, and JavaScript's dates end in the year 275760.
  const cycles = Math.floor(day / DAYS_OF_400_YEARS);
  const date = new Date((day - cycles * DAYS_OF_400_YEARS) * DAY_S * 1000);
  const year = date.getUTCFullYear() + cycles * 400;
  const digits = year >= 0 && year <= 9999 ? pad(year, 4) : `${year < 0 ? '-' : '+'}${pad(Math.abs(year), 6)}`;
  return `${digits}-${pad(date.getUTCMonth() + 1, 2)}-${pad(date.getUTCDate(), 2)}`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}

const DAYS_OF_400_YEARS = 146_097;
const TIME_LENGTH = '00:00:00.'.length;
const QUOTE = 34;
const BLANK = 32;
const LETTER_T = 84;
const LETTER_Z = 90;
