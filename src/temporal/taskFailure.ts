import type { Client } from '@temporalio/client';
import { failureMessage } from './encryption.js';

/** Events per request, counted back from the last one. Each may carry a chunk, and the answer has to stay below gRPC's limits. */
const PAGE_EVENTS = 20;
/** Enough for the signals that Temporal gathers during a task: a hundred, by its default. */
const PAGES_MAX = 8;

/** `WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND`. The event of such a failure has no message. */
const FORCE_CLOSED = 17;

const FORCE_CLOSED_TEXT =
  'more signals came while a worker had it than Temporal gathers (2 MiB, or 100 of them). It goes on by itself, once fewer come';

/**
 * Why a workflow task failed that is repeated, for a person. Later attempts add no events. So the failure is the last
 * event of its run's history, except for signals that were written since.
 *
 * @param request makes a request within its deadline
 */
export async function taskFailureOf(
  client: Client,
  workflowId: string,
  request: <T>(run: () => Promise<T>) => Promise<T>,
): Promise<string> {
  let nextPageToken: Uint8Array = new Uint8Array(0);
  for (let pages = 0; pages < PAGES_MAX; pages++) {
    const page = await request(() =>
      client.workflowService.getWorkflowExecutionHistoryReverse({
        namespace: client.options.namespace,
        execution: { workflowId },
        maximumPageSize: PAGE_EVENTS,
        nextPageToken,
      }),
    );
    for (const event of page.history?.events ?? []) {
      if (event.workflowTaskTimedOutEventAttributes) return 'it times out';
      const failed = event.workflowTaskFailedEventAttributes;
      if (failed?.failure) return failureMessage(client, failed.failure);
      if (failed)
        return Number(failed.cause) === FORCE_CLOSED ? FORCE_CLOSED_TEXT : `Temporal failed it (cause ${failed.cause})`;
    }
    ({ nextPageToken } = page);
    if (nextPageToken.length === 0) break;
  }
  return 'the end of its history does not say why';
}
