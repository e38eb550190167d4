import type { Observed, Verdict } from './checks.js';
import type { Ledger, RecordState } from './ledger.js';
import type { ReadAgain, Removed } from './rereads.js';
import type { Offsets } from './topic.js';
import { Violations } from './violations.js';

const RECORDS_EXPIRED = ['records expired'] as const;

/** What faults have done on purpose, and what is due therefore. */
export interface Deliberate {
  readonly again: readonly ReadAgain[];
  readonly filled: readonly Offsets[];
  readonly removed: readonly Removed[];
  /** How often a new table came in the place of the old one. */
  readonly tablesMadeAnew: number;
}

type Place = Pick<RecordState, 'partition' | 'offset'>;

/** Whether retention removed it before the group had committed it. It may have been accepted all the same: {@link readingsDue}. */
function isRemoved({ removed }: Pick<Deliberate, 'removed'>, place: Place): boolean {
  return removed.some(({ partition, unreadFrom, to }) => holds({ partition, from: unreadFrom, to }, place));
}

/** How many were removed before the group had committed them. */
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
 * Whether a record without a dead letter has the right rows: one of each reading, which has an epoch of its own. A table that
 * was made anew lacks what the old one has: there a batch that was on its way may be inserted again, and so is what is read
 * again for what the table lacks.
 */
export function areRowsRight(deliberate: Deliberate, record: RecordState): boolean {
  const { rowEpochs } = record;
  const most = 1 + deliberate.again.filter((offsets) => holds(offsets, record)).length;
  const due = readingsDue(deliberate, record);
  if (rowEpochs.length < due || rowEpochs.length > most || record.has('twiceUnderEpoch')) return false;
  if (!record.acceptedEpochs.every((epoch) => rowEpochs.includes(epoch))) return false;
  // An acknowledgement says that it was read.
  if (rowEpochs.length === 0) return record.acks === 0;
  const isFilled = deliberate.filled.some((offsets) => holds(offsets, record));
  return !record.has('inTwoTables') || isFilled || record.has('lateInOldTable');
}

/**
 * How many readings of a record have to become something: one, and one more for each time that it was surely read again as a
 * new one. Of what was removed before it was committed only those that Temporal had. What Temporal has is never lost, whatever
 * becomes of the log.
 */
export function readingsDue(deliberate: Deliberate, record: RecordState): number {
  const accepted = record.acceptedEpochs.length;
  if (isRemoved(deliberate, record)) return accepted;
  const again = deliberate.again.filter((offsets) => holds(offsets, record) && record.offset < offsets.sureTo);
  return Math.max(accepted, 1 + again.length);
}

/**
 * What is wrong with the number of a record's acknowledgements; undefined if nothing is. Of each reading there is one at least,
 * by the epochs that their batches have. One whose epoch is not known may be of any.
 */
export function unanswered(deliberate: Deliberate, record: RecordState): string | undefined {
  const epochs = record.answers.map(({ epoch }) => epoch);
  const due = readingsDue(deliberate, record);
  if (epochs.length < due) return `has ${epochs.length} of ${due} acknowledgements`;
  const unknown = epochs.filter((epoch) => epoch === 0).length;
  const lacking = record.rowEpochs.filter((epoch) => !epochs.includes(epoch)).length - unknown;
  return lacking > 0 ? `has rows of ${lacking} epochs that were not acknowledged` : undefined;
}

/**
 * Counts records that are in two tables only because they were on their way. Of each batcher one batch is, so this has a
 * bound.
 */
export function countInTwoTables(ledger: Ledger, { again, filled }: Deliberate): number {
  let count = 0;
  ledger.forEach((record) => {
    const isInTwo = record.has('lateInOldTable') && record.has('inTwoTables');
    if (isInTwo && ![...again, ...filled].some((offsets) => holds(offsets, record))) count++;
  });
  return count;
}

/** The gaps that the daemons have told are those records that were removed before they were read, all of them and no other. */
export function gapsTold({ ledger, told, deliberate }: Pick<Observed, 'ledger' | 'told' | 'deliberate'>): Verdict {
  const violations = new Violations();
  let checked = 0;
  ledger.forEach((record) => {
    const [wasRemoved, wasTold] = [isRemoved(deliberate, record), told.gaps.some((gap) => holds(gap, record))];
    if (wasRemoved || wasTold) checked++;
    if (wasRemoved && !wasTold) violations.add(() => `${record.name} was removed, and nobody told it`);
    if (wasTold && !wasRemoved) violations.add(() => `${record.name} was told as removed, and was not`);
  });
  return {
    name: 'what was removed before it was read is told, and nothing else',
    checked,
    onlyAfter: RECORDS_EXPIRED,
    wrong: violations.count,
    violations: violations.texts,
    note: `${countRemoved(ledger, deliberate)} records were removed`,
  };
}

function holds({ partition, from, to }: Offsets, place: Place): boolean {
  return place.partition === partition && place.offset >= from && place.offset < to;
}
