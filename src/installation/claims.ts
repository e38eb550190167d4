import { createHash } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { CLAIM_FORMAT, type Claim } from './claim.js';
import { isNotFound } from '../temporal/errors.js';

/** A claim in Temporal, and the run whose memo it is. */
export interface StoredClaim {
  readonly runId: string;
  readonly claim: Claim;
}

/**
 * Workflow id of a pipeline's claim. Pipelines' names are unique in a namespace, because batchers are named after them.
 */
export function pipelineClaim(pipeline: string): string {
  return `ktb-pipeline:${pipeline}`;
}

export function taskQueueClaim(taskQueue: string): string {
  return `ktb-task-queue:${taskQueue}`;
}

/**
 * Workflow id of the claim of a database of ClickHouse, for daemons of one task queue and one Kafka. It is a hash,
 * because a database's name may be too long for a workflow id.
 *
 * @param id one of `placeIds`
 */
export function databaseClaim(taskQueue: string, kafka: string, id: string): string {
  const hash = createHash('sha256').update(JSON.stringify([taskQueue, kafka, id]));
  return `ktb-database:${hash.digest('hex').slice(0, 32)}`;
}

/** No worker polls this queue. So a claim is never executed, whatever is sent to it. */
const NO_TASK_QUEUE = 'ktb-claims';
/**
 * Start delay of a claim. A workflow whose start is delayed stays open, needs no worker, and has a history of one
 * event.
 */
const NEVER = '3650 days';

/**
 * Reads and writes claims in Temporal. A claim is the memo of a workflow that is started and never executed. If several
 * processes start it at once, one wins. The memo of a closed workflow counts, too, as long as Temporal has it. So a
 * claim is not lost if somebody ends the workflow, or if a process dies while it replaces a claim. Every method rejects
 * if Temporal does not answer.
 */
export class Claims {
  readonly #client: Client;
  readonly #requestTimeoutMs: number;

  constructor(client: Client, requestTimeoutMs: number) {
    this.#client = client;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** @throws Error if a later version has written the claim */
  async read(name: string): Promise<StoredClaim | null> {
    try {
      const { runId, memo } = await this.#withDeadline(() => this.#client.workflow.getHandle(name).describe());
      const claim = memo?.['claim'] as { readonly format?: unknown } | undefined;
      if (claim?.format !== CLAIM_FORMAT) {
        throw new Error(`workflow ${name} has no claim of ${CLAIM_FORMAT}: is a later version of ktb running?`);
      }
      return { runId, claim: claim as Claim };
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  /** @returns false if somebody else was first */
  async create(name: string, claim: Claim): Promise<boolean> {
    try {
      await this.#withDeadline(() =>
        this.#client.workflow.start('claim', {
          workflowId: name,
          taskQueue: NO_TASK_QUEUE,
          memo: { claim },
          startDelay: NEVER,
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
      throw error;
    }
  }

  /** @returns false if somebody else has replaced it first */
  async replace(name: string, { runId }: StoredClaim, claim: Claim): Promise<boolean> {
    try {
      await this.#withDeadline(() => this.#client.workflow.getHandle(name, runId).terminate('replaced by ktb'));
    } catch (error) {
      // It is closed already, by a person or by a process that has replaced it. `create` finds out which.
      if (!isNotFound(error)) throw error;
    }
    return this.create(name, claim);
  }

  #withDeadline<T>(run: () => Promise<T>): Promise<T> {
    return this.#client.connection.withDeadline(Date.now() + this.#requestTimeoutMs, run);
  }
}
