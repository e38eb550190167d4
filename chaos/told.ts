import { createReadStream, existsSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** What the daemons have said of losses. */
export interface Told {
  /** Rows that a view lacks, or may lack, or may have twice. */
  readonly missedByViews: number;
}

const MISSED_BY_VIEWS = 'Rows are in the table that materialized views of it may lack';

/** Reads it from their logs. */
export async function readTold(logs: readonly string[]): Promise<Told> {
  let missedByViews = 0;
  for (const file of logs) {
    if (!existsSync(file)) continue;
    for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
      if (line.includes(MISSED_BY_VIEWS)) missedByViews += (JSON.parse(line) as { rows: number }).rows;
    }
  }
  return { missedByViews };
}
