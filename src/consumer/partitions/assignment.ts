import { partitionName, type TopicPartition } from '../../protocol/record.js';
import { AssignedPartition, type HeldReason, type PartitionCommit } from './assignedPartition.js';
import type { PartitionTracker } from './tracker.js';

/**
 * The partitions that the group has given to this member, from one rebalance to the next. Each rebalance makes a new
 * object. What began under an older one checks this, and then hands over and commits nothing.
 *
 *     reading ──► draining ──► over
 *        └──────────────────────▲
 *
 * Each partition has its own state (see {@link AssignedPartition}), so one whose start is not known does not stop the
 * others. Pure.
 */
export class Assignment {
  readonly #partitions = new Map<string, AssignedPartition>();
  #phase: 'reading' | 'draining' | 'over' = 'reading';

  constructor(memberAssignment: Readonly<Record<string, readonly number[]>>) {
    for (const [topic, partitions] of Object.entries(memberAssignment))
      for (const partition of partitions) {
        const assigned = new AssignedPartition({ topic, partition });
        this.#partitions.set(assigned.name, assigned);
      }
  }

  /** Nothing new begins. What was handed over is finished. */
  drain(): void {
    if (this.#phase === 'reading') this.#phase = 'draining';
  }

  /** Its partitions are no longer this member's. */
  end(): void {
    this.#phase = 'over';
  }

  /** False once it is over, or this member drains. */
  goesOn(): boolean {
    return this.#phase === 'reading';
  }

  /** From then on nothing that was begun under it may have an effect. */
  isOver(): boolean {
    return this.#phase === 'over';
  }

  get size(): number {
    return this.#partitions.size;
  }

  get partitions(): readonly AssignedPartition[] {
    return [...this.#partitions.values()];
  }

  get(where: TopicPartition): AssignedPartition | undefined {
    return this.#partitions.get(partitionName(where));
  }

  /**
   * False if this assignment is over, or if the partition's topic was gone: then an answer for this object is of no
   * use.
   */
  has(partition: AssignedPartition): boolean {
    return !this.isOver() && this.#partitions.get(partition.name) === partition;
  }

  /**
   * The topic of a partition is gone. A later topic of that name has another log. So everything that is known or was
   * asked about the old log is dropped, and nothing of it is committed. Each time that it is seen to be gone counts: in
   * between, a topic may have been there whose log was asked for.
   */
  topicGone(partition: AssignedPartition): AssignedPartition {
    const successor = partition.successor();
    this.#partitions.set(partition.name, successor);
    return successor;
  }

  /** Partitions whose start is not known. */
  get unknown(): readonly AssignedPartition[] {
    return this.partitions.filter(({ isUnknown }) => isUnknown);
  }

  isAllKnown(): boolean {
    return !this.#any(({ isUnknown }) => isUnknown);
  }

  /** Messages about partitions that are not read. A partition without a reason is not listed. */
  get problems(): readonly string[] {
    return this.partitions.flatMap(({ name, problem }) => (problem === '' ? [] : [`${name}: ${problem}`]));
  }

  /** True if the start of every partition is known and none is held. */
  get readable(): boolean {
    return !this.#any(({ isUnknown, heldFor }) => isUnknown || heldFor !== null);
  }

  /** Partitions that are held for this reason. */
  heldFor(reason: HeldReason): number {
    return this.partitions.filter(({ heldFor }) => heldFor === reason).length;
  }

  /** See {@link AssignedPartition.open}. */
  open(tracker: PartitionTracker, committed: number | null): void {
    this.get(tracker)?.open(tracker, committed);
  }

  trackers(): readonly PartitionTracker[] {
    const trackers: PartitionTracker[] = [];
    for (const { tracker } of this.#partitions.values()) if (tracker !== null) trackers.push(tracker);
    return trackers;
  }

  /** Epochs that are not committed yet, with their start positions. Nothing may be sent under them before. */
  uncommittedEpochs(): PartitionCommit[] {
    return this.#commits((partition) => partition.uncommittedEpoch());
  }

  /** Offsets that have moved since the last commit. */
  dueCommits(): PartitionCommit[] {
    return this.#commits((partition) => partition.dueCommit());
  }

  /** A commit succeeded. */
  committed(commits: readonly PartitionCommit[]): void {
    for (const commit of commits) this.get(commit)?.wasCommitted(commit);
  }

  #commits(commitOf: (partition: AssignedPartition) => PartitionCommit | null): PartitionCommit[] {
    const commits: PartitionCommit[] = [];
    for (const partition of this.#partitions.values()) {
      const commit = commitOf(partition);
      if (commit !== null) commits.push(commit);
    }
    return commits;
  }

  #any(is: (partition: AssignedPartition) => boolean): boolean {
    for (const partition of this.#partitions.values()) if (is(partition)) return true;
    return false;
  }
}
