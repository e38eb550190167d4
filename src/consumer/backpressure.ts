import type { Lane } from './lane.js';
import type { PartitionTracker } from './tracker.js';

export interface BackpressureLimits {
  /** Payload bytes in all lanes together. */
  readonly bufferedBytesMax: number;
  /** Payload bytes in one lane: a lane that is stopped must not take the room of the others. */
  readonly laneBytesMax: number;
}

/** One stopped lane may hold a quarter of the room. */
export function backpressureLimits(bufferedBytesMax: number): BackpressureLimits {
  return { bufferedBytesMax, laneBytesMax: bufferedBytesMax / 4 };
}

/**
 * Which partitions may be fetched. A partition is paused when all lanes together are full, or when a lane that holds
 * records of it is; it goes on at half of that, so that there is work while the next fetch is under way. Pure.
 *
 * @param isPaused the state before
 */
export function partitionsToPause(
  trackers: Iterable<PartitionTracker>,
  lanes: readonly Lane[],
  { bufferedBytesMax, laneBytesMax }: BackpressureLimits,
  isPaused: (tracker: PartitionTracker) => boolean,
): Set<PartitionTracker> {
  const bufferedBytes = lanes.reduce((sum, lane) => sum + lane.bytes, 0);
  const paused = new Set<PartitionTracker>();
  for (const tracker of trackers) {
    const share = isPaused(tracker) ? 0.5 : 1;
    const laneFull = lanes.some(
      (lane) => lane.bytes >= laneBytesMax * share && tracker.lastPending(lane.index) !== undefined,
    );
    if (laneFull || bufferedBytes >= bufferedBytesMax * share) paused.add(tracker);
  }
  return paused;
}
