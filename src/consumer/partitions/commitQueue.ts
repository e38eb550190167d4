import type { Offsets } from 'kafkajs';
import { byTopic } from '../../kafka/byTopic.js';
import { commitParts } from '../../kafka/commitParts.js';
import { isUnusableTopic } from '../../kafka/errorType.js';
import { asError } from '../../lib/asError.js';
import { Turns } from '../../lib/turns.js';
import { partitionName } from '../../protocol/record.js';
import type { PartitionCommit } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { formatCommitMetadata } from './commitMetadata.js';
import type { ReadEpochs } from './readEpochs.js';

/**
 * kafkajs's `commitOffsetsIfNecessary` of a batch. It is the only way to commit that does not retry under a later
 * generation.
 */
export type Commit = (offsets: Offsets) => Promise<void>;

/**
 * The commits of one consumer, one at a time. What to commit is asked when its turn comes, and only if the assignment
 * is still current then. One that is too large for a coordinator is made in parts, and each part has its turn. A failed
 * commit is never repeated. The caller makes a new one.
 */
export class CommitQueue {
  readonly #readEpochs: Pick<ReadEpochs, 'leaderEpochBefore'>;
  readonly #onOutcome: (outcome: 'ok' | 'failed') => void;
  readonly #turns = new Turns();

  constructor(readEpochs: Pick<ReadEpochs, 'leaderEpochBefore'>, onOutcome: (outcome: 'ok' | 'failed') => void) {
    this.#readEpochs = readEpochs;
    this.#onOutcome = onOutcome;
  }

  /**
   * Commits when its turn comes. Resolves without effect if the assignment has ended. Rejects with kafkajs's error. If
   * Kafka refuses a part because of a topic, the other parts are made all the same.
   *
   * @param commits asked anew for each part
   */
  inTurn(
    assignment: Assignment,
    clusterId: string,
    commit: Commit,
    commits: () => readonly PartitionCommit[],
  ): Promise<void> {
    return this.#turns.next(() => this.#commit(assignment, clusterId, commit, commits));
  }

  /** Waits for all commits so far. */
  settled(): Promise<void> {
    return this.#turns.settled();
  }

  async #commit(
    assignment: Assignment,
    clusterId: string,
    commit: Commit,
    commits: () => readonly PartitionCommit[],
  ): Promise<void> {
    const tried = new Set<string>();
    let refusal: Error | null = null;
    for (let isLast = false; !isLast && !assignment.isOver();) {
      const due = commits().flatMap((made) => {
        if (tried.has(partitionName(made))) return [];
        const { topic, epoch, layout, state } = made;
        return [{ topic, made, metadata: formatCommitMetadata({ epoch, layout, clusterId, state }) }];
      });
      const [part, ...others] = commitParts(due);
      if (part === undefined) break;
      isLast = others.length === 0;
      if (!isLast) for (const { made } of part) tried.add(partitionName(made));
      try {
        await this.#commitPart(assignment, commit, part);
      } catch (error) {
        if (!isUnusableTopic(error)) throw error;
        refusal ??= asError(error);
      }
    }
    if (refusal !== null) throw refusal;
  }

  async #commitPart(
    assignment: Assignment,
    commit: Commit,
    part: readonly { readonly topic: string; readonly made: PartitionCommit; readonly metadata: string }[],
  ): Promise<void> {
    const topics = byTopic(part, ({ made, metadata }) => {
      const { partition, offset } = made;
      const leaderEpoch = this.#readEpochs.leaderEpochBefore(made, offset);
      return { partition, offset: String(offset), metadata, leaderEpoch };
    });
    try {
      await commit({ topics });
    } catch (error) {
      this.#onOutcome('failed');
      throw error;
    }
    this.#onOutcome('ok');
    assignment.committed(part.map(({ made }) => made));
  }
}
