import { isOfType } from '../../kafka/errorType.js';
import { messageOf } from '../../lib/messageOf.js';
import type { Logger } from '../../telemetry/logging.js';
import type { Metrics } from '../../telemetry/metrics.js';
import { REFUSED, type PartitionCommit } from './assignedPartition.js';
import type { Assignment } from './assignment.js';
import { Commits, type Commit } from './commits.js';

/** Kafka's error where there is no such topic, or no such partition of it. */
export const MISSING = 'UNKNOWN_TOPIC_OR_PARTITION';

/**
 * Commits to the group what the batchers have accepted, and new epochs. The first batch of an assignment brings the function to commit
 * by: before it nothing can be committed. What the user may no longer read is left out: Kafka refuses it and takes the others, but
 * kafkajs says only that the commit failed, so nobody would know what is committed.
 *
 *     nothing can be committed ──use──► can ──forget──► nothing can be committed
 */
export class GroupCommits {
  /** Of the cluster that offsets are committed to; empty until Kafka has told it. */
  clusterId = '';
  readonly #pipeline: string;
  readonly #metrics: Pick<Metrics, 'commits' | 'errors'>;
  readonly #logger: Pick<Logger, 'debug'>;
  readonly #commits: Commits;
  #commit: Commit | null = null;
  #committing = false;

  constructor(pipeline: string, metrics: Pick<Metrics, 'commits' | 'errors'>, logger: Pick<Logger, 'debug'>) {
    this.#pipeline = pipeline;
    this.#metrics = metrics;
    this.#logger = logger;
    this.#commits = new Commits((outcome) => {
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
   * Commits what has been accepted since the last time. A commit that fails is made anew next time, never repeated. Never rejects.
   *
   * @param assignment null while this member has none
   */
  async commitAccepted(assignment: Assignment | null): Promise<void> {
    const commit = this.#commit;
    if (assignment === null || commit === null || this.#committing) return;
    this.#committing = true;
    try {
      await this.#commits.inTurn(assignment, this.clusterId, commit, () =>
        permitted(assignment, [...assignment.uncommittedEpochs(), ...assignment.advanced()]),
      );
    } catch (error) {
      // Ownership lost, or a broker away: heartbeats find out which, and the next commit starts from what is then true.
      this.#logger.debug({ pipeline: this.#pipeline, error: messageOf(error) }, 'A commit failed');
    } finally {
      this.#committing = false;
    }
  }

  /**
   * A new epoch is committed before anything is sent under it, so that its identities survive a crash. Those of topics that the user may
   * no longer read, or that are gone, wait, and the others' do not wait for them. Rejects with kafkajs's error.
   */
  async commitEpochs(assignment: Assignment): Promise<void> {
    const commit = this.#commit;
    const due = (): PartitionCommit[] => permitted(assignment, assignment.uncommittedEpochs());
    if (commit === null || due().length === 0) return;
    try {
      await this.#commits.inTurn(assignment, this.clusterId, commit, due);
    } catch (error) {
      // Once the topic was asked for it is known which one; what came until then is fetched again.
      if (![REFUSED, MISSING].some((type) => isOfType(error, type))) throw error;
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
    // One that was paused since may be permitted again: no fetch would find out, so the commit does.
    if (commits().some((where) => assignment.get(where)?.isRefusedWhileFetched === true)) return false;
    await this.#commits.inTurn(assignment, this.clusterId, commit, commits);
    return true;
  }
}

function permitted(assignment: Assignment, commits: readonly PartitionCommit[]): PartitionCommit[] {
  return commits.filter((where) => assignment.get(where)?.isRefused !== true);
}
