import type { AckStatus, RejectionCode } from './ack.js';
import type { RecordSource } from './record.js';

/**
 * Names by which a workflow of any language speaks with the bridge, see docs/requesters.md. All of them carry JSON.
 *
 * - `openBatcher`: an activity on {@link requestsTaskQueue}. {@link OpenBatcherRequest} to {@link OpenedBatcher}.
 * - `submit`: the signal to that batcher, with a {@link RowRequest}.
 * - `ktb-confirmation`: the signal that the requester gets, with a {@link Confirmation}.
 */
export const REQUESTS = { openBatcher: 'openBatcher', submit: 'submit', confirmation: 'ktb-confirmation' } as const;

/**
 * The task queue that requesters call the bridge on. Not that of the batchers: a thousand requesters at once must not stand in
 * the way of the flushes, nor slow flushes in theirs.
 *
 * @param taskQueue the batchers'
 */
export function requestsTaskQueue(taskQueue: string): string {
  return `${taskQueue}.requests`;
}

/** Version of {@link RowRequest}. */
export const REQUEST_FORMAT = 'ktb-request/1';
/** Version of {@link Confirmation}. */
export const CONFIRMATION_FORMAT = 'ktb-confirmation/1';

/** Bounds of a request. What breaks one of the first three is no request; a longer one is rejected, with an answer. */
export const REQUEST_LIMITS = {
  idCharacters: 255,
  /** Temporal's own bound for workflow ids. */
  requesterCharacters: 1_000,
  headers: 100,
  /** Of the whole request as JSON in UTF-8: several hundred fit into one run of a batcher, and four into one batch. */
  bytes: 256 * 1024,
} as const;

/** A row that a workflow asks for. It is to the batcher what a record of Kafka is. */
export interface RowRequest {
  readonly format: typeof REQUEST_FORMAT;
  /** Names the request among all of its requester: the same id again is the same request. */
  readonly id: string;
  /** Workflow id of the requester, in the batchers' namespace: it gets the confirmation. */
  readonly requester: string;
  /** The record's value: for `format: json` the JSON text of an object. A text, so that no number loses precision. */
  readonly value: string;
  readonly key?: string | null;
  /** For columns that are taken from headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** What became of a request. A requester may get it more than once. */
export interface Confirmation {
  readonly format: typeof CONFIRMATION_FORMAT;
  /** The request's. */
  readonly id: string;
  readonly status: AckStatus;
  /** With partition, offset and epoch the identity of the row: what the columns `_topic`, `_partition`, ... have. */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: string;
  /** Null in the answer to a request that comes again after it was answered. */
  readonly batch: string | null;
  /** Only where it was rejected. */
  readonly code?: RejectionCode;
  readonly message?: string;
}

/** Asks for the batcher of a request. Where the pipeline's `shardBy` finds nothing to go by, the id decides. */
export interface OpenBatcherRequest {
  readonly pipeline: string;
  readonly id: string;
  readonly key?: string | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A batcher that runs and has room. */
export interface OpenedBatcher {
  /** Its workflow id. */
  readonly batcher: string;
}

/** What requesters call. */
export interface RequesterActivities {
  openBatcher(request: OpenBatcherRequest): Promise<OpenedBatcher>;
}

/** A request's offset, and what became of it: `inserted`, `skipped`, or the code of its rejection. */
export type RequestVerdict = readonly [offset: number, verdict: 'inserted' | 'skipped' | RejectionCode];

/** A confirmation that is not delivered yet. */
export interface Unconfirmed {
  readonly requester: string;
  readonly confirmation: Confirmation;
  /** Made in vain. */
  readonly attempts: number;
}

/** Confirmations that are kept to be tried again, of a batcher or out of one batch; beyond it the oldest are given up. */
export const UNCONFIRMED_MAX = 100;

/** Whether a signal's argument is a request of this version. Whatever a stranger may have sent in its place. */
export function isRequest(value: unknown): value is RowRequest {
  const request = (value ?? {}) as Partial<Record<keyof RowRequest, unknown>>;
  return (
    request.format === REQUEST_FORMAT &&
    isText(request.id, REQUEST_LIMITS.idCharacters) &&
    isText(request.requester, REQUEST_LIMITS.requesterCharacters) &&
    typeof request.value === 'string' &&
    (request.key === undefined || request.key === null || typeof request.key === 'string') &&
    (request.headers === undefined || areHeaders(request.headers))
  );
}

function isText(value: unknown, charactersMax: number): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= charactersMax;
}

function areHeaders(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const texts = Object.values(value);
  return texts.length <= REQUEST_LIMITS.headers && texts.every((text) => typeof text === 'string');
}

/** A request as a batcher buffers it, beside the records of Kafka. */
export interface BufferedRequest extends Omit<RowRequest, 'format'> {
  /** When the batcher accepted it, milliseconds since 1970. */
  readonly atMs: number;
  /** Set where the request was too large, and its value, key and headers are left out: the bytes it had. */
  readonly tooLargeBytes?: number;
}

/** The body of a request's chunk: JSON. Of a request that is too large only what its answer needs. */
export function encodeRequest({ id, requester, value, key, headers }: RowRequest, atMs: number): Uint8Array {
  const whole: BufferedRequest = {
    id,
    requester,
    value,
    ...(key === undefined ? {} : { key }),
    ...(headers === undefined ? {} : { headers }),
    atMs,
  };
  const body = jsonBytes(whole);
  if (body.length <= REQUEST_LIMITS.bytes) return body;
  return jsonBytes({ id, requester, value: '', atMs, tooLargeBytes: body.length } satisfies BufferedRequest);
}

function jsonBytes(value: unknown): Uint8Array {
  // Copied: in Temporal's sandbox an encoder's bytes are no `Uint8Array` of the workflow's own, and would travel as JSON.
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
}

/**
 * The source of a batcher's requests. Its topic is the batcher's workflow id, which no topic of Kafka can be called: by
 * that a request's chunk is known. Offsets count the requests of the epoch.
 */
export function requestSource(workflowId: string, epoch: string): RecordSource {
  return { topic: workflowId, partition: 0, epoch };
}

/** Whether records come from requesters inside Temporal, not from Kafka. */
export function isRequestSource({ topic }: Pick<RecordSource, 'topic'>): boolean {
  return topic.includes(':');
}
