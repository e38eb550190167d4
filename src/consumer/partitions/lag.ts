import { topicProblem, type KafkaAdmin, type NoAnswer } from '../../kafka/admin.js';
import { findLogOffsets } from '../../kafka/offsets.js';
import { openTransactionText } from '../../kafka/openTransaction.js';
import type { TopicPartition } from '../../protocol/record.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { Assignment } from './assignment.js';

type Series = Parameters<Metrics['lag']['remove']>[0];

/** How long a transaction may be open without a word. Producers end theirs within a minute by default. */
const TRANSACTION_PATIENCE_MS = 60_000;

interface OpenTransaction {
  readonly where: TopicPartition;
  /** Where it begins. */
  readonly from: number;
  /** By `performance.now()`. */
  readonly sinceMs: number;
}

/** Measures the lag of this member's partitions. Each partition's lag is reported by its owner only. */
export class Lag {
  readonly #pipeline: string;
  readonly #admin: Pick<KafkaAdmin, 'fetchLogs' | 'describeTopics'>;
  readonly #gauge: Metrics['lag'];
  readonly #series = new Map<string, Series>();
  /** By partition name, an open transaction that keeps the partition from being read. */
  readonly #open = new Map<string, OpenTransaction>();

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
    const { logs, unknown } = await findLogOffsets(this.#admin, [...topics], { highWatermarks: true });
    const hidden = await this.#hidden(subscribed.filter((topic) => !topics.has(topic)));
    if (assignment.isOver()) return [];
    const recreated: NoAnswer[] = [];
    const measured = new Set<string>();
    for (const { topic, partition, logEnd, highWatermark = logEnd, topicId } of logs) {
      const assigned = assignment.get({ topic, partition });
      if (assigned === undefined || assigned.tracker === null) continue;
      if (assigned.isTopicRecreated(topicId)) {
        recreated.push({ topic, partition, problem: 'its topic was deleted and created again', isMissing: true });
        continue;
      }
      const series = { pipeline: this.#pipeline, topic, partition };
      const committed = assigned.committed ?? assigned.tracker.startOffset;
      this.#gauge.set(series, Math.max(0, highWatermark - committed));
      this.#series.set(assigned.name, series);
      measured.add(assigned.name);
      this.#noteTransaction(assigned.name, series, { from: logEnd, to: highWatermark });
    }
    const missing = new Set(unknown.flatMap(({ topic, isMissing }) => (isMissing === true ? [topic] : [])));
    for (const [name, series] of this.#series) {
      // Of a partition that only does not answer now, the last lag is the best that is known.
      if (measured.has(name) || !missing.has(String(series.topic))) continue;
      this.#gauge.remove(series);
      this.#series.delete(name);
      this.#open.delete(name);
    }
    const mine = unknown.filter((answer) => answer.partition < 0 || assignment.get(answer) !== undefined);
    return [...mine, ...recreated, ...hidden];
  }

  /** Messages about partitions that have waited for a minute or longer for the end of one transaction. */
  waitingForTransactions(nowMs: number): readonly string[] {
    return [...this.#open.values()].flatMap(({ where, from, sinceMs }) =>
      nowMs - sinceMs < TRANSACTION_PATIENCE_MS ? [] : [openTransactionText(where, from)],
    );
  }

  #noteTransaction(name: string, where: TopicPartition, { from, to }: { from: number; to: number }): void {
    const known = this.#open.get(name);
    if (to <= from) this.#open.delete(name);
    else this.#open.set(name, { where, from, sinceMs: known?.from === from ? known.sinceMs : performance.now() });
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
    this.#open.clear();
  }
}
