import type { Lane } from './lane.js';
import type { PartitionTracker } from '../partitions/tracker.js';

export interface BackpressureLimits {
  /** Memory that the records in all lanes take together, in bytes. */
  readonly bufferedBytesMax: number;
  /** Of the records in one lane: a lane that is stopped must not take the room of the others. */
  readonly laneBytesMax: number;
}

/** One stopped lane may hold a quarter of the room. */
export function backpressureLimits(bufferedBytesMax: number): BackpressureLimits {
  return { bufferedBytesMax, laneBytesMax: bufferedBytesMax / 4 };
}

/** Adds up for how long something lasts. Pure. */
export class Stopwatch {
  #sinceMs: number | null = null;

  /** @returns the seconds that it has lasted since it was last asked */
  update(lasts: boolean, nowMs: number): number {
    const seconds = this.#sinceMs === null ? 0 : Math.max(0, nowMs - this.#sinceMs) / 1000;
    this.#sinceMs = lasts ? nowMs : null;
    return seconds;
  }
}

/**
 * Which partitions may not be fetched now. A partition is paused when all lanes together are full, or when a lane that
 * holds records of it is; it goes on at half of that, so that there is work while the next fetch is under way. One that has
 * reached the end of its plan waits for the next plan. Pure.
 *
 * @param lanesOf the lanes that a partition's records go to
 * @param bufferedBytes memory that the records in all lanes of all layouts take
 * @param isPaused the state before
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
    const share = isPaused(tracker) ? 0.5 : 1;
    const laneFull = lanesOf(tracker).some(
      (lane) => lane.memoryBytes >= laneBytesMax * share && tracker.lastPending(lane.index) !== undefined,
    );
    if (tracker.handedOver || laneFull || bufferedBytes >= bufferedBytesMax * share) paused.add(tracker);
  }
  return paused;
}
