import type { PartitionTracker } from './tracker.js';

/**
 * Decides what becomes of what was fetched, by what is due of the partition, and by what its log says if the two do not fit. Pure: who
 * asks carries the decision out.
 *
 * kafkajs may hand out something else than what is due: what it fetched before a rebalance or a seek, or what comes after batches without
 * a record, which it passes over. Only the log tells which.
 */

/** What is due of a partition. */
export type Due = Pick<PartitionTracker, 'next' | 'handedOver' | 'jumpedTo'>;

/** What Kafka says of a log. */
export type LogState =
  | { readonly type: 'log'; readonly logStart: number; readonly logEnd: number }
  /** There is no such topic: another log has that name later. */
  | { readonly type: 'noTopic' }
  /** Kafka does not say now. */
  | { readonly type: 'noAnswer' };

export type Intake =
  /** It is due: what was fetched is handed over. */
  | { readonly type: 'take' }
  /** All that was to be read under this plan is handed over. The next plan reads on. */
  | { readonly type: 'planEnds' }
  /** It is not what is due. What the log says decides. */
  | { readonly type: 'askLog' }
  /** Kafka is to be asked again later. Until then nothing is taken. */
  | { readonly type: 'wait' }
  | { readonly type: 'topicGone' }
  /** The log ends before what is due: it was truncated, or is another one. */
  | { readonly type: 'shortLog' }
  /** The log no longer has what is due. If that may be passed over, this is decided anew from `logStart` on. */
  | { readonly type: 'gap'; readonly missed: number; readonly logStart: number }
  /** What is due is to be fetched. */
  | { readonly type: 'seek' };

const TAKE: Intake = { type: 'take' };
const PLAN_ENDS: Intake = { type: 'planEnds' };
const ASK_LOG: Intake = { type: 'askLog' };
const SEEK: Intake = { type: 'seek' };

/**
 * @param fetched the offset at which the fetched batch begins; null if the fetch brought nothing because its offset is out of range
 * @param log null until it was asked
 */
export function decideIntake(due: Due, fetched: number | null, log: LogState | null): Intake {
  if (due.handedOver) return PLAN_ENDS;
  if (fetched === due.next) return TAKE;
  if (log === null) return ASK_LOG;
  if (log.type === 'noTopic') return { type: 'topicGone' };
  if (log.type === 'noAnswer') return { type: 'wait' };
  if (log.logEnd < due.next) return { type: 'shortLog' };
  if (log.logStart > due.next) return { type: 'gap', missed: log.logStart - due.next, logStart: log.logStart };
  // The fetch was told to begin at `next`, and came to the same later offset again: in between are only batches without a record.
  if (fetched !== null && fetched > due.next && fetched === due.jumpedTo) return TAKE;
  return SEEK;
}

/** Fetches from elsewhere, after which there is no record at the offset that is looked at. */
const MISMATCHES_MAX = 3;

/**
 * Decides whether a fetched batch shows the record at an offset that is looked at, to compare the log with what was read of it.
 *
 * @param mismatches batches in a row that began elsewhere, this one not included
 */
export function decideLook(wanted: number, fetched: number, mismatches: number): 'look' | 'seek' {
  return fetched === wanted || mismatches >= MISMATCHES_MAX ? 'look' : 'seek';
}

/** The offsets of a batch without a record: control records, aborted or compacted ones. kafkajs passes over it by itself. */
export interface EmptyBatch {
  readonly first: number;
  readonly last: number;
}

/** The offset that is due after a batch without a record; null if the batch does not begin at `next`, and so says nothing. */
export function nextAfterEmpty(
  { next }: Pick<Due, 'next'>,
  end: number | null,
  { first, last }: EmptyBatch,
): number | null {
  return first === next ? Math.min(last + 1, end ?? Infinity) : null;
}
