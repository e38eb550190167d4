import type { Layout } from '../../protocol/batcherId.js';
import { partitionName, type RecordSource, type TopicPartition } from '../../protocol/record.js';
import type { PartitionState } from './commitMetadata.js';
import type { LogComparison, LogVerdict } from './logComparison.js';
import type { KnownStart } from './partitionStarts.js';
import type { PartitionTracker } from './tracker.js';

/**
 * Why a partition is held until a person has decided: a damaged record batch, or one that is too large under `onGap: halt`; under
 * `onGap: halt` also a gap in its log, and a log that ends before what was read of it; an offset that a later version has committed.
 */
export const HELD_REASONS = ['unreadable', 'gap', 'truncated', 'newer'] as const;
export type HeldReason = (typeof HELD_REASONS)[number];

/** An offset to commit, and what to say with it. */
export interface PartitionCommit extends TopicPartition {
  readonly offset: number;
  readonly epoch: string;
  readonly layout: Layout;
  readonly state: PartitionState;
}

/**
 * The partitions that the group has given to this member, from one rebalance to the next. A new object for each
 * rebalance: whatever was begun under an older one can tell, and neither hands over nor commits any more.
 *
 *     unknown ──► open ◄──────────── end of a tracker's plan ──┐
 *        ├──────► comparing ──► open                           │
 *        ├──────► handing over ──► open (old layout, to an end)┘
 *        └──────► blocked
 *     open ──the log ends before the position──► unknown
 *     open, comparing, handing over, blocked ──the topic is gone──► unknown
 *
 * Each partition by itself: one whose start cannot be found out keeps no other from being read. Pure. A partition may be handed over from once it is open and its epoch is committed.
 */
export class Assignment {
  readonly partitions: readonly TopicPartition[];
  readonly #trackers = new Map<string, PartitionTracker>();
  readonly #committed = new Map<PartitionTracker, number>();
  readonly #comparing = new Map<string, Comparison>();
  /** What each hand-over that is on its way was begun for. */
  readonly #leaving = new Map<string, RecordSource>();
  /** Partitions whose start is not known, and why as far as it is known; empty at first. */
  readonly #unknown = new Map<string, string>();
  readonly #blocked = new Map<string, { readonly reason: HeldReason; readonly problem: string }>();
  readonly #timesGone = new Map<string, number>();

  constructor(memberAssignment: Readonly<Record<string, readonly number[]>>) {
    this.partitions = Object.entries(memberAssignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
    for (const partition of this.partitions) this.#unknown.set(partitionName(partition), '');
  }

  /** Partitions whose start is not known. */
  get unknown(): readonly TopicPartition[] {
    return this.partitions.filter((partition) => this.isUnknown(partition));
  }

  isAllKnown(): boolean {
    return this.#unknown.size === 0;
  }

  isUnknown(partition: TopicPartition): boolean {
    return this.#unknown.has(partitionName(partition));
  }

  /** Where it starts cannot be found out now. */
  waits(partition: TopicPartition, problem: string): void {
    this.#unknown.set(partitionName(partition), problem);
  }

  /** What is not read, and why, in words; the start of a partition may be unknown without a reason to tell. */
  get problems(): readonly string[] {
    const blocked = [...this.#blocked].map(([name, { problem }]) => [name, problem] as const);
    return [...this.#unknown, ...blocked].flatMap(([name, problem]) => (problem === '' ? [] : [`${name}: ${problem}`]));
  }

  /** @param committed the offset that the group has committed under this very epoch; null where it has not yet */
  open(tracker: PartitionTracker, committed: number | null): void {
    this.#trackers.set(partitionName(tracker), tracker);
    this.#leaving.delete(partitionName(tracker));
    this.#unknown.delete(partitionName(tracker));
    if (committed !== null) this.#committed.set(tracker, committed);
  }

  tracker(topic: string, partition: number): PartitionTracker | undefined {
    return this.#trackers.get(partitionName({ topic, partition }));
  }

  /** What a partition waits for whose log has to be compared with what batchers remember; undefined otherwise. */
  comparison(partition: TopicPartition): Comparison | undefined {
    return this.#comparing.get(partitionName(partition));
  }

  compare(partition: TopicPartition, comparison: Comparison): void {
    this.#comparing.set(partitionName(partition), comparison);
    this.#unknown.delete(partitionName(partition));
  }

  /** A hand-over begins: no record of the partition is taken, and no offset of a tracker committed, until it is opened again. */
  leave(source: RecordSource): void {
    const name = partitionName(source);
    this.#trackers.delete(name);
    this.#unknown.delete(name);
    this.#leaving.set(name, source);
  }

  /** False once the hand-over that began with this very object has ended: its partition is open, or its topic is gone. */
  isLeaving(source: RecordSource): boolean {
    return this.#leaving.get(partitionName(source)) === source;
  }

  /**
   * Its topic is gone: what is known of its log, or was asked and not answered yet, holds for it no more, and nothing of it is committed.
   */
  forget(partition: TopicPartition): void {
    const name = partitionName(partition);
    this.#timesGone.set(name, this.timesGone(partition) + 1);
    this.#trackers.delete(name);
    this.#comparing.delete(name);
    this.#leaving.delete(name);
    this.#blocked.delete(name);
    this.#unknown.set(name, this.#unknown.get(name) ?? '');
  }

  /** How often the topic was gone. Facts of a log are of use only while this is as it was when they were asked for. */
  timesGone(partition: TopicPartition): number {
    return this.#timesGone.get(partitionName(partition)) ?? 0;
  }

  /** The comparison is over. */
  compared(partition: TopicPartition): void {
    this.#comparing.delete(partitionName(partition));
  }

  /** The partition is not read, and will not be under this assignment. */
  block(partition: TopicPartition, reason: HeldReason, problem: string): void {
    this.#blocked.set(partitionName(partition), { reason, problem });
    this.#unknown.delete(partitionName(partition));
  }

  isBlocked(partition: TopicPartition): boolean {
    return this.#blocked.has(partitionName(partition));
  }

  /** Partitions that are blocked for this reason. */
  heldFor(reason: HeldReason): number {
    let count = 0;
    for (const held of this.#blocked.values()) if (held.reason === reason) count++;
    return count;
  }

  /** True once the start of every partition is known, and none is blocked. */
  get readable(): boolean {
    return this.#unknown.size === 0 && this.#blocked.size === 0;
  }

  trackers(): Iterable<PartitionTracker> {
    return this.#trackers.values();
  }

  /** Epochs that nothing may be sent under until they are committed, at their start positions. */
  uncommittedEpochs(): PartitionCommit[] {
    return this.#commits((tracker) => (this.#committed.has(tracker) ? null : tracker.startOffset));
  }

  /** Offsets that have moved since the last commit. */
  advanced(): PartitionCommit[] {
    return this.#commits((tracker) => {
      const committed = this.#committed.get(tracker);
      const offset = tracker.committable();
      return committed === undefined || offset <= committed ? null : offset;
    });
  }

  /** A commit succeeded. One for an epoch that has been replaced meanwhile changes nothing. */
  committed(commits: readonly PartitionCommit[]): void {
    for (const { topic, partition, offset, epoch, state } of commits) {
      const tracker = this.tracker(topic, partition);
      if (tracker?.epoch === epoch && tracker.plan.state === state) this.#committed.set(tracker, offset);
    }
  }

  committedOffset(tracker: PartitionTracker): number | undefined {
    return this.#committed.get(tracker);
  }

  #commits(offsetOf: (tracker: PartitionTracker) => number | null): PartitionCommit[] {
    const commits: PartitionCommit[] = [];
    for (const tracker of this.#trackers.values()) {
      const offset = offsetOf(tracker);
      const { topic, partition, epoch, plan } = tracker;
      const { layout, state } = plan;
      if (offset !== null) commits.push({ topic, partition, offset, epoch, layout, state });
    }
    return commits;
  }
}

/** Which records of a log are looked at, and what they lead to. */
export interface Comparison {
  readonly comparison: LogComparison;
  readonly decide: (verdict: LogVerdict) => KnownStart;
}
