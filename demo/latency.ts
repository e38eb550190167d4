/** Percentiles of latencies, in milliseconds. */
export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** Percentiles of what was measured, by the nearest rank; undefined where nothing was. NaN marks what has no latency. */
export function latencyOf(latenciesMs: Iterable<number>): Latency | undefined {
  const sorted = Float64Array.from(latenciesMs)
    .filter((latencyMs) => !Number.isNaN(latencyMs))
    .sort();
  if (sorted.length === 0) return undefined;
  return {
    count: sorted.length,
    p50Ms: nearestRank(sorted, 0.5),
    p99Ms: nearestRank(sorted, 0.99),
    maxMs: nearestRank(sorted, 1),
  };
}

/** The smallest value that at least this share of all values does not exceed. */
function nearestRank(sorted: Float64Array, share: number): number {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN;
}
