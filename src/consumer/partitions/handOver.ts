import { mapConcurrently } from '../../lib/mapConcurrently.js';
import type { RecordSource } from '../../protocol/record.js';
import type { BatcherClient } from '../../temporal/batcherClient.js';

/** What a hand-over needs of a batcher. */
export type ClosableBatcher = Pick<BatcherClient, 'epochStatus' | 'close'>;

/**
 * Closes an epoch of a partition in all batchers of the layout it leaves, at the first offset that none of them has
 * accepted anything from. A member that was cut off and wakes up late may still send: what it sends beyond the end is
 * dropped, and the batchers of the next layout have it. Where it was faster, the end moves up.
 *
 * @param from the next offset to be read: never less than this is closed
 * @returns the end: nothing at or beyond it was accepted, or will be
 */
export async function closeEpoch(
  source: RecordSource,
  from: number,
  batchers: readonly ClosableBatcher[],
): Promise<number> {
  let end = from;
  for (;;) {
    const before = await mapConcurrently(batchers, (batcher) => batcher.epochStatus(source));
    for (const { coveredTo, closedAt } of before) end = Math.max(end, (coveredTo ?? -1) + 1, (closedAt ?? -1) + 1);
    const offset = end - 1;
    if (before.every(({ closedAt }) => closedAt === offset)) return end;
    await mapConcurrently(batchers, (batcher) => batcher.close({ ...source, offset }));
  }
}

/** True where all that was accepted of an epoch is in the table or rejected. */
export async function isFlushed(source: RecordSource, batchers: readonly ClosableBatcher[]): Promise<boolean> {
  const statuses = await mapConcurrently(batchers, (batcher) => batcher.epochStatus(source));
  return statuses.every(({ flushed }) => flushed);
}
