import type { IdRanges, Produced, Verdict } from './checks.js';
import { Violations } from './violations.js';

type Sent = Pick<Produced, 'written' | 'unknown'>;

/** What was sent to one log of the topic. */
export interface RemadeLog extends Sent {
  /** Daemons read the topic while it was made again. What they have got of this log before they know comes twice. */
  readonly whileRead: boolean;
  /** What was sent after they had shown that they know: nothing of it comes twice. */
  readonly later?: Sent;
}

/** A row of the topic. */
export interface RemadeRow {
  readonly id: number;
  /** Of the reading that has made it. */
  readonly epoch: string;
  readonly table: string;
}

/** A topic that faults delete and make again with the same name. */
export interface RemadeTopic {
  /** The last one is there at the end. */
  readonly logs: readonly RemadeLog[];
  readonly rows: readonly RemadeRow[];
}

/**
 * What was not read of an old log is gone, the new one is read from its start. A row is one of each epoch, so what comes twice
 * was read as of the old log, and then as of the new one.
 */
export function remadeIsRead({ logs, rows }: RemadeTopic): Verdict {
  const violations = new Violations();
  const known = new Set<number>();
  const byId = new Map<number, RemadeRow[]>();
  for (const row of rows) byId.set(row.id, [...(byId.get(row.id) ?? []), row]);
  const judge = (log: number, ranges: IdRanges, [least, most]: readonly [number, number]): void => {
    for (const [first, last] of ranges)
      for (let id = first; id <= last; id++) {
        known.add(id);
        const own = byId.get(id) ?? [];
        const epochs = new Set(own.map(({ epoch }) => epoch)).size;
        const isTwice = new Set(own.map(({ epoch, table }) => `${epoch} ${table}`)).size < own.length;
        if (isTwice || epochs < least || epochs > most)
          violations.add(
            () => `id ${id} of log ${log + 1} of ${logs.length} has ${own.length} rows of ${epochs} epochs`,
          );
      }
  };
  for (const [log, { written, unknown, whileRead, later = { written: [], unknown: [] } }] of logs.entries()) {
    const [least, most] = [log === logs.length - 1 ? 1 : 0, whileRead ? 2 : 1];
    judge(log, written, [least, most]);
    judge(log, unknown, [0, most]);
    judge(log, later.written, [least, 1]);
    judge(log, later.unknown, [0, 1]);
  }
  for (const id of byId.keys()) if (!known.has(id)) violations.add(() => `id ${id} has a row, and was not produced`);
  const times = Math.max(0, logs.length - 1);
  return {
    name: 'a topic that is made again is read from its start',
    // The first log alone is any topic.
    checked: times === 0 ? 0 : known.size,
    onlyAfter: ['topic made again', 'topic made again while read'],
    wrong: violations.count,
    violations: violations.texts,
    note: `made again ${times} times, ${logs.filter(({ whileRead }) => whileRead).length} while it was read`,
  };
}
