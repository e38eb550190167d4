import type { KafkaAdmin } from '../../kafka/admin.js';
import { partitionName, type RecordSource, type TopicPartition } from '../../protocol/record.js';

/** How far a partition's log was read, and which leader had written the last record. */
export interface ReadEpoch {
  /** Kafka counts the leaders of a partition. */
  readonly leaderEpoch: number;
  /** The offset after the last record that was read. */
  readonly to: number;
}

/** Where a log was cut: it has lost what was read of it from the offset `at` on, and up to `to`, which was the next one. */
export interface LogCut {
  readonly at: number;
  readonly to: number;
}

/**
 * Remembers how far this process has read each log, under which leader epoch. A log that has lost some of that has records of
 * another leader in its place, or ends earlier. It is remembered beyond assignments. What was read under another epoch of ours
 * says nothing: another member may have noticed a loss since.
 */
export class ReadEpochs {
  readonly #read = new Map<string, ReadEpoch & { readonly epoch: string }>();

  /** Null if nothing is known under this epoch. */
  of(source: RecordSource): ReadEpoch | null {
    const read = this.#read.get(partitionName(source));
    return read?.epoch === source.epoch ? read : null;
  }

  /**
   * Reading begins. What is remembered says nothing if others have read further since: they may have read what is in the place of
   * lost records, under the same epoch of ours.
   */
  startsAt(source: RecordSource, offset: number): void {
    const read = this.of(source);
    if (read !== null && offset > read.to) this.#read.delete(partitionName(source));
  }

  /** @param to the offset after the last record that was read */
  note(source: RecordSource, leaderEpoch: number, to: number): void {
    const before = this.of(source);
    // A rewind reads earlier offsets again.
    if (before === null || before.to < to)
      this.#read.set(partitionName(source), { epoch: source.epoch, leaderEpoch, to });
  }
}

/**
 * Whether a log may have lost some of what was read of it, by the leaders of a fetched part.
 *
 * If the part begins where reading has ended, and its first record batch is of the leader of what was read, all before it is
 * as it was. If it begins earlier, as after a rebalance, that proves nothing: the log may be cut within the part.
 *
 * @param from where the part begins
 */
export function mayBeCut(
  read: ReadEpoch,
  { first, last }: { readonly first: number; readonly last: number },
  from: number,
): boolean {
  return last > read.leaderEpoch && (first > read.leaderEpoch || from < read.to);
}

/**
 * Asks the leader from where on its log lacks what was read of it. Null if it has all of it, or does not say. Without ids of
 * topics it may be the log of another topic, which was created since: then this says nothing. Rejects if the leader does not
 * answer.
 */
export async function cutOf(
  admin: Pick<KafkaAdmin, 'fetchEpochEnd'>,
  { topic, partition, topicId }: TopicPartition & { readonly topicId?: string | undefined | null },
  read: ReadEpoch | null,
): Promise<LogCut | null> {
  if (read === null || (topicId ?? null) === null) return null;
  const end = await admin.fetchEpochEnd({ topic, partition }, read.leaderEpoch);
  return end === null || end >= read.to ? null : { at: end, to: read.to };
}
