import type { StartFrom } from '../../config/config.js';
import type { EpochStart } from '../../kafka/kafkajs/recordSet.js';
import type { GroupOffsets } from '../../kafka/offsets.js';
import type { AcceptedMark, PartitionCoverage } from '../../protocol/batcher.js';
import { isSameLayout, type Layout } from '../../protocol/layout.js';
import type { TopicPartition } from '../../protocol/record.js';
import { parseCommitMetadata } from './commitMetadata.js';
import { hasReadOtherTopic, hasReadThisTopic } from './epoch.js';
import type { LogVerdict } from './logComparison.js';
import { committedRead, type LogCut, type ReadEpoch } from './readEpochs.js';

/** What is known about a partition when it is assigned. */
export type PartitionFacts = Omit<GroupOffsets, keyof TopicPartition>;

/** An epoch goes on where the group stopped. */
interface Going {
  readonly epoch: string;
  readonly offset: number;
  /** The number of offsets from there to `offset`, which the log no longer has. */
  readonly missed: number;
  /** What the commit tells of what was read. Absent if it tells nothing, or perhaps of another log. */
  readonly committed?: ReadEpoch;
}

/** Where an assigned partition starts. */
export type StartPosition =
  | (Going & { readonly type: 'continue' })
  /** Continue under the layout of the commit, and leave it for ours at the end of what is covered. */
  | (Going & { readonly type: 'leaveLayout'; readonly layout: Layout })
  /** Fill the holes below `end`, under the layout of the commit, then continue. */
  | (Going & { readonly type: 'fill'; readonly layout: Layout; readonly end: number })
  /**
   * A new epoch begins. It has to be committed before anything is sent under it. With `short`, only after the log has
   * ended before the committed offset for a while: a new leader may not know its end yet.
   */
  | {
      readonly type: 'newEpoch';
      readonly offset: number | StartFrom;
      readonly reason: NewEpochReason;
      readonly short?: ShortLog;
      /**
       * By its id the topic is another one than the one that was read. Only after Kafka has said so for a while: a
       * broker may not know yet that it was created again.
       */
      readonly isOtherTopic?: true;
      /** Offsets that were read and are gone, both ends included. */
      readonly lost?: { readonly from: number; readonly to: number };
      /** The epoch of ours under which all before `offset` was read in the same log. Absent if nobody has proved that. */
      readonly before?: string;
    }
  /**
   * Nothing is committed, or only where to start if no batcher knows the partition. What the batchers know decides, see
   * {@link knownPosition}. Or a person has set an offset that the log does not have: with `short`, they decide only after the
   * log has ended before it for a while.
   */
  | { readonly type: 'askBatchers'; readonly startFrom?: StartFrom; readonly short?: ShortLog }
  /**
   * The log ends before the position that was reached in it. Either it was truncated (an unclean election), or it is
   * another log (the topic was recreated). Only its records tell, see {@link afterShortLog}.
   */
  | {
      readonly type: 'shortLog';
      readonly epoch: string;
      readonly position: number;
      readonly committed?: ReadEpoch;
    }
  /** Kafka does not tell the cluster's id, or did not when this was committed. Only the log's records tell. */
  | { readonly type: 'unknownCluster'; readonly epoch: string; readonly ifSame: GoingOn }
  /** Committed by a later version. Only that version knows how to continue. */
  | { readonly type: 'newer' };

/** A log that ends before the position in it. */
export interface ShortLog {
  readonly logEnd: number;
  readonly position: number;
}

/** The ways to continue where the group stopped. */
export type GoingOn = Extract<StartPosition, { readonly type: 'continue' | 'leaveLayout' | 'fill' }>;

export const OTHER_LOG = 'the log is not the one that was read before';

export type NewEpochReason =
  | 'the log was truncated'
  | 'never read before'
  | 'committed by someone else'
  | 'committed on another cluster'
  | 'the log is shorter than the committed offset'
  | typeof OTHER_LOG;

/**
 * Decides where an assigned partition starts. Pure.
 *
 * An epoch is one reading of one log. Offsets without our metadata were set by a person or a tool that wants the
 * records from there ingested, perhaps again. So the position is kept, and the epoch is new. Kafka's tools take the
 * high watermark for the end of a log, and so does a consumer that reads uncommitted records. So an offset up to there
 * is in the log.
 *
 * @param clusterId null if Kafka does not tell it
 * @param position how far this member has read, by its own memory. The commit may be lower
 * @param highWatermark the end of the log including records of open transactions
 * @param formerEpoch the epoch under which this member has read another topic of this name. Null if it has not
 * @param cut where the log has lost what this member has read of it, and how far that was. Null if it has not
 */
export function startPosition(
  { committedOffset, committedMetadata, committedLeaderEpoch, logStart, logEnd, topicId }: PartitionFacts,
  {
    layout,
    clusterId,
    position = 0,
    highWatermark = logEnd,
    formerEpoch = null,
    cut = null,
  }: {
    layout: Layout;
    clusterId: string | null;
    position?: number;
    highWatermark?: number;
    formerEpoch?: string | null;
    cut?: LogCut | null;
  },
): StartPosition {
  if (committedOffset === null) return { type: 'askBatchers' };
  const metadata = parseCommitMetadata(committedMetadata);
  if (metadata.type === 'newer') return { type: 'newer' };
  if (metadata.type === 'unread') {
    // A record without a timestamp is not found by a time.
    const startFrom = metadata.sinceMs === 0 ? 'earliest' : { timestampMs: metadata.sinceMs };
    return { type: 'askBatchers', startFrom };
  }
  const isElsewhere =
    metadata.type === 'ours' && metadata.clusterId !== '' && clusterId !== null && metadata.clusterId !== clusterId;
  if (committedOffset > highWatermark && (metadata.type === 'foreign' || isElsewhere)) {
    const short = { logEnd: highWatermark, position: committedOffset };
    if (isElsewhere)
      return { type: 'newEpoch', offset: 'earliest', reason: 'the log is shorter than the committed offset', short };
    // What is at that offset is lost. All that comes before it would be ingested twice from the log's start.
    return { type: 'askBatchers', startFrom: 'earliest', short };
  }
  const offset = Math.max(committedOffset, logStart);
  if (metadata.type === 'foreign') return { type: 'newEpoch', offset, reason: 'committed by someone else' };
  if (isElsewhere) return { type: 'newEpoch', offset, reason: 'committed on another cluster' };
  const { epoch, state } = metadata;
  // Kafka deletes a group's offsets with their topic. This one was committed after the topic was created again, by a
  // member that did not know that yet.
  if (hasReadOtherTopic(epoch, topicId, formerEpoch))
    return { type: 'newEpoch', offset: logStart, reason: OTHER_LOG, isOtherTopic: true };
  const reached = Math.max(committedOffset, position);
  if (cut !== null) return afterCut({ ...cut, to: Math.max(cut.to, reached) }, logStart, epoch);
  const committed =
    committedLeaderEpoch !== undefined && hasReadThisTopic(epoch, topicId)
      ? { committed: committedRead(committedOffset, committedLeaderEpoch) }
      : {};
  if (reached > highWatermark) return { type: 'shortLog', epoch, position: reached, ...committed };
  const going = { epoch, offset, missed: offset - committedOffset, ...committed };
  const goingOn = ((): GoingOn => {
    if (state.type === 'filling' && state.end > offset) {
      return { ...going, type: 'fill', layout: metadata.layout, end: state.end };
    }
    return mustLeaveLayout(metadata.layout, layout, state.type === 'closing')
      ? { ...going, type: 'leaveLayout', layout: metadata.layout }
      : { ...going, type: 'continue' };
  })();
  const isKnown = clusterId !== null && metadata.clusterId !== '';
  return isKnown ? goingOn : { type: 'unknownCluster', epoch, ifSame: goingOn };
}

/**
 * Where a partition continues whose log has lost what was read of it, at a known offset. Under the old epoch the batchers would
 * take what is at these offsets now for what they have had, and drop it.
 *
 * @param before the old epoch
 */
export function afterCut({ at, to }: LogCut, logStart: number, before: string) {
  const lost = { from: at, to: to - 1 };
  return { type: 'newEpoch', offset: Math.max(at, logStart), reason: 'the log was truncated', lost, before } as const;
}

/**
 * Where a partition starts whose log ends before the position in it. `lost`: offsets that were read and are gone, both
 * ends included.
 */
export interface AfterShortLog {
  readonly type: 'newEpoch';
  readonly offset: number;
  readonly reason: NewEpochReason;
  readonly lost: { readonly from: number; readonly to: number } | null;
}

interface ShortLogFacts {
  readonly logStart: number;
  readonly logEnd: number;
  /** The offset that was to be read next. */
  readonly position: number;
  /** Kafka's ids prove that it is the topic that was read. */
  readonly isSameTopic: boolean;
}

/**
 * Decides where a partition continues if its log ends before the position in it. Pure.
 *
 * It is read from the log's start only if a record proves another log: after an election, too, others may be where records that
 * were read had been, but then the topic has the same id. Otherwise reading continues at the log's end,
 * because to ingest everything again would double every row. It continues under a new epoch even in the same log: the
 * offsets from there on are used for the second time. Under the old epoch the batchers would take the new records for
 * those that they have had, and drop them.
 */
export function afterShortLog(
  verdict: LogVerdict,
  { logStart, logEnd, position, isSameTopic }: ShortLogFacts,
): AfterShortLog {
  if (verdict.type === 'other' && !isSameTopic)
    return { type: 'newEpoch', offset: logStart, reason: OTHER_LOG, lost: null };
  // After the last record that is the same, other records have been written.
  const offset = verdict.type === 'same' && verdict.replaced ? verdict.upTo + 1 : logEnd;
  return { type: 'newEpoch', offset, reason: 'the log was truncated', lost: { from: offset, to: position - 1 } };
}

/**
 * Decides where a partition continues if its cluster is not known. Pure. After every record that batchers remember, the
 * committed epoch may be continued in any log, because nothing there can be taken for another record.
 *
 * @param marks records that the batchers have accepted under the committed epoch
 * @param verdict of the comparison with those marks that the log should have
 */
export function afterUnknownCluster(
  ifSame: GoingOn,
  marks: readonly AcceptedMark[],
  { logEnd }: Pick<PartitionFacts, 'logEnd'>,
  verdict: LogVerdict,
): GoingOn | (Extract<StartPosition, { readonly type: 'newEpoch' }> & { readonly offset: number }) {
  const isOther = verdict.type === 'other' || (verdict.type !== 'same' && marks.some(({ offset }) => offset >= logEnd));
  return isOther ? { type: 'newEpoch', offset: ifSame.offset, reason: 'committed on another cluster' } : ifSame;
}

/**
 * Whether a partition has to leave a layout. An epoch that is being closed cannot be continued, even if the
 * configuration has its layout again.
 */
export function mustLeaveLayout(epochs: Layout, ours: Layout, closing: boolean): boolean {
  return closing || !isSameLayout(epochs, ours);
}

/** What the batchers of one layout know about the last epoch. */
export interface KnownEpoch {
  readonly layout: Layout;
  /** The last record that any of them has accepted. */
  readonly mark: AcceptedMark;
  /** The offset at which the epoch began. What is before it was read under another epoch, or was not to be read. */
  readonly startOffset: number;
  /** True if the partition was leaving the layout. */
  readonly closed: boolean;
  /** See {@link acceptedUnder}. */
  readonly accepted: AcceptedRecords;
}

/** Where a partition starts for which the group has no offset. */
export type KnownPosition =
  | {
      readonly type: 'newEpoch';
      readonly offset: number | StartFrom;
      readonly reason: NewEpochReason;
      /** See {@link StartPosition}. */
      readonly isOtherTopic?: true;
    }
  | SameEpoch
  /** The record at the mark tells whether it is the same log. */
  | { readonly type: 'compare'; readonly mark: AcceptedMark; readonly ifSame: SameEpoch }
  | Extract<StartPosition, { readonly type: 'shortLog' }>;

/**
 * It is the same log. It is read from its start under the same epoch, and the batchers drop what they have accepted
 * before. If the epoch is of another layout, the partition leaves it for ours.
 */
export interface SameEpoch {
  readonly type: 'sameEpoch';
  readonly epoch: string;
  readonly offset: number;
  /** The number of offsets that were never accepted and that the log no longer has. */
  readonly missed: number;
  /** The layout to leave. Null if the epoch can be continued. */
  readonly from: Layout | null;
  /** The last records that batchers have accepted under it, as far as it is known who has written them. */
  readonly accepted: readonly EpochStart[];
}

/**
 * Decides where a partition without an offset starts. The group's offsets expired, the group was deleted, or the topic
 * was recreated: the last record that a batcher accepted tells which. Pure.
 *
 * In the same topic the epoch is continued, whatever the log has lost: as it is read, the leaders of its batches tell where it
 * was cut. If nobody knows who has written what was accepted, the record at the mark tells whether it is the same log.
 *
 * An epoch of another topic is not continued: the log is read from its start, under a new one. The record at the mark
 * would prove nothing. It may be one of this log that was read before the other topic was noticed, and what batchers
 * have at the offsets before it is of the topic before.
 *
 * @param known null if no batcher knows the partition
 * @param formerEpoch see {@link startPosition}
 */
export function knownPosition(
  known: KnownEpoch | null,
  { logStart, logEnd, topicId }: Pick<PartitionFacts, 'logStart' | 'logEnd' | 'topicId'>,
  { layout, startFrom, formerEpoch = null }: { layout: Layout; startFrom: StartFrom; formerEpoch?: string | null },
): KnownPosition {
  if (known === null) return { type: 'newEpoch', offset: startFrom, reason: 'never read before' };
  const { mark, startOffset, closed, accepted } = known;
  if (hasReadOtherTopic(mark.epoch, topicId, formerEpoch))
    return { type: 'newEpoch', offset: logStart, reason: OTHER_LOG, isOtherTopic: true };
  const ifSame: SameEpoch = {
    type: 'sameEpoch',
    epoch: mark.epoch,
    offset: Math.max(logStart, startOffset),
    missed: Math.max(0, logStart - (mark.offset + 1)),
    from: mustLeaveLayout(known.layout, layout, closed) ? known.layout : null,
    accepted: accepted.records,
  };
  if (logStart > mark.offset || (accepted.areAll && hasReadThisTopic(mark.epoch, topicId))) return ifSame;
  if (logEnd > mark.offset) return { type: 'compare', mark, ifSame };
  return { type: 'shortLog', epoch: mark.epoch, position: mark.offset + 1 };
}

/**
 * The last epoch that any batcher knows, over all layouts of the pipeline.
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
    if (!isSameLayout(layout, last.layout) || epoch === undefined) continue;
    const [lowest] = epoch.ranges;
    if (lowest !== undefined) startOffset = Math.min(startOffset, lowest[0] + 1);
    closed ||= epoch.closedAt !== undefined;
  }
  const coverage = coverages.map((each) => each.coverage);
  return { ...last, startOffset, closed, accepted: acceptedUnder(last.mark.epoch, coverage) };
}

/** The last offset that each batcher has accepted under an epoch. It may lie after its last record: a chunk covers those of others. */
export interface AcceptedRecords {
  readonly records: readonly EpochStart[];
  /** False if there are others, of which nobody knows who has written them: a sender of version 0.1.0, or Kafka did not tell it. */
  readonly areAll: boolean;
}

/** @param coverages what each batcher has accepted of one partition */
export function acceptedUnder(epoch: string, coverages: readonly PartitionCoverage[]): AcceptedRecords {
  const accepted = coverages.flatMap(({ epochs, mark }) => {
    if (mark?.epoch !== epoch) return [];
    const coveredTo = epochs.find((candidate) => candidate.epoch === epoch)?.ranges.at(-1)?.[1] ?? mark.offset;
    return [{ leaderEpoch: mark.leaderEpoch, from: coveredTo }];
  });
  const records = accepted.filter((record): record is EpochStart => record.leaderEpoch !== undefined);
  return { records, areAll: records.length === accepted.length };
}

/** Within an epoch the higher offset is the later one, whatever the times are. */
function isLater(mark: AcceptedMark, known: AcceptedMark): boolean {
  return mark.epoch === known.epoch ? mark.offset > known.offset : mark.acceptedAtMs > known.acceptedAtMs;
}
