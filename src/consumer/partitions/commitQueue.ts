import type { Offsets } from 'kafkajs';
import { commitParts } from '../../kafka/commitParts.js';
import type { PartitionCommit } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { formatCommitMetadata } from './commitMetadata.js';

/**
 * kafkajs's `commitOffsetsIfNecessary` of a batch. It is the only way to commit that does not retry under a later
 * generation.
 */
export type Commit = (offsets: Offsets) => Promise<void>;

/**
 * The commits of one consumer, one at a time. What to commit is asked when its turn comes, and only if the assignment
 * is still current then. One that is too large for a coordinator is made in parts. A failed commit is never repeated. The
 * caller makes a new one.
 */
export class CommitQueue {
  readonly #onOutcome: (outcome: 'ok' | 'failed') => void;
  #last: Promise<unknown> = Promise.resolve();

  constructor(onOutcome: (outcome: 'ok' | 'failed') => void) {
    this.#onOutcome = onOutcome;
  }

  /** Commits when its turn comes. Resolves without effect if the assignment has ended. Rejects with kafkajs's error. */
  inTurn(
    assignment: Assignment,
    clusterId: string,
    commit: Commit,
    commits: () => readonly PartitionCommit[],
  ): Promise<void> {
    const turn = this.#last.then(() => this.#commit(assignment, clusterId, commit, commits()));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Waits for all commits so far. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #commit(
    assignment: Assignment,
    clusterId: string,
    commit: Commit,
    commits: readonly PartitionCommit[],
  ): Promise<void> {
    const all = commits.map((made) => {
      const { topic, epoch, layout, state } = made;
      return { topic, made, metadata: formatCommitMetadata({ epoch, layout, clusterId, state }) };
    });
    for (const part of commitParts(all)) {
      if (assignment.isOver()) return;
      const byTopic = new Map<string, { partition: number; offset: string; metadata: string }[]>();
      for (const { topic, made, metadata } of part) {
        const partitions = byTopic.get(topic) ?? [];
        partitions.push({ partition: made.partition, offset: String(made.offset), metadata });
        byTopic.set(topic, partitions);
      }
      try {
        await commit({ topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })) });
      } catch (error) {
        this.#onOutcome('failed');
        throw error;
      }
      this.#onOutcome('ok');
      assignment.committed(part.map(({ made }) => made));
    }
  }
}
