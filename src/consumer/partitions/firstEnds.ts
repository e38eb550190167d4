import { findLogOffsets, offsetsAt, type FoundLogs } from '../../kafka/offsets.js';
import type { KafkaAdmin, LogAnswer } from '../../kafka/admin.js';
import { partitionName, type TopicPartition } from '../../protocol/record.js';

/**
 * The ends that logs had when this process first looked at them. `startFrom: latest` stands for these. If the first
 * commit fails, for example without the right to the group, it is tried again for hours. With the ends at each try, the
 * records in between would be skipped, and nobody would know.
 *
 * A look that no broker answers is none. At the first look each partition is one of these:
 *
 * - its end is known
 * - it was not there: its topic was missing, or had fewer partitions. Nothing of it may be skipped
 * - it gave no answer. It begins with the first record since, by the records' own times
 */
export class FirstEnds {
  readonly #nowMs: () => number;
  #first: FirstLook | null = null;

  /** @param nowMs by the wall clock */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
  }

  /** When this process first looked, in milliseconds since 1970. @throws Error before the first look */
  get sinceMs(): number {
    return this.#firstLook.sinceMs;
  }

  /** Looks at the logs of topics, and keeps what the first look shows. Rejects if no broker answers. */
  async look(admin: Pick<KafkaAdmin, 'fetchLogs'>, topics: readonly string[]): Promise<FoundLogs<LogAnswer>> {
    const sinceMs = this.#nowMs();
    const found = await findLogOffsets(admin, topics);
    this.#first ??= firstLook(sinceMs, found);
    return found;
  }

  /**
   * Whether a partition, or a topic (partition -1), was not there at the first look, so that all of it was written since.
   *
   * @throws Error before the first look
   */
  isNew(where: TopicPartition): boolean {
    const { missing, partitions } = this.#firstLook;
    if (missing.has(where.topic)) return true;
    return where.partition >= 0 && partitions.get(where.topic)?.has(where.partition) === false;
  }

  /**
   * Where logs ended at the first look, by partition. 0 for one that was not there. For one that gave no answer, it is
   * the first record since. Rejects if Kafka does not answer.
   */
  async of(
    admin: Pick<KafkaAdmin, 'fetchOffsetsAt'>,
    logs: readonly LogAnswer[],
  ): Promise<ReadonlyMap<string, number>> {
    const { ends, sinceMs } = this.#firstLook;
    const unseen = logs.filter((log) => !ends.has(partitionName(log)) && !this.isNew(log));
    const offsetOf = unseen.length === 0 ? () => 0 : await offsetsAt(admin, unseen, { timestampMs: sinceMs });
    const isUnseen = new Set(unseen);
    return new Map(
      logs.map((log) => [partitionName(log), ends.get(partitionName(log)) ?? (isUnseen.has(log) ? offsetOf(log) : 0)]),
    );
  }

  get #firstLook(): FirstLook {
    if (this.#first === null) throw new Error('no log was looked at yet');
    return this.#first;
  }
}

interface FirstLook {
  readonly sinceMs: number;
  readonly ends: ReadonlyMap<string, number>;
  /** Topics that did not exist. */
  readonly missing: ReadonlySet<string>;
  /** By topic, the partitions that it had, with or without an answer. */
  readonly partitions: ReadonlyMap<string, ReadonlySet<number>>;
}

function firstLook(sinceMs: number, { logs, unknown }: FoundLogs<LogAnswer>): FirstLook {
  const partitions = new Map<string, Set<number>>();
  for (const { topic, partition } of [...logs, ...unknown]) {
    if (partition < 0) continue;
    const list = partitions.get(topic);
    if (list === undefined) partitions.set(topic, new Set([partition]));
    else list.add(partition);
  }
  return {
    sinceMs,
    ends: new Map(logs.map((log) => [partitionName(log), log.logEnd])),
    missing: new Set(unknown.flatMap(({ topic, isMissing }) => (isMissing === true ? [topic] : []))),
    partitions,
  };
}
