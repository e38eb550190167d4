import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { payloadReader } from '../temporal/encryption.js';
import { isNotFound } from '../temporal/errors.js';
import type { Beat } from './attempt.js';
import { boundNotes } from './boundNotes.js';

/** Time for a heartbeat to arrive: a third of the heartbeat time-out. */
const BEAT_WITHIN_MS = 5_000;
/** The pause between two questions whether a heartbeat has arrived. It doubles from the first value to the last. */
const ASK_AFTER_MS = { first: 4, last: 250 } as const;

/**
 * Makes a function that sends heartbeats and finds out whether they have arrived.
 *
 * The SDK has to send them: if it has sent none for 5 s longer than the heartbeat time-out, its core ends the activity
 * and drops its result (`ActivityLocalTimers` in `activities.rs` of 1.24). It sends the heartbeats of an activity in
 * order, but does not tell whether they arrive. So each has its own name, and Temporal is asked until it has that name.
 */
export function createBeat(client: Client, namespace: string): Beat {
  const { connection, workflowService } = client;
  const process = randomUUID();
  let count = 0;
  return async (context, notes) => {
    const { workflowExecution: execution, activityId, attempt } = context.info;
    if (execution === undefined) throw new Error('an activity without a workflow');
    const beat = `${process}/${++count}`;
    context.heartbeat(boundNotes(context, { ...notes, beat }));
    const open = payloadReader(client, execution.workflowId);
    const endMs = performance.now() + BEAT_WITHIN_MS;
    for (let waitMs: number = ASK_AFTER_MS.first; ; waitMs = Math.min(2 * waitMs, ASK_AFTER_MS.last)) {
      await sleep(waitMs);
      // A request that hangs must not delay the next heartbeats until Temporal takes the attempt for dead.
      const deadlineMs = Date.now() + endMs - performance.now();
      const { pendingActivities } = await connection
        .withDeadline(deadlineMs, () => workflowService.describeWorkflowExecution({ namespace, execution }))
        .catch((error: unknown) => {
          if (isNotFound(error)) return { pendingActivities: [] };
          throw error;
        });
      const known = pendingActivities.find((one) => one.activityId === activityId && one.attempt === attempt);
      if (known === undefined || Number(known.state) === CANCEL_REQUESTED) return false;
      if (nameOf(known.heartbeatDetails, open) === beat) return true;
      if (performance.now() >= endMs) throw new Error('Temporal has not taken a heartbeat in time');
    }
  };
}

/** Source: `PendingActivityState` in `temporal/api/enums/v1/workflow.proto`. */
const CANCEL_REQUESTED = 3;

/** Undefined: not a name of ours. Whoever may write to the namespace may have put something there that cannot be read. */
function nameOf(
  details: { payloads?: Payload[] | null } | null | undefined,
  open: (payload: Payload) => Payload,
): unknown {
  const [payload] = details?.payloads ?? [];
  if (!payload) return undefined;
  try {
    const notes: unknown = defaultPayloadConverter.fromPayload(open(payload));
    return typeof notes === 'object' && notes !== null && 'beat' in notes ? notes.beat : undefined;
  } catch {
    return undefined;
  }
}
