import type { Metrics } from '../../telemetry/metrics.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';
import type { Assignment } from './assignment.js';

/**
 * Counts, by topic, the partitions that are not read although nobody has to decide anything: Kafka answers with errors,
 * or where they start is not known yet. They are tried again by themselves.
 */
export class UnservedPartitions {
  readonly #pipeline: string;
  readonly #gauge: Metrics['unserved'];
  /** Topics that have a series. */
  readonly #topics = new Set<string>();

  constructor(pipeline: string, gauge: Metrics['unserved']) {
    this.#pipeline = pipeline;
    this.#gauge = gauge;
  }

  /**
   * @param assignment null while this member has no partitions
   * @param unreachable what Kafka last gave no offsets of. A topic without partitions of this member counts as one
   * @param nowMs by `performance.now()`
   */
  count(assignment: Assignment | null, unreachable: readonly TopicPartition[], nowMs: number): void {
    const counts = new Map<string, number>();
    for (const topic of this.#topics) counts.set(topic, 0);
    for (const topic of assignment === null ? [] : unservedTopics(assignment, unreachable, nowMs))
      counts.set(topic, (counts.get(topic) ?? 0) + 1);
    for (const [topic, count] of counts) {
      this.#topics.add(topic);
      this.#gauge.set({ pipeline: this.#pipeline, topic }, count);
    }
  }
}

/** The topic of each partition that is not served, once for each. */
function unservedTopics(assignment: Assignment, unreachable: readonly TopicPartition[], nowMs: number): string[] {
  const names = new Set(unreachable.map(partitionName));
  const unserved = assignment.partitions.filter(
    (partition) =>
      partition.isUnknown ||
      (partition.heldFor === null && (names.has(partition.name) || partition.withheld(nowMs) !== null)),
  );
  const assigned = new Set(assignment.partitions.map(({ topic }) => topic));
  const hidden = unreachable.filter(({ topic, partition }) => partition < 0 && !assigned.has(topic));
  return [...unserved, ...hidden].map(({ topic }) => topic);
}
