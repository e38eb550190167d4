import type { IdRanges, Produced, Verdict } from './checks.js';
import { Violations } from './violations.js';

/** What was sent to one log of the topic. */
export interface RemadeLog extends Pick<Produced, 'written' | 'unknown'> {
  /** Daemons read the topic while it was made again. What they have got of this log before they know comes twice. */
  readonly whileRead: boolean;
}

/** A topic that faults delete and make again with the same name. */
export interface RemadeTopic {
  /** The last one is there at the end. */
  readonly logs: readonly RemadeLog[];
  /** Rows of each id, the most that one table has. */
  readonly rows: ReadonlyMap<number, number>;
}

/** What was not read of an old log is gone, the new one is read from its start. */
export function remadeIsRead({ logs, rows }: RemadeTopic): Verdict {
  const violations = new Violations();
  const known = new Set<number>();
  const judge = (log: number, ranges: IdRanges, [least, most]: readonly [number, number]): void => {
    for (const [first, last] of ranges)
      for (let id = first; id <= last; id++) {
        known.add(id);
        const count = rows.get(id) ?? 0;
        if (count < least || count > most)
          violations.add(() => `id ${id} of log ${log + 1} of ${logs.length} has ${count} rows`);
      }
  };
  for (const [log, { written, unknown, whileRead }] of logs.entries()) {
    const most = whileRead ? 2 : 1;
    judge(log, written, [log === logs.length - 1 ? 1 : 0, most]);
    judge(log, unknown, [0, most]);
  }
  for (const id of rows.keys()) if (!known.has(id)) violations.add(() => `id ${id} has a row, and was not produced`);
  return {
    name: 'a topic that is made again is read from its start',
    checked: known.size,
    wrong: violations.count,
    violations: violations.texts,
    note: `made again ${Math.max(0, logs.length - 1)} times, ${logs.filter(({ whileRead }) => whileRead).length} while it was read`,
  };
}
