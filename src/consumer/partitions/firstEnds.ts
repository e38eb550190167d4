import { findLogOffsets, offsetsAt, type Found } from '../../kafka/offsets.js';
import type { KafkaAdmin, LogAnswer } from '../../kafka/admin.js';
import { partitionName } from '../../protocol/record.js';

/**
 * The ends that logs had when this process first looked at them. `startFrom: latest` stands for these. If the first
 * commit fails, for example without the right to the group, it is tried again for hours. With the ends at each try, the
 * records in between would be skipped, and nobody would know.
 */
export class FirstEnds {
  readonly #nowMs: () => number;
  #sinceMs: number | null = null;
  #ends: ReadonlyMap<string, number> = new Map();

  /** @param nowMs by the wall clock */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** When this process first looked, in milliseconds since 1970. */
  get sinceMs(): number {
    return (this.#sinceMs ??= this.#nowMs());
  }

  /** Looks at the logs of topics, and keeps the ends at the first look. Rejects if no broker answers. */
  async look(admin: Pick<KafkaAdmin, 'fetchLogs'>, topics: readonly string[]): Promise<Found<LogAnswer>> {
    const isFirst = this.#sinceMs === null;
    this.#sinceMs ??= this.#nowMs();
    const found = await findLogOffsets(admin, topics);
    if (isFirst) this.#ends = new Map(found.logs.map((log) => [partitionName(log), log.logEnd]));
    return found;
  }

  /**
   * Where logs ended at the first look, by partition. For one that gave no answer then, it is the first record since.
   * Rejects if Kafka does not answer.
   */
  async of(
    admin: Pick<KafkaAdmin, 'fetchOffsetsAt'>,
    logs: readonly LogAnswer[],
  ): Promise<ReadonlyMap<string, number>> {
    const unseen = logs.filter((log) => !this.#ends.has(partitionName(log)));
    if (unseen.length === 0) return this.#ends;
    const offsetOf = await offsetsAt(admin, unseen, { timestampMs: this.sinceMs });
    return new Map([...this.#ends, ...unseen.map((log) => [partitionName(log), offsetOf(log)] as const)]);
  }
}
