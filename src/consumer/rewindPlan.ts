import { formatCommitMetadata, parseCommitMetadata } from './commitMetadata.js';

/** What is to be committed for a partition so that it is read again; or why it is left as it is. */
export type RewindPlan =
  | { readonly type: 'commit'; readonly offset: number; readonly metadata: string }
  | { readonly type: 'leave'; readonly reason: string };

export interface RewindFacts {
  /** The committed next offset; null without one. */
  readonly committedOffset: number | null;
  readonly committedMetadata: string | null;
  readonly logStart: number;
  /** Where to rewind to. */
  readonly target: number;
}

/**
 * Decides what a rewind commits. Pure.
 *
 * Filling keeps the epoch, and notes in the metadata up to where the records may be in the table already. Reading again
 * drops the metadata: offsets that are not ours begin a new epoch.
 */
export function planRewind(
  { committedOffset, committedMetadata, logStart, target }: RewindFacts,
  { again }: { again: boolean },
): RewindPlan {
  if (committedOffset === null) return leave('the group has no offset there: it starts where the configuration says');
  const offset = Math.max(target, logStart);
  if (offset >= committedOffset) return leave('it is not further than that');
  if (again) return { type: 'commit', offset, metadata: '' };
  const metadata = parseCommitMetadata(committedMetadata);
  if (metadata.type === 'stranger') {
    return leave('its offset was set by someone else, and nothing is known to be in the table: use --again');
  }
  if (metadata.type === 'newer') return leave('its offset was committed by a later version of ktb: use that one');
  if (metadata.state.type === 'closing') {
    return leave('it is on its way to another layout: start the consumers, let it arrive, and rewind then');
  }
  const filledTo = metadata.state.type === 'filling' ? metadata.state.end : 0;
  const end = Math.max(committedOffset, filledTo);
  return { type: 'commit', offset, metadata: formatCommitMetadata({ ...metadata, state: { type: 'filling', end } }) };
}

function leave(reason: string): RewindPlan {
  return { type: 'leave', reason };
}
