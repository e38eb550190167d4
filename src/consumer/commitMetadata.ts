/**
 * What a commit says besides the offset: `ktb1;epoch;layout;cluster id`. Kafka keeps up to 4,096 bytes of it
 * (`offset.metadata.max.bytes`).
 */
export interface CommitMetadata {
  readonly epoch: string;
  readonly layout: string;
  readonly clusterId: string;
}

const VERSION = 'ktb1';

export function formatCommitMetadata({ epoch, layout, clusterId }: CommitMetadata): string {
  return [VERSION, epoch, layout, clusterId].join(';');
}

/** Null where the metadata is not ours: a person reset the offsets, or another program commits to the group. */
export function parseCommitMetadata(metadata: string | null): CommitMetadata | null {
  const [version, epoch, layout, clusterId, ...rest] = (metadata ?? '').split(';');
  if (version !== VERSION || !epoch || !layout || clusterId === undefined || rest.length > 0) return null;
  return { epoch, layout, clusterId };
}
