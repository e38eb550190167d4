import type { Lane } from './lane.js';
import type { PartitionTracker } from '../partitions/tracker.js';

export interface BackpressureLimits {
  /** Bytes of memory for the records in all lanes together. */
  readonly bufferedBytesMax: number;
  /** Bytes of memory for the records in one lane. A stopped lane must not take the room of the others. */
  readonly laneBytesMax: number;
}

/** One stopped lane may take a quarter of the room. */
export function backpressureLimits(bufferedBytesMax: number): BackpressureLimits {
  return { bufferedBytesMax, laneBytesMax: bufferedBytesMax / 4 };
}

/**
 * From so much memory on, a lane waits no longer for more records. Otherwise lanes that only wait would pause the
 * partitions, alone or all together.
 */
export function lingerBytesMax(bufferedBytesMax: number, lanes: number): number {
  const { laneBytesMax } = backpressureLimits(bufferedBytesMax);
  return Math.min(laneBytesMax, bufferedBytesMax / lanes) * PAUSED_SHARE;
}

/** A paused partition continues at this share of a limit. */
const PAUSED_SHARE = 0.5;

/**
 * Decides which partitions may not be fetched now. A partition is paused if all lanes together are full, or if a lane
 * with records of it is full. It continues at half of that, so that there is still work while the next fetch runs. A
 * partition that has reached the end of its plan waits for the next plan. Pure.
 *
 * @param lanesOf the lanes of a partition's records
 * @param bufferedBytes memory of the records in all lanes of all layouts
 * @param isPaused the present state
 */
export function partitionsToPause(
  trackers: Iterable<PartitionTracker>,
  lanesOf: (tracker: PartitionTracker) => readonly Lane[],
  bufferedBytes: number,
  { bufferedBytesMax, laneBytesMax }: BackpressureLimits,
  isPaused: (tracker: PartitionTracker) => boolean,
): Set<PartitionTracker> {
  const paused = new Set<PartitionTracker>();
  for (const tracker of trackers) {
    const share = isPaused(tracker) ? PAUSED_SHARE : 1;
    const laneFull = lanesOf(tracker).some(
      (lane) => lane.memoryBytes >= laneBytesMax * share && tracker.lastPending(lane.index) !== undefined,
    );
    if (tracker.handedOver || laneFull || bufferedBytes >= bufferedBytesMax * share) paused.add(tracker);
  }
  return paused;
}
