import type { PipelineConfig } from '../../config/config.js';
import { UNREADABLE_FETCHES_MAX } from '../../kafka/kafkajs/recordSet.js';
import type { TopicPartition } from '../../protocol/record.js';
import type { Logger } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { AssignedPartition } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import type { HeldPartitions } from './heldPartitions.js';

export interface MissingRecordsOptions {
  readonly pipeline: Pick<PipelineConfig, 'name' | 'onGap'>;
  readonly metrics: Pick<Metrics, 'gaps' | 'truncations' | 'unreadableBatches'>;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  readonly held: HeldPartitions;
}

/**
 * Counts and reports what is not read of a log: what retention has removed, what a truncated log has lost, and batches
 * that nobody can read. With `onGap: continue` it is skipped, otherwise the partition is held. A rebalance may find the
 * same again, until a batch lets something be committed. Each one is reported once.
 */
export class MissingRecords {
  readonly #options: MissingRecordsOptions;
  /** Where the last reported gap of each partition ends. */
  readonly #reportedGaps = new ReportedOffsets();
  /** Where the last batch of each partition begins that was reported as one that nobody can read. */
  readonly #reportedBatches = new ReportedOffsets();
  /** By partition name, the loss of its log that was reported, until something of it is read again. */
  readonly #reportedLosses = new Map<string, string>();

  constructor(options: MissingRecordsOptions) {
    this.#options = options;
  }

  /** Handles a gap: what retention removed before it was read. */
  mayPassGap(
    assignment: Assignment,
    partition: AssignedPartition,
    { epoch, offset }: { readonly epoch: string; readonly offset: number },
    missed: number,
  ): boolean {
    if (missed === 0) return true;
    const { metrics, logger, pipeline } = this.#options;
    const from = Math.max(offset - missed, this.#reportedGaps.last(partition, epoch));
    if (from < offset) {
      this.#reportedGaps.note(partition, epoch, offset);
      metrics.gaps.inc({ pipeline: pipeline.name, topic: partition.topic });
      logger.warn(
        { ...this.#fieldsOf(partition), from, to: offset - 1 },
        'Offsets are missing from the log: the topic’s retention removed them before they were read',
      );
    }
    if (pipeline.onGap === 'continue') return true;
    const problem = 'offsets are missing from its log. Set `onGap: continue` to continue after them';
    this.#options.held.hold(assignment, partition, 'gap', problem);
    return false;
  }

  /** Handles a loss: what is gone from the log after it was read. */
  mayPassLoss(
    assignment: Assignment,
    partition: AssignedPartition,
    offset: number,
    lost: { readonly from: number; readonly to: number },
  ): boolean {
    const { metrics, logger, pipeline } = this.#options;
    const told = `${lost.from} to ${lost.to}`;
    if (this.#reportedLosses.get(partition.name) !== told) {
      this.#reportedLosses.set(partition.name, told);
      metrics.truncations.inc({ pipeline: pipeline.name, topic: partition.topic });
      logger.warn(
        { ...this.#fieldsOf(partition), ...lost, offset },
        'The log of a partition lacks what was read of it: records were lost in Kafka. Reading goes on where it was cut, under a new epoch',
      );
    }
    if (pipeline.onGap === 'continue') return true;
    const problem = `its log lacks what was read of it, from ${lost.from} on. Set the group's offset to ${lost.from} to go on there`;
    this.#options.held.hold(assignment, partition, 'truncated', problem);
    return false;
  }

  /** Handles a batch that no consumer can read, and that its producer wrote so: too large, or against the protocol. */
  mayPassBatch(
    assignment: Assignment,
    partition: AssignedPartition,
    batch: { readonly from: number; readonly to: number },
    message: string,
  ): boolean {
    const { metrics, logger, pipeline } = this.#options;
    const epoch = partition.tracker?.epoch ?? '';
    if (batch.from > this.#reportedBatches.last(partition, epoch)) {
      this.#reportedBatches.note(partition, epoch, batch.from);
      metrics.unreadableBatches.inc({ pipeline: pipeline.name, topic: partition.topic });
      logger.error(
        { ...this.#fieldsOf(partition), ...batch },
        `A record batch is not read, and its records are neither inserted nor answered: ${message}`,
      );
    }
    if (pipeline.onGap === 'continue') return true;
    const problem = `${message}. Set \`onGap: continue\` to continue after it`;
    this.#options.held.hold(assignment, partition, 'unreadable', problem);
    return false;
  }

  /**
   * Handles an unreadable batch. It is fetched again some times, because it may have been damaged on its way. If it is
   * damaged in the log, that does not help.
   */
  unreadable(assignment: Assignment, partition: AssignedPartition, message: string): void {
    if (++partition.unreadableFetches < UNREADABLE_FETCHES_MAX) return;
    partition.unreadableFetches = 0;
    const { metrics, pipeline, held } = this.#options;
    metrics.unreadableBatches.inc({ pipeline: pipeline.name, topic: partition.topic });
    held.hold(assignment, partition, 'unreadable', message);
  }

  /** A batch of it was read. A later loss or unreadable batch is reported again. */
  readsOn(partition: AssignedPartition): void {
    partition.unreadableFetches = 0;
    if (this.#reportedLosses.size > 0) this.#reportedLosses.delete(partition.name);
  }

  #fieldsOf({ topic, partition }: TopicPartition): TopicPartition & { readonly pipeline: string } {
    return { pipeline: this.#options.pipeline.name, topic, partition };
  }
}

/** The last offset that was reported of each partition, under the epoch of that report. */
class ReportedOffsets {
  readonly #byPartition = new Map<string, { readonly epoch: string; readonly offset: number }>();

  /** -1 if nothing was reported under this epoch. */
  last({ name }: AssignedPartition, epoch: string): number {
    const reported = this.#byPartition.get(name);
    return reported?.epoch === epoch ? reported.offset : -1;
  }

  note({ name }: AssignedPartition, epoch: string, offset: number): void {
    this.#byPartition.set(name, { epoch, offset });
  }
}
