import type { Consumer } from 'kafkajs';
import { byTopic } from '../../kafka/byTopic.js';
import { messageOf } from '../../lib/messageOf.js';
import type { TopicPartition } from '../../protocol/record.js';
import type { Logger } from '../../telemetry/logging.js';
import type { AssignedPartition, PauseReason } from './assignedPartition.js';
import type { Assignment } from './assignment.js';

/**
 * Tells kafkajs where to read, and what not to read now. A partition may be paused for several reasons at once, and is
 * fetched again only when none is left. So taking back one reason never undoes another.
 */
export class Fetching {
  readonly #consumer: Pick<Consumer, 'seek' | 'pause' | 'resume'>;
  readonly #logger: Pick<Logger, 'debug'>;
  readonly #counts = new Map<PauseReason, number>();

  constructor(consumer: Pick<Consumer, 'seek' | 'pause' | 'resume'>, logger: Pick<Logger, 'debug'>) {
    this.#consumer = consumer;
    this.#logger = logger;
  }

  /** A new assignment begins. Earlier reasons are dropped, and these partitions are paused for one reason. */
  begin(partitions: readonly AssignedPartition[], reason: PauseReason): void {
    this.#counts.clear();
    this.pause(partitions, reason);
  }

  seek({ topic, partition }: TopicPartition, offset: number): void {
    this.#tell(() => this.#consumer.seek({ topic, partition, offset: String(offset) }));
  }

  pause(partitions: Iterable<AssignedPartition>, reason: PauseReason): void {
    const paused = [...partitions];
    for (const partition of paused) if (partition.pause(reason)) this.#count(reason, 1);
    // kafkajs keeps a pause over a rebalance, but a new kafkajs consumer does not know it. So kafkajs is told each
    // time.
    const topics = byTopic(paused, numberOf);
    if (topics.length > 0) this.#tell(() => this.#consumer.pause(topics));
  }

  /** Takes reasons back. A partition without another reason is fetched again. */
  resume(partitions: Iterable<AssignedPartition>, ...taken: readonly PauseReason[]): void {
    const free = [...partitions].filter((partition) => {
      const wasPaused = !partition.isFetched();
      for (const reason of taken) if (partition.resume(reason)) this.#count(reason, -1);
      return wasPaused && partition.isFetched();
    });
    const topics = byTopic(free, numberOf);
    if (topics.length > 0) this.#tell(() => this.#consumer.resume(topics));
  }

  /** Partitions of the assignment that are paused for a reason. */
  count(reason: PauseReason): number {
    return this.#counts.get(reason) ?? 0;
  }

  #count(reason: PauseReason, more: number): void {
    this.#counts.set(reason, this.count(reason) + more);
  }

  /**
   * kafkajs throws if it has no group right now. Then it joins again, or the process ends, and there is nothing to do.
   */
  #tell(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#logger.debug({ error: messageOf(error) }, 'kafkajs has no group now');
    }
  }
}

/**
 * Pauses a partition for a while, after which its last batch is fetched again. If its topic is gone meanwhile, another
 * object has the pause.
 */
export function pauseForMs(
  fetching: Pick<Fetching, 'pause' | 'resume'>,
  assignment: Pick<Assignment, 'isOver' | 'get'>,
  partition: AssignedPartition,
  reason: PauseReason,
  ms: number,
): void {
  fetching.pause([partition], reason);
  const resume = (): void => {
    const now = assignment.isOver() ? undefined : assignment.get(partition);
    if (now !== undefined) fetching.resume([now], reason);
  };
  setTimeout(resume, ms).unref();
}

function numberOf({ partition }: TopicPartition): number {
  return partition;
}
