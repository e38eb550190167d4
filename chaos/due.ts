import type { Observed, Verdict } from './checks.js';
import type { Ledger, RecordState } from './ledger.js';
import type { ReadAgain, Removed } from './rereads.js';
import type { Offsets } from './topic.js';
import { Violations } from './violations.js';

/** What faults have done on purpose, and what is due therefore. */
export interface Deliberate {
  readonly again: readonly ReadAgain[];
  readonly filled: readonly Offsets[];
  readonly removed: readonly Removed[];
  /** How often a new table came in the place of the old one. */
  readonly tablesMadeAnew: number;
}

type Place = Pick<RecordState, 'partition' | 'offset'>;

/** Whether retention removed it before it was read. It may have been accepted all the same, without a commit. */
export function isRemoved({ removed }: Pick<Deliberate, 'removed'>, place: Place): boolean {
  return removed.some(({ partition, unreadFrom, to }) => holds({ partition, from: unreadFrom, to }, place));
}

/** How many were removed before they were read. */
export function countRemoved(ledger: Ledger, deliberate: Pick<Deliberate, 'removed'>): number {
  let count = 0;
  ledger.forEach((record) => {
    if (isRemoved(deliberate, record)) count++;
  });
  return count;
}

/** How often a person had it read again. */
export function rereadsOf({ again, filled }: Deliberate, place: Place): number {
  return [...again, ...filled].filter((offsets) => holds(offsets, place)).length;
}

/** How many records were read again, at most. */
export function reread({ again, filled }: Deliberate): number {
  return [...again, ...filled].reduce((sum, { from, to }) => sum + to - from, 0);
}

/**
 * Whether a record without a dead letter has the right number of rows: one, and one for each time that it was read again as
 * a new one. A table that was made anew lacks what the old one has: there a batch that was on its way may be inserted again,
 * and so is what is read again.
 */
export function areRowsRight(deliberate: Deliberate, record: RecordState): boolean {
  const { rows } = record;
  const again = deliberate.again.filter((offsets) => holds(offsets, record));
  const most = 1 + again.length;
  const least = readingsMin(deliberate, record);
  if (rows < least) return (rows > 0 || record.acks === 0) && isRemoved(deliberate, record);
  if (rows <= most) return true;
  const isFilled = deliberate.filled.some((offsets) => holds(offsets, record));
  return record.mostInOneTable <= most && (isFilled || record.has('lateInOldTable'));
}

/** How often a record was read as a new one, at least: once, and once more for each time that it was surely read again as such. */
export function readingsMin({ again }: Deliberate, record: Place): number {
  return 1 + again.filter((offsets) => holds(offsets, record) && record.offset < offsets.sureTo).length;
}

/**
 * Counts records that are in two tables only because they were on their way. Of each batcher one batch is, so this has a
 * bound.
 */
export function countInTwoTables(ledger: Ledger, { again, filled }: Deliberate): number {
  let count = 0;
  ledger.forEach((record) => {
    const isInTwo = record.has('lateInOldTable') && record.rows > record.mostInOneTable;
    if (isInTwo && ![...again, ...filled].some((offsets) => holds(offsets, record))) count++;
  });
  return count;
}

/** The gaps that the daemons have told are those records that were removed before they were read, all of them and no other. */
export function gapsTold({ ledger, told, deliberate }: Pick<Observed, 'ledger' | 'told' | 'deliberate'>): Verdict {
  const violations = new Violations();
  ledger.forEach((record) => {
    const [wasRemoved, wasTold] = [isRemoved(deliberate, record), told.gaps.some((gap) => holds(gap, record))];
    if (wasRemoved && !wasTold) violations.add(() => `${record.name} was removed, and nobody told it`);
    if (wasTold && !wasRemoved) violations.add(() => `${record.name} was told as removed, and was not`);
  });
  return {
    name: 'what was removed before it was read is told, and nothing else',
    checked: ledger.counts.records,
    wrong: violations.count,
    violations: violations.texts,
    note: `${countRemoved(ledger, deliberate)} records were removed`,
  };
}

function holds({ partition, from, to }: Offsets, place: Place): boolean {
  return place.partition === partition && place.offset >= from && place.offset < to;
}
