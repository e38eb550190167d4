/** The wait before the second attempt, and the longest wait. It doubles in between. */
const FIRST_MS = 1_000;
const LONGEST_MS = 10_000;
/** The wait if Kafka refuses the user. A person has to change a password or a permission. */
const REFUSED_MS = 60_000;
/** After this time in the group a member counts as healthy again. */
export const STEADY_MS = 60_000;

/**
 * How long a failed member waits before it tries to join its group again, in milliseconds.
 *
 * @param failures in a row, this one included. At least 1
 * @param random from 0 to 1, so that members that have failed together do not return together
 */
export function rejoinDelayMs(failures: number, refused: boolean, random: number): number {
  const longest = refused ? REFUSED_MS : Math.min(FIRST_MS * 2 ** (failures - 1), LONGEST_MS);
  return Math.round(longest * (0.5 + random / 2));
}
