import type { AckStatus, RejectionCode } from './ack.js';
import type { RecordSource } from './record.js';

/**
 * The names by which a workflow, in any language, speaks with the bridge, see docs/requesters.md. All payloads are
 * JSON.
 *
 * - `openBatcher`: an activity on {@link requestsTaskQueue}, from {@link OpenBatcherRequest} to {@link OpenedBatcher}.
 * - `submit`: the signal to that batcher, with a {@link RowRequest}.
 * - `ktb-confirmation`: the signal that the requester gets, with a {@link Confirmation}.
 */
export const REQUESTS = { openBatcher: 'openBatcher', submit: 'submit', confirmation: 'ktb-confirmation' } as const;

/**
 * The task queue on which requesters call the bridge. It is not the batchers' queue: a thousand requesters at once must
 * not delay flushes, and slow flushes must not delay requesters.
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

/**
 * Limits of a request. Over one of the first three it is no request, but a foreign signal. Over `bytes` it is rejected,
 * with an answer.
 */
export const REQUEST_LIMITS = {
  idCharacters: 255,
  /** Temporal's own bound for workflow ids. */
  requesterCharacters: 1_000,
  headers: 100,
  /**
   * Of the whole request as JSON in UTF-8. Several hundred such requests fit into one run of a batcher, and four into
   * one batch.
   */
  bytes: 256 * 1024,
} as const;

/** A row that a workflow submits. The batcher treats it like a record of Kafka. */
export interface RowRequest {
  readonly format: typeof REQUEST_FORMAT;
  /** Names the request among all requests of its requester. The same id again is the same request. */
  readonly id: string;
  /** Workflow id of the requester, in the batchers' namespace. That workflow gets the confirmation. */
  readonly requester: string;
  /**
   * The record's value; for `format: json` the JSON text of an object. It is a text so that no number loses precision.
   */
  readonly value: string;
  readonly key?: string | null;
  /** Values for columns that are taken from headers. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** The answer to a request. A requester may get it more than once. */
export interface Confirmation {
  readonly format: typeof CONFIRMATION_FORMAT;
  /** The id of the request. */
  readonly id: string;
  readonly status: AckStatus;
  /**
   * Topic, partition, offset and epoch are the identity of the row, as in the columns `_topic`, `_partition` and so on.
   */
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly epoch: string;
  /** Null if the request had been answered before and was sent again. */
  readonly batch: string | null;
  /** Only if it was rejected. */
  readonly code?: RejectionCode;
  readonly message?: string;
}

/**
 * Asks for the batcher of a request. If the request has nothing that the pipeline's `shardBy` can use, its id decides.
 */
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

/** The activities that requesters call. */
export interface RequesterActivities {
  openBatcher(request: OpenBatcherRequest): Promise<OpenedBatcher>;
}

/** A request's offset, and what became of it: `inserted`, `skipped`, or the code of its rejection. */
export type RequestVerdict = readonly [offset: number, verdict: 'inserted' | 'skipped' | RejectionCode];

/** A confirmation that is not delivered yet. */
export interface Unconfirmed {
  readonly requester: string;
  readonly confirmation: Confirmation;
  /** Attempts so far, none successful. */
  readonly attempts: number;
}

/**
 * Signals a requester. `gone`: there is no such workflow, or it has ended, so no later try can succeed. If it rejects,
 * a later try may succeed.
 */
export type DeliverConfirmation = (
  requester: string,
  confirmation: Confirmation,
) => Promise<Exclude<DeliveryOutcome, 'failed'>>;

/** What becomes of one try to deliver a confirmation. After `failed` it is tried again. */
export const DELIVERY_OUTCOMES = ['delivered', 'gone', 'failed'] as const;
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number];

/**
 * Undelivered confirmations that a batcher, or the result of one batch, keeps at most. Beyond it the oldest are given
 * up.
 */
export const UNCONFIRMED_MAX = 100;

/** Whether a signal's argument is a request of this version. It may be anything. */
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

/**
 * Whether the texts of a request are whole characters. JSON can have half of one (an unpaired surrogate), which no bytes
 * and no signal's text can hold: it would silently become another character.
 */
export function hasWholeCharacters({ id, value = '', key, headers = {} }: Partial<RowRequest>): boolean {
  return ![id ?? '', value, key ?? '', ...Object.entries(headers).flat()].some((text) => HALF_CHARACTER.test(text));
}

/** With the flag `u`, halves of whole characters do not count. */
const HALF_CHARACTER = /\p{Surrogate}/u;

/** A request as a batcher buffers it, beside the records of Kafka. */
export interface BufferedRequest extends Omit<RowRequest, 'format'> {
  /** When the batcher accepted it, milliseconds since 1970. */
  readonly atMs: number;
  /** Set if the request was too large: its size in bytes. Its value, key and headers are left out then. */
  readonly tooLargeBytes?: number;
}

/**
 * The body of a request's chunk, as JSON. If the request is too large, only what its answer needs.
 *
 * @param bytesMax from where on it is too large
 */
export function encodeRequest(
  { id, requester, value, key, headers }: RowRequest,
  atMs: number,
  bytesMax: number = REQUEST_LIMITS.bytes,
): Uint8Array {
  const whole: BufferedRequest = {
    id,
    requester,
    value,
    ...(key === undefined ? {} : { key }),
    ...(headers === undefined ? {} : { headers }),
    atMs,
  };
  const body = encodedJson(whole);
  if (body.length <= bytesMax) return body;
  return encodedJson({ id, requester, value: '', atMs, tooLargeBytes: body.length } satisfies BufferedRequest);
}

function encodedJson(value: unknown): Uint8Array {
  // Copied, because in Temporal's sandbox the encoder's result is not an instance of the workflow's own `Uint8Array`,
  // and would travel as JSON.
  return new Uint8Array(new TextEncoder().encode(JSON.stringify(value)));
}

/**
 * The source of a batcher's requests. Its topic is the batcher's workflow id. No topic of Kafka can have such a name,
 * so a request's chunk is recognized by it. Offsets count the requests of the epoch.
 */
export function requestSource(workflowId: string, epoch: string): RecordSource {
  return { topic: workflowId, partition: 0, epoch };
}

/** Whether records come from requesters in Temporal, not from Kafka. */
export function isRequestSource({ topic }: Pick<RecordSource, 'topic'>): boolean {
  return topic.includes(':');
}
