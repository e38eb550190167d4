import { isOfType, NOT_AUTHORIZED, UNKNOWN_TOPIC } from '../../kafka/errorType.js';
import { messageOf } from '../../lib/messageOf.js';
import type { Logger } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import type { PartitionCommit } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { CommitQueue, type Commit } from './commitQueue.js';
import type { ReadEpochs } from './readEpochs.js';

export interface GroupCommitsOptions {
  /** The pipeline's name. */
  readonly pipeline: string;
  /** Who has written what is committed. */
  readonly readEpochs: Pick<ReadEpochs, 'leaderEpochBefore'>;
  readonly metrics: Pick<Metrics, 'commits' | 'errors'>;
  readonly logger: Pick<Logger, 'debug'>;
}

/**
 * Commits to the group what the batchers have accepted, and new epochs. Each batch brings the function to commit with,
 * so nothing can be committed before the first batch of an assignment. Partitions that the user may no longer read are
 * left out. Otherwise Kafka would refuse them and commit the others, and kafkajs would only say that the commit failed:
 * nobody would know what is committed.
 *
 *     nothing can be committed ──use──► can ──forget──► nothing can be committed
 */
export class GroupCommits {
  /** The cluster that offsets are committed to. Empty until Kafka has told it. */
  clusterId = '';
  readonly #pipeline: string;
  readonly #metrics: Pick<Metrics, 'commits' | 'errors'>;
  readonly #logger: Pick<Logger, 'debug'>;
  readonly #commits: CommitQueue;
  #commit: Commit | null = null;
  #committing = false;

  constructor({ pipeline, readEpochs, metrics, logger }: GroupCommitsOptions) {
    this.#pipeline = pipeline;
    this.#metrics = metrics;
    this.#logger = logger;
    this.#commits = new CommitQueue(readEpochs, (outcome) => {
      this.#metrics.commits.inc({ pipeline, outcome });
      if (outcome === 'failed') this.#metrics.errors.inc({ pipeline, stage: 'commit' });
    });
  }

  /** A batch has come, with a function to commit by. */
  use(commit: Commit): void {
    this.#commit = commit;
  }

  /** The assignment is over, and with it the function to commit by. */
  forget(): void {
    this.#commit = null;
  }

  /** Waits for the commits that were asked for so far. */
  async settled(): Promise<void> {
    await this.#commits.settled();
  }

  /**
   * Commits what has been accepted since the last time. A failed commit is never repeated: the next one is a new
   * commit. Never rejects.
   *
   * @param assignment null if this member has none
   */
  async commitAccepted(assignment: Assignment | null): Promise<void> {
    const commit = this.#commit;
    if (assignment === null || commit === null || this.#committing) return;
    this.#committing = true;
    try {
      await this.#commits.inTurn(assignment, this.clusterId, commit, () =>
        permitted(assignment, [...assignment.uncommittedEpochs(), ...assignment.dueCommits()]),
      );
    } catch (error) {
      // The partition was lost, or a broker is away. Heartbeats find out which, and the next commit uses what is true
      // then.
      this.#logger.debug({ pipeline: this.#pipeline, error: messageOf(error) }, 'A commit failed');
    } finally {
      this.#committing = false;
    }
  }

  /**
   * Commits new epochs before anything is sent under them, so that their identities survive a crash. Epochs of topics
   * that are gone, or that the user may no longer read, wait. The others do not wait for them. Rejects with kafkajs's
   * error.
   */
  async commitEpochs(assignment: Assignment): Promise<void> {
    const commit = this.#commit;
    const due = (): PartitionCommit[] => permitted(assignment, assignment.uncommittedEpochs());
    if (commit === null || due().length === 0) return;
    try {
      await this.#commits.inTurn(assignment, this.clusterId, commit, due);
    } catch (error) {
      // The next answer about the topic tells which partition it is. What came until then is fetched again.
      if (![NOT_AUTHORIZED, UNKNOWN_TOPIC].some((type) => isOfType(error, type))) throw error;
    }
  }

  /**
   * Commits at once. Rejects with kafkajs's error.
   *
   * @param commits asked for when its turn has come
   * @returns false before the first batch, and while the user may not read the topic
   */
  async commitNow(assignment: Assignment, commits: () => readonly PartitionCommit[]): Promise<boolean> {
    const commit = this.#commit;
    if (commit === null) return false;
    // A partition that was paused since may be permitted again. No fetch would find that out, so the commit does.
    if (commits().some((where) => assignment.get(where)?.isRefusedWhileFetched === true)) return false;
    await this.#commits.inTurn(assignment, this.clusterId, commit, commits);
    return true;
  }
}

function permitted(assignment: Assignment, commits: readonly PartitionCommit[]): PartitionCommit[] {
  return commits.filter((where) => assignment.get(where)?.isRefused !== true);
}
