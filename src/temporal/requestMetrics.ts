import { isGrpcServiceError, type WorkflowClientInterceptor } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { isNotFound } from './errors.js';
import type { Metrics } from '../telemetry/metrics.js';

/** The gRPC status codes that have a name in the metric. All others are `other`. */
const CODES: ReadonlyMap<number, RequestCode> = new Map([
  // For a deadline that has passed, a native connection says CANCELLED ("Timeout expired").
  [1, 'timeout'],
  [4, 'timeout'],
  [3, 'invalid_argument'],
  [5, 'not_found'],
  [6, 'already_exists'],
  [7, 'denied'],
  [16, 'denied'],
  [8, 'resource_exhausted'],
  [14, 'unavailable'],
]);

/** The result of a request to Temporal, after the connection's own retries. */
export const REQUEST_CODES = [
  'ok',
  'timeout',
  'invalid_argument',
  'not_found',
  'already_exists',
  'denied',
  'resource_exhausted',
  'unavailable',
  'other',
] as const;
export type RequestCode = (typeof REQUEST_CODES)[number];

/** Requests of the daemon's own client. The worker's own requests are not counted. */
export const REQUEST_OPERATIONS = ['signal_with_start', 'start', 'query', 'describe'] as const;
type RequestOperation = (typeof REQUEST_OPERATIONS)[number];

/** Counts a request by its result, and gives that result back. */
export type CountRequest = <T>(operation: RequestOperation, request: Promise<T>) => Promise<T>;

export function requestCounter({ temporalRequests }: Pick<Metrics, 'temporalRequests'>): CountRequest {
  return async (operation, request) => {
    try {
      const answer = await request;
      temporalRequests.inc({ operation, code: 'ok' });
      return answer;
    } catch (error) {
      temporalRequests.inc({ operation, code: requestCode(error) });
      throw error;
    }
  };
}

/** Counts the requests that the client's own methods make. */
export function countRequests(counted: CountRequest): WorkflowClientInterceptor {
  return {
    startWithDetails: (input, next) => counted('start', next(input)),
    query: (input, next) => counted('query', next(input)),
    describe: (input, next) => counted('describe', next(input)),
  };
}

/** Every error has a code. */
export function requestCode(error: unknown): RequestCode {
  if (isNotFound(error)) return 'not_found';
  if (error instanceof WorkflowExecutionAlreadyStartedError) return 'already_exists';
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  return isGrpcServiceError(cause) ? (CODES.get(cause.code) ?? 'other') : 'other';
}
