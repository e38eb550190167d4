import { ApplicationFailure, proxyActivities } from '@temporalio/workflow';
import type { FlushActivities } from '../../src/protocol/flushActivities.js';
import { SUBMIT_FAILURES, submitRow, type Confirmation, type SubmitRowOptions } from '../../src/requester/requester.js';

type Row = Readonly<Record<string, unknown>> | string;

/** Submits a row. */
export function requester(row: Row, options: SubmitRowOptions): Promise<Confirmation> {
  return submitRow(row, options);
}

/** Submits a row, again and again under the same id until it is confirmed. The number of times it took. */
export async function patientRequester(row: Row, options: SubmitRowOptions): Promise<number> {
  for (let times = 1; ; times++) {
    try {
      await submitRow(row, options);
      return times;
    } catch (error) {
      if (!(error instanceof ApplicationFailure) || error.type !== SUBMIT_FAILURES.timedOut) throw error;
    }
  }
}

/** Submits rows at the same time; what became of each. */
export async function busyRequester(rows: readonly Row[], options: SubmitRowOptions): Promise<string[]> {
  const submitted = rows.map((row, index) => submitRow(row, { ...options, id: `row-${index}` }));
  const outcomes = await Promise.allSettled(submitted);
  return outcomes.map((outcome) =>
    outcome.status === 'fulfilled' ? outcome.value.status : String((outcome.reason as ApplicationFailure).type),
  );
}

/** Schedules an activity of ktb with arguments of its own, as anybody can who may start workflows. */
export async function stranger(taskQueue: string): Promise<void> {
  const { confirmRequests } = proxyActivities<FlushActivities>({
    taskQueue,
    startToCloseTimeout: '20 seconds',
    retry: { maximumAttempts: 2 },
  });
  await confirmRequests('orders', []);
}
