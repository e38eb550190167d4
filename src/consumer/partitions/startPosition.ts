import type { StartFrom } from '../../config/config.js';
import type { GroupOffsets } from '../../kafka/offsets.js';
import type { AcceptedMark, PartitionCoverage } from '../../protocol/batcher.js';
import { layoutName, type Layout } from '../../protocol/batcherId.js';
import type { TopicPartition } from '../../protocol/record.js';
import { parseCommitMetadata } from './commitMetadata.js';
import type { LogVerdict } from './logComparison.js';

/** What is known of a partition when it is assigned. */
export type PartitionFacts = Omit<GroupOffsets, keyof TopicPartition>;

/** Where an assigned partition starts. */
export type StartPosition =
  /** Go on where the group stopped. `missed`: offsets in between that the log no longer has. */
  | { readonly type: 'continue'; readonly epoch: string; readonly offset: number; readonly missed: number }
  /** Go on under the layout of the commit and hand over to ours at the end of what is covered. */
  | {
      readonly type: 'handOver';
      readonly epoch: string;
      readonly offset: number;
      readonly missed: number;
      readonly layout: Layout;
    }
  /** Fill the holes below `end`, under the layout of the commit, then go on. */
  | {
      readonly type: 'fill';
      readonly epoch: string;
      readonly offset: number;
      readonly missed: number;
      readonly layout: Layout;
      readonly end: number;
    }
  /**
   * A new epoch begins; it has to be committed before anything is sent under it. With `short` only once the log has ended before the
   * committed offset for a while: a new leader may not know its end yet.
   */
  | {
      readonly type: 'newEpoch';
      readonly offset: number | StartFrom;
      readonly reason: NewEpochReason;
      readonly short?: ShortLog;
    }
  /**
   * Nothing is committed, or only where to start if no batcher knows the partition: what the batchers know of it decides, see
   * {@link knownPosition}.
   */
  | { readonly type: 'askBatchers'; readonly startFrom?: StartFrom }
  /**
   * The log ends before the position that was reached in it. It was truncated (an unclean election), or it is another one
   * (the topic was recreated): only its records tell, see {@link afterShortLog}.
   */
  | { readonly type: 'shortLog'; readonly epoch: string; readonly position: number }
  /** Kafka does not tell the cluster's id, or did not when this was committed. Only the log's records tell. */
  | { readonly type: 'unknownCluster'; readonly epoch: string; readonly ifSame: GoingOn }
  /** Committed by a later version: only that one knows how to go on. */
  | { readonly type: 'newer' };

/** A log that ends before the position in it. */
export interface ShortLog {
  readonly logEnd: number;
  readonly position: number;
}

/** The ways to go on where the group stopped. */
export type GoingOn = Extract<StartPosition, { readonly type: 'continue' | 'handOver' | 'fill' }>;

export type NewEpochReason =
  | 'the log was truncated'
  | 'never read before'
  | 'committed by someone else'
  | 'committed on another cluster'
  | 'the log is shorter than the committed offset'
  | 'the log is not the one that was read before';

/**
 * Decides where an assigned partition starts. Pure.
 *
 * An epoch stands for one reading of one log. Offsets that are not ours were set by a person or a tool, who wants the
 * records from there ingested, again where need be; so the position is kept and the epoch is new. Kafka's tools take the high
 * watermark for the end of a log, and so does a consumer that reads what is not committed yet: an offset up to there is in the log.
 *
 * @param clusterId null where Kafka does not tell it
 * @param position how far a member has come that still remembers it; the commit may lag behind
 * @param highWatermark the end of the log with what transactions have written that are still open
 */
export function startPosition(
  { committedOffset, committedMetadata, logStart, logEnd }: PartitionFacts,
  {
    layout,
    clusterId,
    position = 0,
    highWatermark = logEnd,
  }: { layout: Layout; clusterId: string | null; position?: number; highWatermark?: number },
): StartPosition {
  if (committedOffset === null) return { type: 'askBatchers' };
  const metadata = parseCommitMetadata(committedMetadata);
  if (metadata.type === 'newer') return { type: 'newer' };
  if (metadata.type === 'unread') return { type: 'askBatchers', startFrom: { timestampMs: metadata.sinceMs } };
  const isElsewhere =
    metadata.type === 'ours' && metadata.clusterId !== '' && clusterId !== null && metadata.clusterId !== clusterId;
  if (committedOffset > highWatermark && (metadata.type === 'stranger' || isElsewhere)) {
    const short = { logEnd: highWatermark, position: committedOffset };
    return { type: 'newEpoch', offset: 'earliest', reason: 'the log is shorter than the committed offset', short };
  }
  const offset = Math.max(committedOffset, logStart);
  if (metadata.type === 'stranger') return { type: 'newEpoch', offset, reason: 'committed by someone else' };
  if (isElsewhere) return { type: 'newEpoch', offset, reason: 'committed on another cluster' };
  const { epoch, state } = metadata;
  const reached = Math.max(committedOffset, position);
  if (reached > highWatermark) return { type: 'shortLog', epoch, position: reached };
  const going = { epoch, offset, missed: offset - committedOffset };
  const goingOn = ((): GoingOn => {
    if (state.type === 'filling' && state.end > offset) {
      return { ...going, type: 'fill', layout: metadata.layout, end: state.end };
    }
    return mustHandOver(metadata.layout, layout, state.type === 'closing')
      ? { ...going, type: 'handOver', layout: metadata.layout }
      : { ...going, type: 'continue' };
  })();
  const isKnown = clusterId !== null && metadata.clusterId !== '';
  return isKnown ? goingOn : { type: 'unknownCluster', epoch, ifSame: goingOn };
}

/** Where a partition starts whose log ends before the position in it. Offsets that were read and are gone: `lost`, ends included. */
export interface AfterShortLog {
  readonly type: 'newEpoch';
  readonly offset: number;
  readonly reason: NewEpochReason;
  readonly lost: { readonly from: number; readonly to: number } | null;
}

/**
 * Decides where a partition goes on whose log ends before the position in it. Pure.
 *
 * Only where a record proves another log is it read from its start. Otherwise reading goes on at its end: to ingest all again
 * would double every row. It goes on under a new epoch even in the same log, because the offsets from there on are given out
 * for the second time: under the old epoch the batchers would take the records that come for those they have had, and drop them.
 *
 * @param position the offset that was to be read next
 */
export function afterShortLog(
  verdict: LogVerdict,
  { logStart, logEnd, position }: { readonly logStart: number; readonly logEnd: number; readonly position: number },
): AfterShortLog {
  if (verdict.type === 'other')
    return { type: 'newEpoch', offset: logStart, reason: 'the log is not the one that was read before', lost: null };
  // Behind the last record that is the same, others were written since.
  const offset = verdict.type === 'same' && verdict.replaced ? verdict.upTo + 1 : logEnd;
  return { type: 'newEpoch', offset, reason: 'the log was truncated', lost: { from: offset, to: position - 1 } };
}

/**
 * Decides where a partition goes on whose cluster is not known. Pure. Offsets behind every record that batchers remember may be
 * gone on with under the committed epoch whatever the log is: nothing that is read there can be taken for something else.
 *
 * @param marks records that the batchers have accepted under the committed epoch
 * @param verdict of the comparison with those that the log should have; null where it should have none
 */
export function afterUnknownCluster(
  ifSame: GoingOn,
  marks: readonly AcceptedMark[],
  { logEnd }: Pick<PartitionFacts, 'logEnd'>,
  verdict: LogVerdict | null,
): GoingOn | (Extract<StartPosition, { readonly type: 'newEpoch' }> & { readonly offset: number }) {
  const isOther =
    verdict?.type === 'other' || (verdict?.type !== 'same' && marks.some(({ offset }) => offset >= logEnd));
  return isOther ? { type: 'newEpoch', offset: ifSame.offset, reason: 'committed on another cluster' } : ifSame;
}

/** An epoch that is being closed cannot be gone on with, even where the configuration is back at its layout. */
export function mustHandOver(epochs: Layout, ours: Layout, closing: boolean): boolean {
  return closing || layoutName(epochs) !== layoutName(ours);
}

/** What the batchers of one layout know of the epoch that they were sent last. */
export interface KnownEpoch {
  readonly layout: Layout;
  /** The last record that any of them has accepted. */
  readonly mark: AcceptedMark;
  /** Where the epoch began: what is before it was read under another one, or was not to be read. */
  readonly startOffset: number;
  /** True where the partition was leaving the layout. */
  readonly closed: boolean;
}

/** Where a partition starts that the group has no offset for. */
export type KnownPosition =
  | { readonly type: 'newEpoch'; readonly offset: StartFrom; readonly reason: NewEpochReason }
  | SameEpoch
  /** Whether it is the same log, the record at the mark tells. */
  | { readonly type: 'compare'; readonly mark: AcceptedMark; readonly ifSame: SameEpoch }
  | Extract<StartPosition, { readonly type: 'shortLog' }>;

/**
 * The same log: under the same epoch from its start; the batchers drop what they have accepted before. From another layout
 * the partition goes over to ours, as ever.
 */
export interface SameEpoch {
  readonly type: 'sameEpoch';
  readonly epoch: string;
  readonly offset: number;
  /** Offsets behind all that was ever accepted that the log no longer has. */
  readonly missed: number;
  /** The layout to hand over from; null where the epoch can be gone on with. */
  readonly from: Layout | null;
}

/**
 * The group's offsets expired, the group was deleted, or the topic recreated: the last record that a batcher accepted
 * tells which.
 *
 * @param known null where no batcher knows the partition
 */
export function knownPosition(
  known: KnownEpoch | null,
  { logStart, logEnd }: Pick<PartitionFacts, 'logStart' | 'logEnd'>,
  { layout, startFrom }: { layout: Layout; startFrom: StartFrom },
): KnownPosition {
  if (known === null) return { type: 'newEpoch', offset: startFrom, reason: 'never read before' };
  const { mark, startOffset, closed } = known;
  const mustLeave = mustHandOver(known.layout, layout, closed);
  const ifSame: SameEpoch = {
    type: 'sameEpoch',
    epoch: mark.epoch,
    offset: Math.max(logStart, startOffset),
    missed: Math.max(0, logStart - (mark.offset + 1)),
    from: mustLeave ? known.layout : null,
  };
  if (logStart > mark.offset) return ifSame;
  if (logEnd > mark.offset) return { type: 'compare', mark, ifSame };
  return { type: 'shortLog', epoch: mark.epoch, position: mark.offset + 1 };
}

/**
 * The epoch that the batchers were sent last, over all layouts that the pipeline has had.
 *
 * @param coverages what each batcher of each layout has accepted of one partition
 */
export function lastEpoch(
  coverages: readonly { readonly layout: Layout; readonly coverage: PartitionCoverage }[],
): KnownEpoch | null {
  let last: { readonly layout: Layout; readonly mark: AcceptedMark } | null = null;
  for (const { layout, coverage } of coverages) {
    const { mark } = coverage;
    if (mark !== undefined && (last === null || isLater(mark, last.mark))) last = { layout, mark };
  }
  if (last === null) return null;
  let startOffset = last.mark.offset;
  let closed = false;
  for (const { layout, coverage } of coverages) {
    const epoch = coverage.epochs.find((candidate) => candidate.epoch === last.mark.epoch);
    if (layoutName(layout) !== layoutName(last.layout) || epoch === undefined) continue;
    const [lowest] = epoch.ranges;
    if (lowest !== undefined) startOffset = Math.min(startOffset, lowest[0] + 1);
    closed ||= epoch.closedAt !== undefined;
  }
  return { ...last, startOffset, closed };
}

/** Within an epoch the higher offset is the later one, whenever it was accepted. */
function isLater(mark: AcceptedMark, known: AcceptedMark): boolean {
  return mark.epoch === known.epoch ? mark.offset > known.offset : mark.acceptedAtMs > known.acceptedAtMs;
}
