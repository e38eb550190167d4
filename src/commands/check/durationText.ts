const HOUR_MS = 3_600_000;

export const DAY_MS = 24 * HOUR_MS;

/** A duration as hours, or as days from two of them. */
export function durationText(ms: number): string {
  return ms >= 2 * DAY_MS ? `${Math.round(ms / DAY_MS)} days` : `${Math.round((ms / HOUR_MS) * 10) / 10} hours`;
}
