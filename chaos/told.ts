import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Offsets } from './topic.js';

/** What the daemons have said of losses. */
export interface Told {
  /** Offsets that a log no longer had when they were to be read. */
  readonly gaps: readonly Offsets[];
  /** Rows that a view lacks, or may lack, or may have twice. */
  readonly missedByViews: number;
}

const GAP = 'Offsets are missing from the log';
const MISSED_BY_VIEWS = 'Rows are in the table that materialized views of it may lack';

/**
 * Reads it from their logs.
 *
 * @param topic whose gaps count
 */
export async function readTold(logs: readonly string[], topic: string): Promise<Told> {
  const gaps: Offsets[] = [];
  let missedByViews = 0;
  for (const file of logs) {
    if (!existsSync(file)) continue;
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      if (line.includes(GAP)) {
        const { topic: of, partition, from, to } = JSON.parse(line) as Offsets & { topic: string };
        // They name the last one.
        if (of === topic) gaps.push({ partition, from, to: to + 1 });
      } else if (line.includes(MISSED_BY_VIEWS)) missedByViews += (JSON.parse(line) as { rows: number }).rows;
    }
  }
  return { gaps, missedByViews };
}
