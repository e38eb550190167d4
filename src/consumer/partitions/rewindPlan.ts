import { formatCommitMetadata, parseCommitMetadata } from './commitMetadata.js';
import type { PartitionFacts } from './startPosition.js';

/** What a rewind commits for a partition, or why it leaves the partition as it is. */
export type RewindPlan = { readonly type: 'commit'; readonly offset: number; readonly metadata: string } | RewindLeft;

/**
 * - `nothing`: there is nothing to go back to
 * - `problem`: there may be, but it cannot be read again so. A person has to do something before the consumers start
 */
export interface RewindLeft {
  readonly type: 'leave';
  readonly why: 'nothing' | 'problem';
  readonly reason: string;
}

export interface RewindFacts extends PartitionFacts {
  /** Where to rewind to. */
  readonly target: number;
  /** Null if Kafka does not tell it now. */
  readonly clusterId: string | null;
}

/**
 * Decides what a rewind commits. Pure.
 *
 * Filling keeps the epoch. The metadata notes up to which offset records may be in the table already: the end of the
 * log, because the last inserted records may not be committed yet. Reading again drops the metadata: offsets without
 * our metadata begin a new epoch.
 */
export function planRewind(
  { committedOffset, committedMetadata, logStart, logEnd, target, clusterId }: RewindFacts,
  { again }: { again: boolean },
): RewindPlan {
  if (committedOffset === null) return nothing('the group has no offset there: it starts where the configuration says');
  const metadata = parseCommitMetadata(committedMetadata);
  if (metadata.type === 'unread')
    return nothing('it was never read: it starts with what was written since the first start');
  const offset = Math.min(Math.max(target, logStart), committedOffset);
  if (again && offset === committedOffset) return nothing('it is not further than that');
  if (again) return { type: 'commit', offset, metadata: '' };
  if (metadata.type === 'foreign') {
    return problem('its offset was set by someone else, and nothing is known to be in the table: use --again');
  }
  if (metadata.type === 'newer') return problem('its offset was committed by a later version of ktb: use that one');
  if (clusterId === null) return problem('Kafka does not tell the id of its cluster now: try again');
  // If it was committed without an id because Kafka did not tell it, records in the table are found by offset and time.
  if (metadata.clusterId !== '' && metadata.clusterId !== clusterId) {
    return problem('its offset comes from another cluster, and nothing is known to be in the table: use --again');
  }
  if (metadata.state.type === 'closing') {
    return problem('it is on its way to another layout: start the consumers, let it arrive, and rewind then');
  }
  const end = Math.max(committedOffset, logEnd);
  if (offset >= end) return nothing('it is at the end of the log');
  return { type: 'commit', offset, metadata: formatCommitMetadata({ ...metadata, state: { type: 'filling', end } }) };
}

function nothing(reason: string): RewindLeft {
  return { type: 'leave', why: 'nothing', reason };
}

function problem(reason: string): RewindLeft {
  return { type: 'leave', why: 'problem', reason };
}
