import {
  ActivityFailure,
  ApplicationFailure,
  condition,
  defineSignal,
  getExternalWorkflowHandle,
  isCancellation,
  proxyActivities,
  setHandler,
  sleep,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import {
  isRequest,
  REQUEST_FORMAT,
  REQUEST_LIMITS,
  REQUESTS,
  requestsTaskQueue,
  type Confirmation,
  type RequesterActivities,
  type RowRequest,
} from '../protocol/request.js';

export type { Confirmation } from '../protocol/request.js';

/** Where a row goes, and how long its confirmation is waited for. */
export interface SubmitRowOptions {
  /** The bridge's pipeline. */
  readonly pipeline: string;
  /**
   * Names the row among all of this workflow's: submitted again under the same id, by a retry of the workflow for instance, it
   * is inserted once, for 24 hours. 255 characters at most. Default: a new one for each call.
   */
  readonly id?: string;
  /** The record's key, by which rows are kept in order. Default: none. */
  readonly key?: string | null;
  /** The record's headers, for columns that are taken from them. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For all of it: finding the batcher, the signal, the confirmation. Milliseconds; default 120,000. */
  readonly timeoutMs?: number;
  /** The bridge's `temporal.taskQueue`. Default: kafka-temporal-bridge. */
  readonly taskQueue?: string;
}

/** Types of the `ApplicationFailure` that {@link submitRow} throws. */
export const SUBMIT_FAILURES = {
  /** There is no row, and trying again does not help. The first of the failure's details is the {@link Confirmation}. */
  rejected: 'RowRejected',
  /** The bridge has the row, or may have it, and inserts it sooner or later. Submitted again under the same id it comes once. */
  timedOut: 'RowConfirmationTimedOut',
  /** The bridge does not have the row. */
  notSubmitted: 'RowNotSubmitted',
} as const;

const TIMEOUT_DEFAULT_MS = 2 * 60 * 1000;
const TASK_QUEUE_DEFAULT = 'kafka-temporal-bridge';
/** Between two tries to reach a batcher that has ended since it was found. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;

const confirmationSignal = defineSignal<[Confirmation]>(REQUESTS.confirmation);
const submitSignal = defineSignal<[RowRequest]>(REQUESTS.submit);

/** What this workflow waits for, by the requests' ids. A workflow has these variables to itself. */
const awaited = new Map<string, Confirmation | null>();

/**
 * Submits a row to the bridge from workflow code, and waits until it can be queried.
 *
 * @param row an object, whose fields go to the columns of their names; or the record's value as text, for pipelines of
 *   another format, and for numbers that JavaScript cannot hold
 * @returns what became of it: `inserted`, or `skipped` where the pipeline skips such records
 * @throws ApplicationFailure of one of the types in {@link SUBMIT_FAILURES}; CancelledFailure where the workflow is cancelled,
 *   which the bridge is not told
 */
export async function submitRow(
  row: Readonly<Record<string, unknown>> | string,
  options: SubmitRowOptions,
): Promise<Confirmation> {
  const request = toRequest(row, options);
  const { id } = request;
  if (awaited.has(id)) throw failure('notSubmitted', `a row of the id ${id} is being submitted already`);
  const deadlineMs = Date.now() + (options.timeoutMs ?? TIMEOUT_DEFAULT_MS);
  awaited.set(id, null);
  setHandler(confirmationSignal, (confirmation) => {
    // Another one's, or a second copy of one that has come.
    if (awaited.has(confirmation.id)) awaited.set(confirmation.id, confirmation);
  });
  try {
    await submit(request, options, deadlineMs);
    await condition(() => awaited.get(id) !== null, Math.max(1, deadlineMs - Date.now()));
    const confirmation = awaited.get(id) ?? null;
    if (confirmation === null) {
      throw failure('timedOut', `no confirmation of row ${id} has come in time; the bridge has it and goes on`);
    }
    if (confirmation.status === 'rejected') throw rejected(confirmation);
    return confirmation;
  } finally {
    awaited.delete(id);
  }
}

function toRequest(row: Readonly<Record<string, unknown>> | string, options: SubmitRowOptions): RowRequest {
  const { id = uuid4(), key, headers } = options;
  const request: RowRequest = {
    format: REQUEST_FORMAT,
    id,
    requester: workflowInfo().workflowId,
    value: typeof row === 'string' ? row : toJson(row, id),
    ...(key === undefined ? {} : { key }),
    ...(headers === undefined ? {} : { headers }),
  };
  if (!isRequest(request)) {
    const message = `row ${id.slice(0, REQUEST_LIMITS.idCharacters)} has an id, a key or headers that a request may not have`;
    throw failure('notSubmitted', message, FOR_GOOD);
  }
  // Temporal would end this workflow for a signal that is much too large; the bridge rejects one that is too large.
  const bytes = new TextEncoder().encode(JSON.stringify(request)).length;
  if (bytes > REQUEST_LIMITS.bytes) {
    throw failure(
      'notSubmitted',
      `row ${id} has ${bytes} bytes as JSON; ${REQUEST_LIMITS.bytes} is the most`,
      FOR_GOOD,
    );
  }
  return request;
}

function toJson(row: Readonly<Record<string, unknown>>, id: string): string {
  try {
    return JSON.stringify(row);
  } catch {
    // The error may quote the row.
    throw failure('notSubmitted', `row ${id} cannot be written as JSON: give it as text`, FOR_GOOD);
  }
}

/** Until the batcher has it. A signal that fails was not delivered, so that nothing is submitted twice. */
async function submit(request: RowRequest, options: SubmitRowOptions, deadlineMs: number): Promise<void> {
  const { id, key, headers } = request;
  const { pipeline, taskQueue = TASK_QUEUE_DEFAULT } = options;
  for (let delayMs = RETRY_MIN_MS; ; delayMs = Math.min(delayMs * 2, RETRY_MAX_MS)) {
    try {
      const { openBatcher } = proxyActivities<RequesterActivities>({
        taskQueue: requestsTaskQueue(taskQueue),
        startToCloseTimeout: '30 seconds',
        scheduleToCloseTimeout: Math.max(1, deadlineMs - Date.now()),
        retry: { initialInterval: '250 milliseconds', maximumInterval: '5 seconds' },
      });
      const { batcher } = await openBatcher({
        pipeline,
        id,
        ...(key === undefined ? {} : { key }),
        ...(headers === undefined ? {} : { headers }),
      });
      await getExternalWorkflowHandle(batcher).signal(submitSignal, request);
      return;
    } catch (error) {
      if (isCancellation(error)) throw error;
      // The activity was repeated for all the time there is, or repeating does not help.
      if (error instanceof ActivityFailure || Date.now() + delayMs >= deadlineMs) {
        throw failure('notSubmitted', `row ${id} was not submitted: ${reasonOf(error)}`);
      }
      await sleep(delayMs);
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

function rejected(confirmation: Confirmation): ApplicationFailure {
  const { id, code = '', message = '' } = confirmation;
  return ApplicationFailure.create({
    type: SUBMIT_FAILURES.rejected,
    message: `row ${id} was rejected: ${code}: ${message}`,
    nonRetryable: true,
    details: [confirmation],
  });
}

/** Trying again does not help. */
const FOR_GOOD = { nonRetryable: true };

function failure(kind: 'timedOut' | 'notSubmitted', message: string, options = {}): ApplicationFailure {
  return ApplicationFailure.create({ type: SUBMIT_FAILURES[kind], message, ...options });
}
