import type { PointedValue } from '../../codecs/laneIndex.js';
import { RegistryError } from '../../formats/schemaRegistry.js';
import type { Layout } from '../../protocol/layout.js';
import type { KafkaRecord } from '../../protocol/record.js';
import type { StateLog } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { DecodedPointers } from '../lanes/decodedPointers.js';
import type { AssignedPartition } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { pauseForMs, type Fetching } from './fetching.js';
import type { PartitionTracker } from './tracker.js';

/**
 * While a batch is handled, its member may send no heartbeat. So neither the registry nor the decoding takes long: the
 * rest of a batch is fetched again.
 */
const LIMITS = { askMs: 3_000, decodeMs: 3_000 };
/** A partition whose records wait for the schema registry is fetched again after this time. */
const RETRY_MS = 2_000;

export interface PointedRecordsOptions {
  readonly pipeline: string;
  readonly pointers: DecodedPointers;
  readonly fetching: Pick<Fetching, 'pause' | 'resume'>;
  readonly metrics: Pick<Metrics, 'errors'>;
  readonly stateLog: StateLog;
}

/**
 * Finds what the layout's pointer leads to in records whose values or keys have to be decoded. If the schema registry does not
 * answer, their partition is paused for a while, and fetched again. So nothing is taken out of order, the member stays in
 * its group, and no records wait in memory.
 */
export class PointedRecords {
  readonly #options: PointedRecordsOptions;

  constructor(options: PointedRecordsOptions) {
    this.#options = options;
  }

  areNeededFor(layout: Layout): boolean {
    return this.#options.pointers.areNeededFor(layout);
  }

  /**
   * What the pointer leads to in each of the first records: in all, unless decoding them takes too long. Null if they have
   * to be fetched again.
   */
  async of(
    assignment: Assignment,
    partition: AssignedPartition,
    tracker: PartitionTracker,
    records: readonly KafkaRecord[],
  ): Promise<readonly PointedValue[] | null> {
    const { pipeline, pointers, stateLog } = this.#options;
    try {
      const found = await pointers.of(tracker, records, tracker.plan.layout, LIMITS);
      partition.registryProblem = null;
      if (!assignment.isOver() && assignment.partitions.every(({ registryProblem }) => registryProblem === null))
        stateLog.well(stateOf(pipeline), `The schema registry answers the consumer of ${pipeline} again`);
      return found;
    } catch (error) {
      if (!(error instanceof RegistryError)) throw error;
      this.#wait(assignment, partition, error.message);
      return null;
    }
  }

  #wait(assignment: Assignment, partition: AssignedPartition, why: string): void {
    if (!assignment.has(partition)) return;
    const { pipeline, fetching, metrics, stateLog } = this.#options;
    metrics.errors.inc({ pipeline, stage: 'decode' });
    partition.registryProblem = `shardBy needs the schemas of its records: ${why}`;
    stateLog.problem(
      stateOf(pipeline),
      `Pipeline ${pipeline} does not read ${partition.name}, and perhaps others: ${partition.registryProblem}`,
    );
    pauseForMs(fetching, assignment, partition, 'registry', RETRY_MS);
  }
}

function stateOf(pipeline: string): string {
  return `schema registry for the consumer of ${pipeline}`;
}
