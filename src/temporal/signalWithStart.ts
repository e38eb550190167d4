import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import {
  defaultPayloadConverter,
  encodeWorkflowIdConflictPolicy,
  encodeWorkflowIdReusePolicy,
  toPayloads,
  type Payload,
} from '@temporalio/common';
import { msToTs } from '@temporalio/common/lib/time.js';

export interface SignalWithStart {
  readonly workflowType: string;
  readonly workflowId: string;
  readonly taskQueue: string;
  /** How long a worker may have a workflow task of a run that this starts. */
  readonly workflowTaskTimeoutMs: number;
  /** The workflow's arguments, see {@link payloadsOf}. */
  readonly input: Payload[];
  readonly signal: string;
  /** The signal's arguments, see {@link payloadsOf}. */
  readonly signalInput: Payload[];
}

/** The run that got the signal, and whether it was started by this call. */
export interface SignalledRun {
  readonly runId: string;
  readonly started: boolean;
}

/**
 * Signals the run of a workflow, or starts the first run. It never starts a run after a closed one
 * (`REJECT_DUPLICATE`). Used in place of `client.workflow.signalWithStart`, which does not tell whether it started a
 * run.
 *
 * Rejects with gRPC's own errors: ALREADY_EXISTS if the last run is closed.
 */
export async function signalWithStart(client: Client, request: SignalWithStart): Promise<SignalledRun> {
  const { workflowType, workflowId, taskQueue, workflowTaskTimeoutMs, input, signal, signalInput } = request;
  const { namespace, identity } = client.options;
  const { runId, started } = await client.workflowService.signalWithStartWorkflowExecution({
    namespace,
    identity,
    requestId: randomUUID(),
    workflowId,
    workflowType: { name: workflowType },
    taskQueue: { name: taskQueue },
    workflowTaskTimeout: msToTs(workflowTaskTimeoutMs),
    input: { payloads: input },
    signalName: signal,
    signalInput: { payloads: signalInput },
    workflowIdReusePolicy: encodeWorkflowIdReusePolicy('REJECT_DUPLICATE') ?? null,
    workflowIdConflictPolicy: encodeWorkflowIdConflictPolicy('USE_EXISTING') ?? null,
  });
  return { runId, started };
}

/** Arguments as they travel, and as the history has them, but for the encryption. */
export function payloadsOf(...args: readonly unknown[]): Payload[] {
  return toPayloads(defaultPayloadConverter, ...args) ?? [];
}
