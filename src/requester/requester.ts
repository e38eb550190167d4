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
  hasWholeCharacters,
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

/** Where a row goes, and how long to wait for its confirmation. */
export interface SubmitRowOptions {
  /** The bridge's pipeline. */
  readonly pipeline: string;
  /**
   * Names the row among all rows of this workflow. If it is submitted again under the same id within 24 hours, for
   * example by a retry of the workflow, it is inserted once. At most 255 characters. Default: a new id for each call.
   */
  readonly id?: string;
  /** The record's key. Rows with the same key keep their order. Default: none. */
  readonly key?: string | null;
  /** The record's headers, for columns that are taken from them. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The time for everything: finding the batcher, the signal, the confirmation. In milliseconds. Default: 120,000. */
  readonly timeoutMs?: number;
  /** The bridge's `temporal.taskQueue`. Default: kafka-temporal-bridge. */
  readonly taskQueue?: string;
}

/** Types of the `ApplicationFailure` that {@link submitRow} throws. */
export const SUBMIT_FAILURES = {
  /**
   * The row was not inserted, and a retry does not help. The first of the failure's details is the
   * {@link Confirmation}.
   */
  rejected: 'RowRejected',
  /**
   * The bridge has the row, or may have it, and will insert it. If it is submitted again under the same id, it is still
   * inserted once.
   */
  timedOut: 'RowConfirmationTimedOut',
  /** The bridge does not have the row. */
  notSubmitted: 'RowNotSubmitted',
} as const;

const TIMEOUT_DEFAULT_MS = 2 * 60 * 1000;
const TASK_QUEUE_DEFAULT = 'kafka-temporal-bridge';
/** The wait between two attempts to reach a batcher that has ended since it was found. */
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;

const confirmationSignal = defineSignal<[unknown]>(REQUESTS.confirmation);
const submitSignal = defineSignal<[RowRequest]>(REQUESTS.submit);

/** The confirmations that this workflow waits for, by request id. Each workflow has its own copy of this variable. */
const awaited = new Map<string, Confirmation | null>();

/**
 * Submits a row to the bridge from workflow code, and waits until it can be queried.
 *
 * @param row an object whose fields go to the columns of the same names. Or the record's value as text: for pipelines
 *   of another format, and for numbers that JavaScript cannot hold
 * @returns the confirmation: `inserted`, or `skipped` if the pipeline skips such records
 * @throws ApplicationFailure of one of the types in {@link SUBMIT_FAILURES}. CancelledFailure if the workflow is
 *   cancelled; the bridge is not told of that
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
    // Otherwise it is for another call, or the second copy of a confirmation.
    if (isConfirmation(confirmation) && awaited.has(confirmation.id)) awaited.set(confirmation.id, confirmation);
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

/** Anybody can send this signal, with anything in it. An error in its handler would stop the workflow. */
function isConfirmation(value: unknown): value is Confirmation {
  const { id, status } = (value ?? {}) as Partial<Record<keyof Confirmation, unknown>>;
  return typeof id === 'string' && typeof status === 'string';
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
  if (!hasWholeCharacters(request)) {
    // The id may be what has it, and a failure's message could not hold it either.
    const message = 'a row has half of a character (an unpaired surrogate) in its id, key, headers or text';
    throw failure('notSubmitted', message, FOR_GOOD);
  }
  // Temporal would end this workflow for a signal that is far too large. The bridge would reject a smaller one that is
  // still too large.
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

/** Tries until the batcher has the request. A signal that fails was not delivered, so nothing is submitted twice. */
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
      // The activity was retried until the deadline, or a retry does not help.
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

/** A retry does not help. */
const FOR_GOOD = { nonRetryable: true };

function failure(kind: 'timedOut' | 'notSubmitted', message: string, options = {}): ApplicationFailure {
  return ApplicationFailure.create({ type: SUBMIT_FAILURES[kind], message, ...options });
}
