import { mapConcurrently } from '../../lib/mapConcurrently.js';
import type { RecordSource } from '../../protocol/record.js';
import type { BatcherClient } from '../../temporal/batcherClient.js';

/** The parts of a batcher's client that closing an epoch needs. */
export type ClosableBatcher = Pick<BatcherClient, 'epochStatus' | 'close'>;

/**
 * Closes an epoch of a partition in all batchers of the layout that it leaves, at the first offset from which none of
 * them has accepted anything. The race: a member that was cut off wakes up late and still sends. What it sends after
 * the end is dropped, and the batchers of the next layout get it. If it was faster, the end moves up.
 *
 * @param from the next offset to read. The end is not lower
 * @returns the end: nothing at or after it was accepted, or will be
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

/** The batchers that have accepted something of an epoch that is neither in the table nor rejected. */
export async function unflushedBatchers<Batcher extends Pick<BatcherClient, 'epochStatus'>>(
  source: RecordSource,
  batchers: readonly Batcher[],
): Promise<readonly Batcher[]> {
  const statuses = await mapConcurrently(batchers, (batcher) => batcher.epochStatus(source));
  return batchers.filter((_, index) => statuses[index]?.flushed !== true);
}
