import type { EpochEnd, KafkaAdmin } from '../../kafka/admin.js';
import type { EpochStart } from '../../kafka/kafkajs/recordSet.js';
import { partitionName, type RecordSource, type TopicPartition } from '../../protocol/record.js';

/** How far a partition's log was read, and which leaders had written it. */
export interface ReadEpoch {
  /** The leader epoch of the last record that was read. */
  readonly leaderEpoch: number;
  /** The offset after that record. */
  readonly to: number;
  /** The last leader epochs that were read, ascending, and where each one was first seen. The last one is `leaderEpoch`. */
  readonly starts: readonly EpochStart[];
}

/** Where a log was cut: it has lost what was read of it from the offset `at` on, and up to `to`, which was the next one. */
export interface LogCut {
  readonly at: number;
  readonly to: number;
}

/** Of a partition. If a log parts from what was read before all of them, the cut is put at the first that is remembered. */
const STARTS_MAX = 32;
/** Of ours, of a partition: as many as may begin before the group has committed one of them. */
const EPOCHS_MAX = 4;

/** What was read under an epoch of ours. */
interface Remembered {
  readonly epoch: string;
  /** What this process has read, or what the group's commit tells. Null if that is nothing. */
  readonly read: ReadEpoch | null;
  /** Records that batchers had accepted before, whoever has read them, in the order of their offsets. What is between them is not known. */
  readonly accepted: readonly EpochStart[];
}

/**
 * Remembers how far this process has read each log, under which leader epochs. A log that has lost some of that has records of
 * another leader in its place, or ends earlier. It is remembered beyond assignments. What was read under another epoch of ours
 * says nothing: another member may have noticed a loss since.
 */
export class ReadEpochs {
  /**
   * By partition name. The first is the one under which is read now. The others were before it in the same log: if the group is
   * rebalanced before it has committed the new one, reading begins under an old one again, and the log may have grown past what was
   * lost by then.
   */
  readonly #read = new Map<string, readonly Remembered[]>();

  /** With what batchers have accepted. Null if nothing is known under this epoch. */
  of(source: RecordSource): ReadEpoch | null {
    const known = this.#known(source);
    return known === undefined ? null : withAccepted(known);
  }

  /**
   * Reading begins. What is remembered says nothing if others have read further since: they may have read what is in the place of
   * lost records, under the same epoch of ours. Then the group's commit counts.
   *
   * @param committed what the commit says, see {@link committedRead}
   */
  startsAt(source: RecordSource, offset: number, committed: ReadEpoch | null = null): void {
    const read = this.#known(source)?.read ?? null;
    this.#set(source, { read: read !== null && offset <= read.to ? read : committed, accepted: [] });
  }

  /**
   * Batchers have accepted these records under this epoch. What was read counts up to the last of them, even if the group has
   * committed less: the next records at their offsets would be taken for them.
   */
  accepted(source: RecordSource, records: readonly EpochStart[]): void {
    const accepted = records.toSorted((one, other) => one.from - other.from);
    const read = this.#known(source)?.read ?? null;
    // Another process has read, and batchers have accepted, what is in the place of something that only this one has read.
    const isOld = accepted.some(
      ({ leaderEpoch, from }) =>
        read !== null && from < read.to && leaderEpoch > (epochAt(read.starts, from) ?? Infinity),
    );
    this.#set(source, { read: isOld ? null : read, accepted });
  }

  /** Which leader has written the record before an offset. Null if that is not known under this epoch. */
  leaderEpochBefore(source: RecordSource, offset: number): number | null {
    const read = this.#known(source)?.read ?? null;
    return read === null || offset > read.to ? null : (epochAt(read.starts, offset - 1) ?? null);
  }

  /** An epoch of ours begins in the same log, where that was cut, or where a layout has ended: what was read before is still there. */
  continueAt(at: number, { before, source }: { readonly before: string; readonly source: RecordSource }): void {
    const known = this.#known({ ...source, epoch: before });
    const read = known?.read ?? null;
    // If others have read further, up to the cut, what this process has read may have been replaced before.
    if (known === undefined || read === null || read.to < at) return;
    const starts = read.starts.filter(({ from }) => from < at);
    const last = starts.at(-1);
    if (last === undefined) return;
    // The one before is mostly the one that the group has committed.
    this.#set({ ...source, epoch: before }, known);
    const { leaderEpoch } = last;
    this.#set(source, { read: { leaderEpoch, to: at, starts }, accepted: [] });
  }

  /**
   * @param epochs which leaders have written what was read
   * @param to the offset after the last record that was read. Epochs that begin later are left out
   */
  note(source: RecordSource, epochs: readonly EpochStart[], to: number): void {
    const { read: before = null, accepted = [] } = this.#known(source) ?? {};
    // A rewind reads earlier offsets again.
    if (before !== null && before.to >= to) return;
    let starts = [...(before?.starts ?? [])];
    for (const [index, { leaderEpoch, from }] of epochs.entries()) {
      const last = starts.at(-1)?.leaderEpoch ?? -1;
      if (from >= to || leaderEpoch === last) continue;
      // Epochs of one log only grow. If nobody could say whether it was cut, what is remembered may be of another log.
      if (leaderEpoch < last && from >= (before?.to ?? 0)) starts = [];
      // What retention has removed in between counts with the batch after it, as offsets without a record do.
      const since = before === null ? from : index === 0 ? before.to : Math.max(from, before.to);
      if (leaderEpoch > last || starts.length === 0) starts.push({ leaderEpoch, from: since });
    }
    const { leaderEpoch } = starts.at(-1) ?? {};
    if (leaderEpoch === undefined) return;
    // Nothing is read under an epoch before the group has committed it. So none of before is gone back to.
    if (before === null && accepted.length === 0) this.#read.delete(partitionName(source));
    const read = { leaderEpoch, to, starts: starts.slice(-STARTS_MAX) };
    this.#set(source, { read, accepted: accepted.filter((record) => record.from >= to) });
  }

  #known(source: RecordSource): Remembered | undefined {
    return this.#read.get(partitionName(source))?.find(({ epoch }) => epoch === source.epoch);
  }

  /** It is the first of its partition from now on. */
  #set(source: RecordSource, known: Omit<Remembered, 'epoch'>): void {
    const { epoch } = source;
    const others = (this.#read.get(partitionName(source)) ?? []).filter((other) => other.epoch !== epoch);
    this.#read.set(partitionName(source), [{ ...known, epoch }, ...others].slice(0, EPOCHS_MAX));
  }
}

function withAccepted({ read, accepted }: Remembered): ReadEpoch | null {
  let all = read;
  for (const record of accepted) {
    const { leaderEpoch, from } = record;
    if (all === null) all = { leaderEpoch, to: from + 1, starts: [record] };
    else if (from >= all.to && leaderEpoch >= all.leaderEpoch) {
      const starts = leaderEpoch === all.leaderEpoch ? all.starts : [...all.starts, record];
      all = { leaderEpoch, to: from + 1, starts };
    }
  }
  return all;
}

/**
 * What a commit tells of what was read: only its last leader. That one is always in the log, up to the offset, if the log has all
 * of it. If a log was cut twice since, before that leader began, the cut may be put too high.
 */
export function committedRead(offset: number, leaderEpoch: number): ReadEpoch {
  return { leaderEpoch, to: offset, starts: [{ leaderEpoch, from: offset - 1 }] };
}

/**
 * Whether a log may have lost some of what was read of it, by the leaders of a fetched part.
 *
 * Only one leader writes under an epoch. So two logs with the same epoch at the same offset are the same up to there, and if a
 * part goes on under the epoch of what was read last, all before it is as it was.
 */
export function mayBeCut(
  read: ReadEpoch,
  epochs: readonly EpochStart[],
  { from, next }: { readonly from: number; readonly next: number },
): boolean {
  if (from >= read.to) return epochs[0]?.leaderEpoch !== read.leaderEpoch;
  // It is read again, as after a rebalance. The log may be cut within the part.
  const last = Math.min(next, read.to) - 1;
  return epochAt(epochs, last) !== epochAt(read.starts, last);
}

/** Whether a part proves that it is not of the log that was read, whatever a leader says: epochs of one log only grow. */
export function isOfOtherLog(read: ReadEpoch, epochs: readonly EpochStart[], from: number): boolean {
  return from >= read.to && (epochs[0]?.leaderEpoch ?? Infinity) < read.leaderEpoch;
}

/** Undefined if that is not known. */
function epochAt(starts: readonly EpochStart[], offset: number): number | undefined {
  return starts.findLast(({ from }) => from <= offset)?.leaderEpoch;
}

/**
 * Asks the leader from where on its log lacks what was read of it. Rejects if the leader does not answer. Its answer may be:
 *
 * - `whole`: it has all of it.
 * - `unknown`: it knows no epoch as late as those that were read. So answers one that is no leader any more, and has not heard of
 *   it.
 * - `notAsked`: the brokers are too old for the question, or tell no ids of topics. Then it may be the log of another topic, which
 *   was created since.
 *
 * The leader names the largest epoch in its log that is not above the one that it is asked for. What was read under larger ones is
 * not in its log. If it names one that was not read, the logs part before that, and it is asked again, for the one that was
 * read before. So Kafka's followers do it (KIP-279).
 */
export async function cutOf(
  admin: Pick<KafkaAdmin, 'fetchEpochEnd'>,
  { topic, partition, topicId }: TopicPartition & { readonly topicId?: string | undefined | null },
  read: ReadEpoch | null,
): Promise<LogCut | 'whole' | 'unknown' | 'notAsked'> {
  if (read === null || (topicId ?? null) === null) return 'notAsked';
  let at = read.to;
  for (let asked: number | undefined = read.leaderEpoch; asked !== undefined;) {
    const end: EpochEnd | null = await admin.fetchEpochEnd({ topic, partition }, asked);
    if (end === null) return 'notAsked';
    const { leaderEpoch: known, endOffset } = end;
    if (known < 0 || endOffset < 0) return 'unknown';
    const above = read.starts.find(({ leaderEpoch }) => leaderEpoch > known);
    at = Math.min(at, endOffset, above?.from ?? Infinity);
    if (known >= asked) break;
    const below = read.starts.findLast(({ leaderEpoch }) => leaderEpoch <= known)?.leaderEpoch;
    asked = below === known ? undefined : below;
  }
  return at >= read.to ? 'whole' : { at, to: read.to };
}
