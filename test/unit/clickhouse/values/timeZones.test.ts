import fc from 'fast-check';
import { afterEach, expect, it, vi } from 'vitest';
import { keyNames } from '../../../../src/clickhouse/values/mapKeys.js';
import { wallClock } from '../../../../src/clickhouse/values/timeZones.js';

afterEach(() => {
  vi.restoreAllMocks();
});

const FORMATS = new Map<string, Intl.DateTimeFormat>();

/** What JavaScript itself says that a zone's clock shows. */
function asked(timeZone: string, seconds: number): number {
  const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric' } as const;
  const format =
    FORMATS.get(timeZone) ??
    new Intl.DateTimeFormat('en-US', { timeZone, hourCycle: 'h23', ...options, minute: 'numeric', second: 'numeric' });
  FORMATS.set(timeZone, format);
  const parts = new Map(format.formatToParts(seconds * 1000).map(({ type, value }) => [type, Number(value)]));
  const part = (type: Intl.DateTimeFormatPartTypes): number => parts.get(type) as number;
  const shown = new Date(0);
  shown.setUTCFullYear(part('year'), part('month') - 1, part('day'));
  return shown.setUTCHours(part('hour'), part('minute'), part('second')) / 1000;
}

const at = (time: string): number => Date.parse(time) / 1000;

/** Changes of a clock, among them odd ones: by half an hour, with seconds, over a whole day, two within a week. */
const CHANGES: readonly (readonly [zone: string, instant: number])[] = [
  ['Europe/Berlin', at('2024-03-31T01:00:00Z')],
  ['Europe/Berlin', at('2024-10-27T01:00:00Z')],
  ['Europe/Berlin', at('9998-03-29T01:00:00Z')],
  ['America/New_York', at('2499-11-01T06:00:00Z')],
  ['America/New_York', at('2500-03-14T07:00:00Z')],
  ['Australia/Lord_Howe', at('2024-04-06T15:00:00Z')],
  ['Australia/Lord_Howe', at('2024-10-05T15:30:00Z')],
  ['Africa/Monrovia', at('1972-01-07T00:44:30Z')],
  ['Asia/Kathmandu', at('1985-12-31T18:30:00Z')],
  ['Asia/Manila', at('1844-12-31T15:56:00Z')],
  ['Pacific/Apia', at('2011-12-30T10:00:00Z')],
  ['Africa/Casablanca', at('2087-05-11T02:00:00Z')],
  ['Asia/Gaza', at('2040-10-20T00:00:00Z')],
  ['America/Boa_Vista', at('2000-10-08T04:00:00Z')],
  ['America/Boa_Vista', at('2000-10-15T03:00:00Z')],
];
const ZONES = [...Intl.supportedValuesOf('timeZone'), 'Etc/UTC', 'Zulu', 'GMT', 'UCT', 'Etc/GMT-14', 'EST5EDT'];

it('a clock shows what JavaScript says, in every zone and at every instant of a column', () => {
  const instants = fc.oneof(
    fc.integer({ min: at('1970-01-01T00:00:00Z'), max: at('2040-01-01T00:00:00Z') }),
    fc.integer({ min: at('1830-01-01T00:00:00Z'), max: at('2110-01-01T00:00:00Z') }),
    fc.integer({ min: at('0001-01-03T00:00:00Z'), max: at('9999-12-30T00:00:00Z') }),
  );
  fc.assert(
    fc.property(fc.constantFrom(...ZONES), instants, (zone, instant) => {
      expect(wallClock(zone)(instant)).toBe(asked(zone, instant));
    }),
    { numRuns: 1000 },
  );
});

it('a clock changes at the second at which JavaScript says that it does', () => {
  fc.assert(
    fc.property(fc.constantFrom(...CHANGES), fc.integer({ min: -7300, max: 7300 }), ([zone, change], seconds) => {
      const clock = wallClock(zone);
      for (const instant of [change - 1, change, change + 1, change + seconds])
        expect(clock(instant)).toBe(asked(zone, instant));
    }),
    { numRuns: 500 },
  );
});

it('a key of a Map has the name of the instant that JavaScript finds, also while the clock is set forward or back', () => {
  fc.assert(
    fc.property(fc.constantFrom(...CHANGES), fc.integer({ min: -9000, max: 9000 }), ([zone, change], seconds) => {
      const wall = asked(zone, change) + seconds;
      const guess = wall - (asked(zone, wall) - wall);
      const instant = wall - (asked(zone, guess) - guess);
      const text = new Date(wall * 1000).toISOString().slice(0, 19);
      expect(keyNames(`DateTime64(0, '${zone}')`, 'UTC')(text)).toBe(`${instant}.`);
    }),
    { numRuns: 500 },
  );
});

it('JavaScript is asked once for the offsets of half a year, however many times a record has', () => {
  const format = vi.spyOn(Intl.DateTimeFormat.prototype as { readonly format: unknown }, 'format', 'get');
  const parts = vi.spyOn(Intl.DateTimeFormat.prototype, 'formatToParts');
  for (const [zone, most] of [
    ['Etc/UTC', 0],
    ['Zulu', 0],
    ['Europe/Vienna', 500],
    ['Asia/Kolkata', 500],
  ] as const) {
    const nameOf = keyNames('DateTime', zone);
    for (let minute = 0; minute < 20_000; minute++)
      nameOf(new Date(Date.UTC(2024, 0, 1, 0, minute)).toISOString().slice(0, 19));
    const calls = format.mock.calls.length + parts.mock.calls.length;
    expect(calls).toBeLessThanOrEqual(most);
    format.mockClear();
    parts.mockClear();
  }
});
