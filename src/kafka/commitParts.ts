/**
 * The most bytes of one commit in the group's log. A coordinator writes a commit as one record batch, and refuses it with
 * `UNKNOWN` if it is over the broker's `message.max.bytes`: 1 MiB by default (tried with Kafka 4.3), and less on some
 * clusters.
 */
const PART_BYTES_MAX = 200_000;
/** What the coordinator writes for a partition beside the names, with room for a long group id. */
const PARTITION_BYTES = 300;

/** Divides a commit into parts that a coordinator takes, in order. Pure. */
export function commitParts<T extends { readonly topic: string; readonly metadata?: string | null }>(
  commits: readonly T[],
): readonly (readonly T[])[] {
  const parts: T[][] = [];
  let bytes = Infinity;
  for (const commit of commits) {
    const size = PARTITION_BYTES + Buffer.byteLength(commit.topic) + Buffer.byteLength(commit.metadata ?? '');
    if (bytes + size > PART_BYTES_MAX) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(commit);
    bytes += size;
  }
  return parts;
}
