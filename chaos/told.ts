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
        const told = lastEntry(line);
        // They name the last one.
        if (isOf(told, topic)) of.push({ partition: told.partition, from: told.from, to: told.to + 1 });
      } else if (line.includes(MISSED_BY_VIEWS)) missedByViews += rowsIn(line);
    }
  }
  return { gaps, cuts, missedByViews };
}

/** The last entry in a line: a process that was killed may have written the begin of another one. Undefined if it is cut itself. */
function lastEntry(line: string): Partial<Entry> | undefined {
  try {
    return JSON.parse(line.slice(Math.max(0, line.lastIndexOf(ENTRY)))) as Partial<Entry>;
  } catch {
    return undefined;
  }
}

const ENTRY = '{"level":';

/** What entries say of losses. */
interface Entry extends Offsets {
  readonly topic: string;
  readonly rows: unknown;
}

function isOf(entry: Partial<Entry> | undefined, topic: string): entry is Entry {
  return entry?.topic === topic;
}

/** @throws Error if it does not say how many: then nothing could be wrong with any view any more */
function rowsIn(line: string): number {
  const entry = lastEntry(line);
  if (entry === undefined) return 0;
  if (!Number.isSafeInteger(entry.rows)) throw new Error(`a daemon has not said how many rows a view lacks: ${line}`);
  return entry.rows as number;
}
