import { condition, log, workflowInfo } from '@temporalio/workflow';
import {
  BATCH_FORMATS,
  openEnvelope,
  repeatedBatch,
  type FlushReason,
  type InsertOutcome,
  type RejectionSpec,
} from '../protocol/flush.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { FlushOutcome } from '../protocol/leftover.js';
import type { Unconfirmed } from '../protocol/request.js';
import { atInstallation, ONCE, untilDone, untilInserted } from './activityCalls.js';
import type { BatcherState } from './batcherState.js';
import { follows } from './follows.js';
import { signalsWithin } from './foreignSignals.js';
import { encodedLimit } from './limits.js';
import { handOver } from './reporting.js';

/** Flushes the buffer: inserts a batch, then publishes the rejections. */
export async function flush(state: BatcherState, reason: FlushReason): Promise<void> {
  const { spec, bodies } = state.takeBatch(reason, Date.now(), workflowInfo().historySize, follows);
  const isStoredOnce = spec.format === BATCH_FORMATS.storedOnce;
  if (isStoredOnce) handOver(state, spec, bodies);
  // Version 0.1.0 reads a second argument, also in the history of a closed run.
  const input = isStoredOnce ? NO_BODIES : bodies;
  const { json: outcome, bytes } = openEnvelope<InsertOutcome>(
    await untilInserted(state, (again, parking) =>
      atInstallation(state, ({ activities, named, moved }) =>
        activities.insertBatch({ ...(again || moved ? repeatedBatch(spec, parking) : spec), ...named }, input),
      ),
    ),
  );
  if (outcome.rejected > 0) await reject(state, spec, bytes);
  state.finishFlush(outcome, spec.id, Date.now());
}

const NO_BODIES = new Uint8Array(0);

/** Flushes a batch whose records are in the history of a closed run. They do not enter this run's history. */
export async function flushInherited(state: BatcherState): Promise<void> {
  const batch = state.takeInherited(Date.now());
  const { json: outcome, bytes } = openEnvelope<FlushOutcome>(
    await untilInserted(state, (_again, parking) =>
      atInstallation(state, ({ activities, named }) =>
        activities.insertInherited({ ...batch, ...(parking === undefined ? {} : { parking }), ...named }),
      ),
    ),
  );
  if (outcome.rejected > 0) await reject(state, { ...batch, id: outcome.id }, bytes);
  state.finishInherited(outcome, Date.now());
}

async function reject(state: BatcherState, spec: RejectionSpec, rejectedRecords: Uint8Array): Promise<void> {
  const { pipeline, batcher, number, id } = spec;
  const { reply, deadLetterTopic } = spec.destination;
  const destination = { deadLetterTopic, ...(reply === undefined ? {} : { reply }) };
  const unconfirmed = await untilDone(state, () =>
    atInstallation(state, ({ activities, named }) =>
      activities.rejectRecords({ pipeline, batcher, number, id, destination, ...named }, rejectedRecords),
    ),
  );
  state.postponeConfirmations(unconfirmed ?? [], Date.now());
}

/** Reads what a closed run has left. */
export function readInheritance(state: BatcherState, runId: string): Promise<Inheritance> {
  const { workflowId } = workflowInfo();
  return untilDone(state, () =>
    atInstallation(state, ({ activities }) => activities.readInheritance(workflowId, runId, { runId })),
  );
}

/**
 * Tries once to deliver the confirmations that are due. The state retries the others, with growing pauses: a requester
 * that cannot be reached must not hold up the batches of others.
 */
export async function confirm(state: BatcherState): Promise<void> {
  const due = state.takeConfirmations(Date.now());
  let undelivered: readonly Unconfirmed[];
  try {
    undelivered = await atInstallation(
      state,
      ({ activities }) => activities.confirmRequests(state.settings.pipeline, due),
      ONCE,
    );
  } catch (error) {
    log.warn('Confirmations to requesters were not delivered; they will be tried again', { error: String(error) });
    undelivered = due.map((item) => ({ ...item, attempts: item.attempts + 1 }));
  }
  state.postponeConfirmations(undelivered, Date.now());
}

/**
 * Publishes foreign signals on the dead-letter topic, beside the flushes, because that topic may be away for hours.
 * What is not published when the run continues as new is published by the next run. If the run is terminated, they are
 * only counted.
 */
export async function publishForeignSignals(state: BatcherState): Promise<void> {
  try {
    for (;;) {
      await condition(() => state.foreignSignals.length > 0);
      const { settings, foreignSignals } = state;
      const batch = {
        pipeline: settings.pipeline,
        batcher: workflowInfo().workflowId,
        deadLetterTopic: settings.destination.deadLetterTopic,
        ...state.sealed,
        signals: signalsWithin(foreignSignals, encodedLimit('foreignSignalsBytes', settings.batch)),
      };
      await untilDone(state, () => atInstallation(state, ({ activities }) => activities.publishForeignSignals(batch)));
      state.foreignSignalsPublished(foreignSignals.length);
    }
  } catch (error) {
    // Only a cancelled run gets here, and it ends.
    log.debug('Foreign signals are no longer published', { message: String(error) });
  }
}
