import { topicProblem, type KafkaAdmin, type NoAnswer } from '../../kafka/admin.js';
import { findLogOffsets } from '../../kafka/offsets.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { Assignment } from './assignment.js';

type Series = Parameters<Metrics['lag']['remove']>[0];

/** Measures the lag of this member's partitions. Each partition's lag is reported by its owner only. */
export class Lag {
  readonly #pipeline: string;
  readonly #admin: Pick<KafkaAdmin, 'fetchLogs' | 'describeTopics'>;
  readonly #gauge: Metrics['lag'];
  readonly #series = new Map<string, Series>();

  constructor(pipeline: string, admin: Pick<KafkaAdmin, 'fetchLogs' | 'describeTopics'>, gauge: Metrics['lag']) {
    this.#pipeline = pipeline;
    this.#admin = admin;
    this.#gauge = gauge;
  }

  /**
   * Measures and reports the lag. Rejects if no broker answers.
   *
   * @param subscribed the group's topics. Nobody is assigned a topic that Kafka does not show to this user
   * @returns this member's partitions, and the group's topics, that cannot be asked now
   */
  async measure(assignment: Assignment, subscribed: readonly string[]): Promise<readonly NoAnswer[]> {
    const topics = new Set(assignment.partitions.map(({ topic }) => topic));
    const { logs, unknown } = await findLogOffsets(this.#admin, [...topics]);
    const hidden = await this.#hidden(subscribed.filter((topic) => !topics.has(topic)));
    if (assignment.isOver()) return [];
    const recreated: NoAnswer[] = [];
    for (const { topic, partition, logEnd, topicId } of logs) {
      const assigned = assignment.get({ topic, partition });
      if (assigned === undefined || assigned.tracker === null) continue;
      if (assigned.isOfOtherTopic(topicId)) {
        recreated.push({ topic, partition, problem: 'its topic was deleted and created again', isMissing: true });
        continue;
      }
      const series = { pipeline: this.#pipeline, topic, partition };
      const committed = assigned.committed ?? assigned.tracker.startOffset;
      this.#gauge.set(series, Math.max(0, logEnd - committed));
      this.#series.set(assigned.name, series);
    }
    const mine = unknown.filter((answer) => answer.partition < 0 || assignment.get(answer) !== undefined);
    return [...mine, ...recreated, ...hidden];
  }

  async #hidden(topics: readonly string[]): Promise<readonly NoAnswer[]> {
    if (topics.length === 0) return [];
    const { topics: known } = await this.#admin.describeTopics(topics);
    return [...known].flatMap(([topic, { error }]) =>
      error === null ? [] : [{ topic, partition: -1, problem: topicProblem(topic, error) }],
    );
  }

  forget(): void {
    for (const series of this.#series.values()) this.#gauge.remove(series);
    this.#series.clear();
  }
}
