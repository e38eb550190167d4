import type { IdRanges, Produced, Verdict } from './checks.js';
import { Violations } from './violations.js';

/** A topic that faults delete and make again with the same name. */
export interface RemadeTopic {
  /** What was sent to it, log by log; the last one is there at the end. */
  readonly logs: readonly Pick<Produced, 'written' | 'unknown'>[];
  /** Rows of each id, the most that one table has. */
  readonly rows: ReadonlyMap<number, number>;
}

/** No daemon ran while it was made again: what was not read of the old log by then is gone, the new one is read from its start. */
export function remadeIsRead({ logs, rows }: RemadeTopic): Verdict {
  const violations = new Violations();
  const known = new Set<number>();
  const judge = (log: number, ranges: IdRanges, least: number): void => {
    for (const [first, last] of ranges)
      for (let id = first; id <= last; id++) {
        known.add(id);
        const count = rows.get(id) ?? 0;
        if (count < least || count > 1)
          violations.add(() => `id ${id} of log ${log + 1} of ${logs.length} has ${count} rows`);
      }
  };
  for (const [log, { written, unknown }] of logs.entries()) {
    judge(log, written, log === logs.length - 1 ? 1 : 0);
    judge(log, unknown, 0);
  }
  for (const id of rows.keys()) if (!known.has(id)) violations.add(() => `id ${id} has a row, and was not produced`);
  return {
    name: 'a topic that is made again is read from its start',
    checked: known.size,
    wrong: violations.count,
    violations: violations.texts,
    note: `made again ${Math.max(0, logs.length - 1)} times`,
  };
}
