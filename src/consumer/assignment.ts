import type { PartitionTracker } from './tracker.js';

/** An offset to commit, and what to say with it. */
export interface PartitionCommit {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: string;
}

/**
 * The partitions that the group has given to this member, from one rebalance to the next. A new object for each
 * rebalance: whatever was begun under an older one can tell, and neither hands over nor commits any more.
 *
 * Pure. A partition may be handed over from once it is open and its epoch is committed.
 */
export class Assignment {
  readonly number: number;
  readonly partitions: readonly { readonly topic: string; readonly partition: number }[];
  /** True once the start position of every partition is known. */
  opened = false;
  readonly #trackers = new Map<string, PartitionTracker>();
  readonly #committed = new Map<PartitionTracker, number>();

  constructor(number: number, memberAssignment: Readonly<Record<string, readonly number[]>>) {
    this.number = number;
    this.partitions = Object.entries(memberAssignment).flatMap(([topic, partitions]) =>
      partitions.map((partition) => ({ topic, partition })),
    );
  }

  /** @param committed the offset that the group has committed under this very epoch; null where it has not yet */
  open(tracker: PartitionTracker, committed: number | null): void {
    this.#trackers.set(partitionKey(tracker), tracker);
    if (committed !== null) this.#committed.set(tracker, committed);
  }

  tracker(topic: string, partition: number): PartitionTracker | undefined {
    return this.#trackers.get(partitionKey({ topic, partition }));
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
    for (const { topic, partition, offset, epoch } of commits) {
      const tracker = this.tracker(topic, partition);
      if (tracker?.epoch === epoch) this.#committed.set(tracker, offset);
    }
  }

  committedOffset(tracker: PartitionTracker): number | undefined {
    return this.#committed.get(tracker);
  }

  #commits(offsetOf: (tracker: PartitionTracker) => number | null): PartitionCommit[] {
    const commits: PartitionCommit[] = [];
    for (const tracker of this.#trackers.values()) {
      const offset = offsetOf(tracker);
      const { topic, partition, epoch } = tracker;
      if (offset !== null) commits.push({ topic, partition, offset, epoch });
    }
    return commits;
  }
}

function partitionKey({ topic, partition }: { topic: string; partition: number }): string {
  return `${topic}/${partition}`;
}
