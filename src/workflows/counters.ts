import type { BatcherCounters } from '../protocol/batcher.js';

/** Totals since the batcher's first run. They are changed in place, so that no signal creates an object. */
export type Counters = Record<keyof BatcherCounters, number>;

export const NO_COUNTERS: BatcherCounters = {
  signals: 0,
  records: 0,
  batches: 0,
  inserted: 0,
  rejected: 0,
  skipped: 0,
  duplicateChunks: 0,
  foreignSignals: 0,
  continuations: 0,
};

/** Adds the totals of the run before. Counters that only another version knows are kept, too. */
export function addCounters(counters: Counters, before: BatcherCounters): void {
  const known: Record<string, number | undefined> = counters;
  for (const [name, count] of Object.entries(before) as [string, number][]) known[name] = (known[name] ?? 0) + count;
}
