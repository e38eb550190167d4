/** `1 row`, `200,000 rows`. */
export function count(number: number, noun: string): string {
  return `${grouped(number)} ${noun}${number === 1 ? '' : 's'}`;
}

/** `200,000`. */
export function grouped(number: number): string {
  return Math.round(number).toLocaleString('en');
}

/** `140 ms`, `3.9 s`. */
export function duration(durationMs: number): string {
  return Math.round(durationMs) < 1_000 ? `${Math.round(durationMs)} ms` : `${(durationMs / 1_000).toFixed(1)} s`;
}
