/** The time zone of a column: the parameter of its type, or the default if it has none. */
export function zoneOf(parameter: string, timeZone: string): string {
  return parameter === '' ? timeZone : parameter.slice(1, -1);
}

/** Gives what a clock shows at an instant, both as whole seconds since 1970. */
type WallClock = (seconds: number) => number;

/** What a clock of a time zone shows. For zones that JavaScript does not know (ClickHouse's `localtime`) that of UTC. */
export function wallClock(timeZone: string): WallClock {
  return clockOf(timeZone) ?? utc;
}

/** Whether JavaScript knows a time zone. */
export function knowsZone(timeZone: string): boolean {
  return clockOf(timeZone) !== null;
}

/** One for each zone that a server or a column names. Null for those that JavaScript does not know. */
const CLOCKS = new Map<string, WallClock | null>();

/**
 * All users of a zone share one clock: JavaScript takes half a millisecond to make one, and microseconds for each offset,
 * of which a record may need a million. Those of all years take 300 KB, and half a second to find.
 */
function clockOf(timeZone: string): WallClock | null {
  let clock = CLOCKS.get(timeZone);
  if (clock === undefined) {
    clock = newClock(timeZone);
    CLOCKS.set(timeZone, clock);
  }
  return clock;
}

function utc(seconds: number): number {
  return seconds;
}

function newClock(timeZone: string): WallClock | null {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      ...{ timeZone, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return null;
  }
  // Many names stand for UTC, such as Etc/UTC, Zulu and GMT.
  if (format.resolvedOptions().timeZone === 'UTC') return utc;
  const spans = new Map<number, readonly number[]>();
  return (seconds) => {
    const instant = sameOffset(seconds);
    const number = Math.floor(instant / SPAN);
    let offsets = spans.get(number);
    if (offsets === undefined) {
      offsets = offsetsFrom(number * SPAN, (at) => offsetAt(format, at));
      spans.set(number, offsets);
    }
    let last = offsets.length - 1;
    while ((offsets[last - 1] ?? -Infinity) > instant) last -= 2;
    return seconds + (offsets[last] ?? 0);
  };
}

/** Seconds for which offsets are asked together: half a year. */
const SPAN = 2 ** 24;

/** Three days, in seconds. No zone ever changed its clock and changed it back within them (Freetown did within four). */
const STEP = 2 ** 18;

/**
 * The offsets of the span that begins at an instant: the first, and for each change of the clock the instant at which
 * it begins and the offset from then on.
 */
function offsetsFrom(start: number, offsetOf: (seconds: number) => number): readonly number[] {
  let offset = offsetOf(start);
  const offsets = [offset];
  for (let from = start; from < start + SPAN; from += STEP) {
    const next = offsetOf(from + STEP);
    // More than one change may be in three days, if none of them takes the one before back.
    for (let at = from; offset !== next;) {
      let end = from + STEP;
      while (end - at > 1) {
        const middle = Math.floor((at + end) / 2);
        if (offsetOf(middle) === offset) at = middle;
        else end = middle;
      }
      offset = offsetOf(end);
      offsets.push(end, offset);
      at = end;
    }
  }
  return offsets;
}

/** The difference of a zone's clock from UTC, in seconds. */
function offsetAt(format: Intl.DateTimeFormat, seconds: number): number {
  const [month = 1, day = 1, year = 0, hour = 0, minute = 0, second = 0] = format
    .format(seconds * 1000)
    .split(/\D+/)
    .map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - seconds;
}

const YEAR_1800 = Date.UTC(1800, 0) / 1000;
const YEAR_2500 = Date.UTC(2500, 0) / 1000;
/** After so many seconds, 400 years, the calendar repeats itself, even its days of the week. */
const CALENDAR_CYCLE = 146_097 * 86_400;

/**
 * An instant from 1800 to 2500 with the same offset. Before it no zone changed its clock. Long before its end every zone
 * changes it by the same rule each year (the last exception is Morocco, until 2087).
 */
function sameOffset(seconds: number): number {
  if (seconds < YEAR_1800) return YEAR_1800;
  if (seconds < YEAR_2500) return seconds;
  return seconds - (Math.floor((seconds - YEAR_2500) / CALENDAR_CYCLE) + 1) * CALENDAR_CYCLE;
}
