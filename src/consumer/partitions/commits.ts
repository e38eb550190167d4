import type { Offsets } from 'kafkajs';
import type { PartitionCommit } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { formatCommitMetadata } from './commitMetadata.js';

/** kafkajs's `commitOffsetsIfNecessary` of a batch: of its ways to commit the only one that does not try again under whatever generation is then current. */
export type Commit = (offsets: Offsets) => Promise<void>;

/**
 * The commits of one consumer: one at a time, and what to commit is asked only when its turn has come, under the
 * assignment that is then still current. A commit that fails is made anew by whoever wants it, never repeated.
 */
export class Commits {
  readonly #onOutcome: (outcome: 'ok' | 'failed') => void;
  #last: Promise<unknown> = Promise.resolve();

  constructor(onOutcome: (outcome: 'ok' | 'failed') => void) {
    this.#onOutcome = onOutcome;
  }

  /** Resolves without effect where the assignment is over. Rejects with kafkajs's error. */
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

  /** Waits for the commits that were asked for so far. */
  async settled(): Promise<void> {
    await this.#last;
  }

  async #commit(
    assignment: Assignment,
    clusterId: string,
    commit: Commit,
    commits: readonly PartitionCommit[],
  ): Promise<void> {
    if (commits.length === 0 || assignment.isOver()) return;
    const byTopic = new Map<string, { partition: number; offset: string; metadata: string }[]>();
    for (const { topic, partition, offset, epoch, layout, state } of commits) {
      const metadata = formatCommitMetadata({ epoch, layout, clusterId, state });
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), { partition, offset: String(offset), metadata }]);
    }
    try {
      await commit({ topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })) });
    } catch (error) {
      this.#onOutcome('failed');
      throw error;
    }
    this.#onOutcome('ok');
    assignment.committed(commits);
  }
}
