/** Before the second try, and what it doubles up to. */
const FIRST_MS = 1_000;
const LONGEST_MS = 10_000;
/** A refused user is let in again when a person has changed a password or a permission. */
const REFUSED_MS = 60_000;
/** A member for so long was well. */
export const STEADY_MS = 60_000;

/**
 * How long a member that has failed waits before it tries to join its group again, in milliseconds.
 *
 * @param failures in a row, this one included; 1 at least
 * @param random from 0 to 1: members that have failed together do not come back together
 */
export function rejoinDelayMs(failures: number, refused: boolean, random: number): number {
  const longest = refused ? REFUSED_MS : Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  return Math.round(longest * (0.5 + random / 2));
}
