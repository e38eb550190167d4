import type { Client } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { CLAIM_FORMAT, type Claim } from './claim.js';
import { isNotFound } from '../temporal/errors.js';

/** A claim as Temporal has it, and the run whose memo it is. */
export interface StoredClaim {
  readonly runId: string;
  readonly claim: Claim;
}

/** What a pipeline's claim is called. Pipelines' names are unique in a namespace, since batchers are named after them. */
export function pipelineClaim(pipeline: string): string {
  return `ktb-pipeline:${pipeline}`;
}

export function taskQueueClaim(taskQueue: string): string {
  return `ktb-task-queue:${taskQueue}`;
}

/** Nobody asks for work there: a claim is never executed, whatever is sent to it. */
const NO_TASK_QUEUE = 'ktb-claims';
/** A workflow with a delayed start stays open, needs no worker, and has a history of one event. */
const NEVER = '3650 days';

/**
 * Claims in Temporal, each the memo of a workflow that is started and never executed. Of several who start it at once one
 * wins. The memo of a closed one counts as long as Temporal remembers it, so that nothing is lost where somebody ends them, or
 * where a member dies while it replaces one. Every method throws where Temporal does not answer.
 */
export class Claims {
  readonly #client: Client;
  readonly #requestTimeoutMs: number;

  constructor(client: Client, requestTimeoutMs: number) {
    this.#client = client;
    this.#requestTimeoutMs = requestTimeoutMs;
  }

  /** @throws Error for a claim that a later version has written */
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

  /** @returns false where somebody else has made it first */
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

  /** @returns false where somebody else has replaced it first */
  async replace(name: string, { runId }: StoredClaim, claim: Claim): Promise<boolean> {
    try {
      await this.#withDeadline(() => this.#client.workflow.getHandle(name, runId).terminate('replaced by ktb'));
    } catch (error) {
      // Closed already: by a person, or by somebody who has replaced it, which `create` finds out.
      if (!isNotFound(error)) throw error;
    }
    return this.create(name, claim);
  }

  #withDeadline<T>(run: () => Promise<T>): Promise<T> {
    return this.#client.connection.withDeadline(Date.now() + this.#requestTimeoutMs, run);
  }
}
