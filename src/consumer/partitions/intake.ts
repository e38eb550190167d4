import type { PartitionTracker } from './tracker.js';

/**
 * Decides what to do with a fetched batch, from what is due of the partition, and from the log if the two do not match.
 * Pure: the caller carries the decision out.
 *
 * kafkajs may hand out something else than what is due: what it fetched before a rebalance or a seek, or what comes
 * after offsets without a record. Only the log tells which.
 */

/** What is due of a partition. */
export type Due = Pick<PartitionTracker, 'next' | 'handedOver' | 'jumpedTo'>;

/** What Kafka says of a log. */
export type LogState =
  | { readonly type: 'log'; readonly logStart: number; readonly logEnd: number }
  /** The topic is gone. A later topic of that name has another log. `topicId`: its id, if there is one already */
  | { readonly type: 'noTopic'; readonly topicId?: string | undefined }
  /** Kafka does not say now. */
  | { readonly type: 'noAnswer' };

export type Intake =
  /** It is due. The batch is handed over. */
  | { readonly type: 'take' }
  /** Everything of this plan is handed over. The next plan continues. */
  | { readonly type: 'planEnds' }
  /** It is not what is due. The log decides. */
  | { readonly type: 'askLog' }
  /** Kafka has to be asked again later. Nothing is taken until then. */
  | { readonly type: 'wait' }
  | { readonly type: 'topicGone' }
  /** The log ends before what is due: it was truncated, or is another one. */
  | { readonly type: 'shortLog' }
  /** The log no longer has what is due. If the gap may be skipped, the caller decides again from `logStart` on. */
  | { readonly type: 'gap'; readonly missed: number; readonly logStart: number }
  /** The offset that is due has to be fetched. */
  | { readonly type: 'seek' };

const TAKE: Intake = { type: 'take' };
const PLAN_ENDS: Intake = { type: 'planEnds' };
const ASK_LOG: Intake = { type: 'askLog' };
const SEEK: Intake = { type: 'seek' };

/**
 * @param fetched the offset at which the fetched batch begins. Null if the fetch brought nothing because its offset is
 *   out of range
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
  // The fetch should begin at `next`, and came to the same later offset again. So there are only batches without a
  // record in between.
  if (fetched !== null && fetched > due.next && fetched === due.jumpedTo) return TAKE;
  return SEEK;
}

/** After this many batches from other offsets, there is no record at the wanted offset. */
const MISMATCHES_MAX = 3;

/**
 * Decides whether a fetched batch has the record that has to be compared, see `logComparison.ts`.
 *
 * @param mismatches batches in a row that began at another offset, without this one
 */
export function decideComparison(wanted: number, fetched: number, mismatches: number): 'compare' | 'seek' {
  return fetched === wanted || mismatches >= MISMATCHES_MAX ? 'compare' : 'seek';
}
