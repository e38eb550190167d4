import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Offsets } from './topic.js';

/** What the daemons have said of losses. */
export interface Told {
  /** Offsets that a log no longer had when they were to be read. */
  readonly gaps: readonly Offsets[];
  /** Offsets that were read, and that a log no longer had later: an election has cut it. */
  readonly cuts: readonly Offsets[];
  /** Rows that a view lacks, or may lack, or may have twice. */
  readonly missedByViews: number;
}

const GAP = 'Offsets are missing from the log';
const CUT = 'The log of a partition lacks what was read of it';
const MISSED_BY_VIEWS = 'Rows are in the table that materialized views of it may lack';

/**
 * Reads it from their logs.
 *
 * @param topic whose gaps count
 */
export async function readTold(logs: readonly string[], topic: string): Promise<Told> {
  const gaps: Offsets[] = [];
  const cuts: Offsets[] = [];
  let missedByViews = 0;
  for (const file of logs) {
    if (!existsSync(file)) continue;
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      const of = line.includes(GAP) ? gaps : line.includes(CUT) ? cuts : undefined;
      if (of !== undefined) {
        const told = JSON.parse(line) as Offsets & { topic: string };
        // They name the last one.
        if (told.topic === topic) of.push({ partition: told.partition, from: told.from, to: told.to + 1 });
      } else if (line.includes(MISSED_BY_VIEWS)) missedByViews += (JSON.parse(line) as { rows: number }).rows;
    }
  }
  return { gaps, cuts, missedByViews };
}
