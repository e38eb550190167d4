/**
 * Whether a value is stored unchanged, or ClickHouse itself refuses it. False means that ClickHouse would change it.
 *
 * @param text valid JSON. The value is from `start` to `end`
 */
export type ValueCheck = (text: string, start: number, end: number) => boolean;

/**
 * Whether a member of an object may be left out, for which a named tuple has no element. It is called once for each of them.
 *
 * @param path of the member, with the names around it. One character per byte
 */
export type LeavesOut = (path: string) => boolean;

/** What differs between servers. */
export interface ValueLimits {
  /** The time zone of columns that name none: that of the inserts' session, or the server's. */
  readonly timeZone: string;
  /** The first and the last year of a `DateTime64`. */
  readonly years: readonly [first: number, last: number];
  /**
   * Whether the server refuses a text that is nearly a float (`-`, `1e+`) or nearly a UUID (with a `g`). Some versions,
   * 24.8 to 26.3, take it for 0, for 1, or for another UUID.
   */
  readonly refusesNearly: boolean;
  /** Whether a `DateTime64` before 1970 keeps its fraction. 24.8 and 25.8 subtract it: 37.5 s become 36.5 s. */
  readonly keepsEarlyFractions: boolean;
  /**
   * Whether an integer too large for a double keeps its digits in a `JSON` column, at a path without a type, if another
   * record of the insert has a fraction there. 24.8 and 25.8 round it to the nearest double.
   */
  readonly keepsIntegers: boolean;
  /**
   * The same for an integer in an array, if another record has an array with a fraction. No version up to 26.9 keeps
   * it.
   */
  readonly keepsIntegersOfArrays: boolean;
}

/** The limits of every supported server. */
export const DEFAULT_LIMITS: ValueLimits = {
  timeZone: 'UTC',
  years: [1900, 2299],
  refusesNearly: false,
  keepsEarlyFractions: false,
  keepsIntegers: false,
  keepsIntegersOfArrays: false,
};

/**
 * The place of a type, because ClickHouse reads values differently. `variant`: it searches for a type that fits.
 * `path`: a typed path of a JSON column. `pathVariant`: it searches for a type at such a path, and would cut fractions
 * off.
 */
export type Place = 'column' | 'variant' | 'path' | 'pathVariant';

export function isAtPath(place: Place): boolean {
  return place === 'path' || place === 'pathVariant';
}

export function isInVariant(place: Place): boolean {
  return place === 'variant' || place === 'pathVariant';
}

/** The check that all of these pass. Undefined if there are none. */
export function allOf(checks: readonly (ValueCheck | undefined)[]): ValueCheck | undefined {
  const present = checks.filter((check) => check !== undefined);
  if (present.length === 0) return undefined;
  return (text, start, end) => present.every((check) => check(text, start, end));
}
