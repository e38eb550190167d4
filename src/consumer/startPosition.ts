import type { StartFrom } from '../config/config.js';
import { parseCommitMetadata } from './commitMetadata.js';

/** What is known of a partition when it is assigned. */
export interface PartitionFacts {
  /** The committed next offset; null without one. Kafka's -1 and kafkajs's -2 are no offsets. */
  readonly committedOffset: number | null;
  readonly committedMetadata: string | null;
  /** The first offset in the log, and the next one to be written. */
  readonly logStart: number;
  readonly logEnd: number;
}

/** Where an assigned partition starts. */
export type StartPosition =
  /** Go on where the group stopped. `missed`: offsets in between that the log no longer has. */
  | { readonly type: 'continue'; readonly epoch: string; readonly offset: number; readonly missed: number }
  /** A new epoch begins; it has to be committed before anything is sent under it. */
  | { readonly type: 'newEpoch'; readonly offset: number | StartFrom; readonly reason: NewEpochReason }
  /** The group's offsets belong to another division of the keys. */
  | { readonly type: 'layoutChanged'; readonly committedLayout: string };

export type NewEpochReason =
  | 'no committed offset'
  | 'committed by someone else'
  | 'committed on another cluster'
  | 'the log is shorter than the committed offset';

/**
 * Decides where an assigned partition starts.
 *
 * An epoch stands for one reading of one log. Offsets that are not ours were set by a person or a tool, who wants the
 * records from there ingested, again where need be; so the position is kept and the epoch is new.
 */
export function startPosition(
  { committedOffset, committedMetadata, logStart, logEnd }: PartitionFacts,
  { layout, clusterId, startFrom }: { layout: string; clusterId: string; startFrom: StartFrom },
): StartPosition {
  if (committedOffset === null) return { type: 'newEpoch', offset: startFrom, reason: 'no committed offset' };
  if (committedOffset > logEnd) {
    return { type: 'newEpoch', offset: 'earliest', reason: 'the log is shorter than the committed offset' };
  }
  const offset = Math.max(committedOffset, logStart);
  const metadata = parseCommitMetadata(committedMetadata);
  if (metadata === null) return { type: 'newEpoch', offset, reason: 'committed by someone else' };
  if (metadata.clusterId !== clusterId) return { type: 'newEpoch', offset, reason: 'committed on another cluster' };
  if (metadata.layout !== layout) return { type: 'layoutChanged', committedLayout: metadata.layout };
  return { type: 'continue', epoch: metadata.epoch, offset, missed: offset - committedOffset };
}
