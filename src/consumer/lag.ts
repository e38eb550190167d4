import type { Admin } from 'kafkajs';
import { fetchLogOffsets } from '../kafka/offsets.js';
import { partitionName } from '../records/record.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { Assignment } from './assignment.js';

type Series = Parameters<Metrics['lag']['remove']>[0];

/** The lag of the partitions that this member reads: a partition's is told by its owner only. */
export class Lag {
  readonly #pipeline: string;
  readonly #admin: Pick<Admin, 'fetchTopicOffsets'>;
  readonly #gauge: Metrics['lag'];
  readonly #series = new Map<string, Series>();

  constructor(pipeline: string, admin: Pick<Admin, 'fetchTopicOffsets'>, gauge: Metrics['lag']) {
    this.#pipeline = pipeline;
    this.#admin = admin;
    this.#gauge = gauge;
  }

  /** Rejects where Kafka does not answer. */
  async measure(assignment: Assignment, isCurrent: () => boolean): Promise<void> {
    const topics = new Set(assignment.partitions.map(({ topic }) => topic));
    for (const topic of topics) {
      const logs = await fetchLogOffsets(this.#admin, [topic]);
      if (!isCurrent()) return;
      for (const { partition, logEnd } of logs) {
        const tracker = assignment.tracker(topic, partition);
        if (tracker === undefined) continue;
        const series = { pipeline: this.#pipeline, topic, partition };
        const committed = assignment.committedOffset(tracker) ?? tracker.startOffset;
        this.#gauge.set(series, Math.max(0, logEnd - committed));
        this.#series.set(partitionName(tracker), series);
      }
    }
  }

  forget(): void {
    for (const series of this.#series.values()) this.#gauge.remove(series);
    this.#series.clear();
  }
}
