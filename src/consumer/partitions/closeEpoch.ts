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
 * @throws Error if a batcher does not close the epoch although Temporal has the request: it refuses the signal. The caller
 *   tries again later
 */
export async function closeEpoch(
  source: RecordSource,
  from: number,
  batchers: readonly ClosableBatcher[],
): Promise<number> {
  let end = from;
  let asked = -Infinity;
  for (;;) {
    const before = await mapConcurrently(batchers, (batcher) => batcher.epochStatus(source));
    for (const { coveredTo, closedAt } of before) end = Math.max(end, (coveredTo ?? -1) + 1, (closedAt ?? -1) + 1);
    if (before.some(({ closedAt }) => (closedAt ?? -Infinity) < asked))
      throw new Error(
        'a batcher does not close its epoch: it refuses the signal, or was started anew meanwhile. With `temporal.encryption`: does it require that, and has this process the keys?',
      );
    const offset = end - 1;
    if (before.every(({ closedAt }) => closedAt === offset)) return end;
    await mapConcurrently(batchers, (batcher) => batcher.close({ ...source, offset }));
    asked = offset;
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
