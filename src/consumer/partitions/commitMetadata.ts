import { layoutName, parseLayoutName, type Layout } from '../../protocol/layout.js';

/**
 * The metadata of a commit: `ktb1;epoch;layout;cluster id`, and `;closing` or `;fill=OFFSET` if the partition is
 * changing to something else. Kafka keeps up to 4,096 bytes of it (`offset.metadata.max.bytes`). See `docs/formats.md`.
 */
export interface CommitMetadata {
  readonly epoch: string;
  readonly layout: Layout;
  /** Empty if Kafka did not tell it. */
  readonly clusterId: string;
  readonly state: PartitionState;
}

/**
 * - `reading`: the normal state
 * - `closing`: the epoch is being closed in the batchers of this layout. Nobody may continue it
 * - `filling`: a rewind fills holes below `end`
 */
export type PartitionState =
  { readonly type: 'reading' } | { readonly type: 'closing' } | { readonly type: 'filling'; readonly end: number };

export const READING: PartitionState = { type: 'reading' };

/**
 * - `foreign`: a person reset the offsets, or another program commits to the group
 * - `newer`: a later version of ktb
 * - `unread`: see {@link formatUnread}. `isUnfinished`: see {@link formatUnfinished}
 */
export type ParsedMetadata =
  | ({ readonly type: 'ours' } & CommitMetadata)
  | { readonly type: 'foreign' }
  | { readonly type: 'newer' }
  | { readonly type: 'unread'; readonly sinceMs: number; readonly isUnfinished: boolean };

const VERSION = 'ktb1';
const UNREAD = /^ktb1;since=(\d{1,15})(;unfinished)?$/;

export function formatCommitMetadata({ epoch, layout, clusterId, state }: CommitMetadata): string {
  return [VERSION, epoch, layoutName(layout), clusterId, ...stateParts(state)].join(';');
}

/**
 * Metadata of a partition that was never read and has to be read from what was written at this time on:
 * `ktb1;since=TIME`. The offset means nothing. Version 0.1.0 takes it for the metadata of a later version, and does not
 * touch the partition.
 *
 * @param sinceMs milliseconds since 1970
 */
export function formatUnread(sinceMs: number): string {
  return `${VERSION};since=${sinceMs}`;
}

/**
 * Like {@link formatUnread}, while a first commit in several parts is not finished: `ktb1;since=TIME;unfinished`. What
 * has no offset beside it is not new. Version 0.1.0 takes it for the metadata of a later version.
 *
 * @param sinceMs milliseconds since 1970. 0: the partitions begin at the beginnings of their logs
 */
export function formatUnfinished(sinceMs: number): string {
  return `${formatUnread(sinceMs)};unfinished`;
}

export function parseCommitMetadata(metadata: string | null): ParsedMetadata {
  const [version = '', epoch, layoutText = '', clusterId, ...rest] = (metadata ?? '').split(';');
  if (!/^ktb\d+$/.test(version)) return { type: 'foreign' };
  const [, sinceMs, unfinished] = UNREAD.exec(metadata ?? '') ?? [];
  if (sinceMs !== undefined)
    return { type: 'unread', sinceMs: Number(sinceMs), isUnfinished: unfinished !== undefined };
  const layout = parseLayoutName(layoutText);
  const state = parseState(rest);
  if (version !== VERSION || !epoch || layout === null || clusterId === undefined || state === null)
    return { type: 'newer' };
  return { type: 'ours', epoch, layout, clusterId, state };
}

function stateParts(state: PartitionState): string[] {
  switch (state.type) {
    case 'reading':
      return [];
    case 'closing':
      return ['closing'];
    case 'filling':
      return [`fill=${state.end}`];
  }
}

function parseState(parts: readonly string[]): PartitionState | null {
  if (parts.length === 0) return READING;
  const [part = ''] = parts;
  if (parts.length > 1) return null;
  if (part === 'closing') return { type: 'closing' };
  const end = /^fill=(\d{1,16})$/.exec(part)?.[1];
  return end === undefined ? null : { type: 'filling', end: Number(end) };
}
