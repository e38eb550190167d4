import type { StateLog } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import { HELD_REASONS, type AssignedPartition, type HeldReason } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import type { Fetching } from './fetching.js';

/** Holds partitions until a person has decided, and counts them. */
export class HeldPartitions {
  readonly #pipeline: string;
  readonly #fetching: Pick<Fetching, 'pause'>;
  readonly #gauge: Metrics['held'];
  readonly #stateLog: StateLog;

  constructor(pipeline: string, fetching: Pick<Fetching, 'pause'>, gauge: Metrics['held'], stateLog: StateLog) {
    this.#pipeline = pipeline;
    this.#fetching = fetching;
    this.#gauge = gauge;
    this.#stateLog = stateLog;
  }

  /** The partition is not read under this assignment, unless its topic is created again. */
  hold(assignment: Assignment, partition: AssignedPartition, reason: HeldReason, problem: string): void {
    partition.hold(reason, problem);
    this.#fetching.pause([partition], 'held');
    this.count(assignment);
    this.#stateLog.problem(
      `partition ${partition.name} of ${this.#pipeline}`,
      `Pipeline ${this.#pipeline} does not read ${partition.name}: ${problem}`,
    );
  }

  /** @param assignment null while this member has no partitions */
  count(assignment: Assignment | null): void {
    for (const reason of HELD_REASONS)
      this.#gauge.set({ pipeline: this.#pipeline, reason }, assignment?.heldFor(reason) ?? 0);
  }
}
