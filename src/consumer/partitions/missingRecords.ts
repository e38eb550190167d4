import type { PipelineConfig } from '../../config/config.js';
import type { Logger } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { AssignedPartition } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import type { HeldPartitions } from './heldPartitions.js';

/** Fetches of a record batch that cannot be read, after which its partition is not read any more under this assignment. */
const UNREADABLE_FETCHES_MAX = 3;

export interface MissingRecordsOptions {
  readonly pipeline: Pick<PipelineConfig, 'name' | 'onGap'>;
  readonly metrics: Pick<Metrics, 'gaps' | 'truncations' | 'unreadableBatches'>;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  readonly held: HeldPartitions;
}

/**
 * Counts and tells what is not read of a log: what retention has removed, what a truncated log has lost, and batches that nobody can
 * read. With `onGap: continue` it is passed over, otherwise the partition is held. Each gap and each loss is told once, whatever
 * rebalances follow: it may be found again at each of them until something can be committed, which takes a batch.
 */
export class MissingRecords {
  readonly #options: MissingRecordsOptions;
  /** Up to which offset the gaps of a partition, by its name, were told, and of which epoch. */
  readonly #toldGaps = new Map<string, { readonly epoch: string; readonly to: number }>();
  /** What the log of a partition, by its name, has lost, as it was told; until something is read of it again. */
  readonly #toldLosses = new Map<string, string>();

  constructor(options: MissingRecordsOptions) {
    this.#options = options;
  }

  /**
   * What retention took before it was read.
   *
   * @param missed offsets before this position that the log no longer has
   * @returns false if a person has to decide
   */
  mayPassGap(
    assignment: Assignment,
    partition: AssignedPartition,
    { epoch, offset }: { readonly epoch: string; readonly offset: number },
    missed: number,
  ): boolean {
    if (missed === 0) return true;
    const { metrics, logger, pipeline } = this.#options;
    const told = this.#toldGaps.get(partition.name);
    const from = Math.max(offset - missed, told?.epoch === epoch ? told.to : 0);
    if (from < offset) {
      this.#toldGaps.set(partition.name, { epoch, to: offset });
      metrics.gaps.inc({ pipeline: pipeline.name, topic: partition.topic });
      logger.warn(
        { pipeline: pipeline.name, topic: partition.topic, partition: partition.partition, from, to: offset - 1 },
        'Offsets are missing from the log: the topic’s retention removed them before they were read',
      );
    }
    if (pipeline.onGap === 'continue') return true;
    const problem = 'offsets are missing from its log. Set `onGap: continue` to go on behind them';
    this.#options.held.hold(assignment, partition, 'gap', problem);
    return false;
  }

  /**
   * What the log has lost after it was read.
   *
   * @param offset where it is read on
   * @param lost offsets that were read, or are read as another log's, and are not read again; ends included
   * @returns false if a person has to decide
   */
  mayPassLoss(
    assignment: Assignment,
    partition: AssignedPartition,
    offset: number,
    lost: { readonly from: number; readonly to: number },
  ): boolean {
    const { metrics, logger, pipeline } = this.#options;
    const told = `${lost.from} to ${lost.to}`;
    if (this.#toldLosses.get(partition.name) !== told) {
      this.#toldLosses.set(partition.name, told);
      metrics.truncations.inc({ pipeline: pipeline.name, topic: partition.topic });
      logger.warn(
        { pipeline: pipeline.name, topic: partition.topic, partition: partition.partition, ...lost, offset },
        'The log of a partition ends before what was read of it: records were lost in Kafka. Reading goes on at its end, under a new epoch',
      );
    }
    if (pipeline.onGap === 'continue') return true;
    const problem = `its log ends at ${lost.from}, before what was read of it. Set \`onGap: continue\` to go on at its end, or reset the offset`;
    this.#options.held.hold(assignment, partition, 'truncated', problem);
    return false;
  }

  /**
   * A batch that a producer made too large to be read, whoever reads it.
   *
   * @param batch its offsets, ends included
   * @returns false if a person has to decide
   */
  mayPassBatch(
    assignment: Assignment,
    partition: AssignedPartition,
    batch: { readonly from: number; readonly to: number },
    message: string,
  ): boolean {
    const { metrics, logger, pipeline } = this.#options;
    metrics.unreadableBatches.inc({ pipeline: pipeline.name, topic: partition.topic });
    logger.error(
      { pipeline: pipeline.name, topic: partition.topic, partition: partition.partition, ...batch },
      `A record batch is not read, and its records are neither inserted nor answered: ${message}`,
    );
    if (pipeline.onGap === 'continue') return true;
    const problem = `${message}. Set \`onGap: continue\` to go on behind it`;
    this.#options.held.hold(assignment, partition, 'unreadable', problem);
    return false;
  }

  /** What cannot be read is fetched again some times: it may have been damaged on its way. In the log it stays as it is. */
  unreadable(assignment: Assignment, partition: AssignedPartition, message: string): void {
    if (++partition.unreadableFetches < UNREADABLE_FETCHES_MAX) return;
    partition.unreadableFetches = 0;
    const { metrics, pipeline, held } = this.#options;
    metrics.unreadableBatches.inc({ pipeline: pipeline.name, topic: partition.topic });
    held.hold(assignment, partition, 'unreadable', message);
  }

  /** What is read next of it is readable: what it lacks from then on is told anew. */
  readsOn(partition: AssignedPartition): void {
    partition.unreadableFetches = 0;
    if (this.#toldLosses.size > 0) this.#toldLosses.delete(partition.name);
  }
}
