/** What has worked for this long is healthy again: its earlier failures count no more. */
export const STEADY_MS = 60_000;

/**
 * How long to wait before the next attempt, in milliseconds. The delay doubles with each failure.
 *
 * @param failures in a row, this one included. At least 1
 * @param random from 0 to 1, so that those who have failed together do not come back together
 */
export function retryDelayMs(
  failures: number,
  { firstMs, longestMs }: { readonly firstMs: number; readonly longestMs: number },
  random: number,
): number {
  return Math.round(Math.min(firstMs * 2 ** (failures - 1), longestMs) * (0.5 + random / 2));
}
