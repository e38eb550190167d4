import type { Consumer } from 'kafkajs';
import { messageOf } from '../../lib/messageOf.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import type { Logger } from '../../telemetry/logging.js';

/**
 * Why a partition is not fetched now:
 *
 * - `start`: it is not known where to go on, or not committed yet
 * - `blocked`: a person has to decide
 * - `buffer`: the lanes are full, or its plan is carried out and the next one is on its way
 * - `draining`: the member takes nothing more in
 */
export type PauseReason = 'start' | 'blocked' | 'buffer' | 'draining';

/**
 * Where a consumer reads, and what it does not read now. A partition may be paused for several reasons at the same time, and is
 * fetched again only when none is left: who takes back a reason of its own never undoes another one.
 */
export class Steering {
  readonly #consumer: Pick<Consumer, 'seek' | 'pause' | 'resume'>;
  readonly #logger: Pick<Logger, 'debug'>;
  readonly #onPause: (partition: TopicPartition) => void;
  readonly #reasons = new Map<string, Set<PauseReason>>();

  /** @param onPause told of each partition that is paused, for whatever reason, also of one that was already */
  constructor(
    consumer: Pick<Consumer, 'seek' | 'pause' | 'resume'>,
    logger: Pick<Logger, 'debug'>,
    onPause: (partition: TopicPartition) => void = () => undefined,
  ) {
    this.#consumer = consumer;
    this.#logger = logger;
    this.#onPause = onPause;
  }

  /** A new assignment begins: whatever paused partitions before is forgotten, and these are paused for one reason. */
  begin(partitions: readonly TopicPartition[], reason: PauseReason): void {
    this.#reasons.clear();
    this.pause(partitions, reason);
  }

  seek({ topic, partition }: TopicPartition, offset: number): void {
    this.#steer(() => this.#consumer.seek({ topic, partition, offset: String(offset) }));
  }

  pause(partitions: Iterable<TopicPartition>, reason: PauseReason): void {
    const paused = [...partitions];
    for (const where of paused) {
      const name = partitionName(where);
      const reasons = this.#reasons.get(name);
      if (reasons === undefined) this.#reasons.set(name, new Set([reason]));
      else reasons.add(reason);
      this.#onPause(where);
    }
    // kafkajs keeps a pause over a rebalance, but not over a consumer that is made anew: it is told again each time.
    const topics = byTopic(paused);
    if (topics.length > 0) this.#steer(() => this.#consumer.pause(topics));
  }

  /** Takes reasons back. A partition that has no other is fetched again. */
  resume(partitions: Iterable<TopicPartition>, ...taken: readonly PauseReason[]): void {
    const free = [...partitions].filter((where) => {
      const name = partitionName(where);
      const reasons = this.#reasons.get(name);
      if (reasons === undefined) return false;
      for (const reason of taken) reasons.delete(reason);
      return reasons.size === 0 && this.#reasons.delete(name);
    });
    const topics = byTopic(free);
    if (topics.length > 0) this.#steer(() => this.#consumer.resume(topics));
  }

  isPaused(partition: TopicPartition, reason: PauseReason): boolean {
    return this.#reasons.size > 0 && this.#reasons.get(partitionName(partition))?.has(reason) === true;
  }

  /** False while a partition is paused, for whatever reason. */
  isFetched(partition: TopicPartition): boolean {
    return !this.#reasons.has(partitionName(partition));
  }

  /** Partitions that are paused for a reason. */
  count(reason: PauseReason): number {
    let count = 0;
    for (const reasons of this.#reasons.values()) if (reasons.has(reason)) count++;
    return count;
  }

  /** kafkajs throws where it has no group right now; then it joins anew, or the process ends, and nothing is to be steered. */
  #steer(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#logger.debug({ error: messageOf(error) }, 'kafkajs has no group now');
    }
  }
}

function byTopic(partitions: Iterable<TopicPartition>): { topic: string; partitions: number[] }[] {
  const lists = new Map<string, number[]>();
  for (const { topic, partition } of partitions) lists.set(topic, [...(lists.get(topic) ?? []), partition]);
  return [...lists].map(([topic, list]) => ({ topic, partitions: list }));
}
