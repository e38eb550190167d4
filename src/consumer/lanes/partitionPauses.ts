import type { PipelineConfig } from '../../config/config.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { AssignedPartition } from '../partitions/assignedPartition.js';
import type { Assignment } from '../partitions/assignment.js';
import type { Fetching } from '../partitions/fetching.js';
import type { PartitionTracker } from '../partitions/tracker.js';
import { backpressureLimits, partitionsToPause, type BackpressureLimits } from './backpressure.js';
import { Stopwatch } from './stopwatch.js';
import type { Lane } from './lane.js';
import type { PipelineLanes } from './pipelineLanes.js';

/**
 * Pauses the partitions that the lanes have no room for, and resumes them later. Reports how many are paused, and for
 * how long.
 */
export class PartitionPauses {
  readonly #pipeline: string;
  readonly #limits: BackpressureLimits;
  readonly #lanes: PipelineLanes;
  readonly #fetching: Fetching;
  readonly #metrics: Pick<Metrics, 'paused' | 'backpressureSeconds'>;
  readonly #pausedTime = new Stopwatch();

  constructor(
    { name, bufferedBytesMax }: Pick<PipelineConfig, 'name' | 'bufferedBytesMax'>,
    lanes: PipelineLanes,
    fetching: Fetching,
    metrics: Pick<Metrics, 'paused' | 'backpressureSeconds'>,
  ) {
    this.#pipeline = name;
    this.#limits = backpressureLimits(bufferedBytesMax);
    this.#lanes = lanes;
    this.#fetching = fetching;
    this.#metrics = metrics;
  }

  /** @returns whether all partitions are paused now, so that nothing more comes into the lanes */
  apply(assignment: Assignment): boolean {
    const lanes = this.#lanes;
    const fetching = this.#fetching;
    const trackers = assignment.trackers();
    const isPaused = (tracker: PartitionTracker): boolean =>
      fetching.count('buffer') > 0 && assignment.get(tracker)?.isPausedFor('buffer') === true;
    const lanesOf = ({ plan }: PartitionTracker): readonly Lane[] => lanes.of(plan.layout).all;
    const wanted = partitionsToPause(trackers, lanesOf, lanes.memoryBytes, this.#limits, isPaused);
    const partitionsOf = (some: readonly PartitionTracker[]): AssignedPartition[] =>
      some.flatMap((tracker) => assignment.get(tracker) ?? []);
    fetching.pause(partitionsOf([...wanted].filter((tracker) => !isPaused(tracker))), 'buffer');
    if (fetching.count('buffer') > wanted.size)
      fetching.resume(partitionsOf(trackers.filter((tracker) => !wanted.has(tracker))), 'buffer');
    return trackers.length > 0 && wanted.size === trackers.length;
  }

  /** @param isAssigned false while this member has no partitions */
  updateGauges(isAssigned: boolean): void {
    const pipeline = this.#pipeline;
    const paused = isAssigned ? this.#fetching.count('buffer') : 0;
    this.#metrics.paused.set({ pipeline }, paused);
    this.#metrics.backpressureSeconds.inc({ pipeline }, this.#pausedTime.update(paused > 0, performance.now()));
  }
}
