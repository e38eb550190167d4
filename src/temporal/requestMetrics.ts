import { isGrpcServiceError, type WorkflowClientInterceptor } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { isNotFound } from './errors.js';
import type { Metrics } from '../telemetry/metrics.js';

/** How gRPC names the codes that mean something here; all others are `other`. */
const CODES: ReadonlyMap<number, RequestCode> = new Map([
  // A native connection calls a deadline that has passed CANCELLED ("Timeout expired").
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

/** What became of a request to Temporal, after the connection's own retries. */
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

/** Requests of the daemon's own client. What a worker's core asks is not among them. */
export const REQUEST_OPERATIONS = ['signal_with_start', 'start', 'query', 'describe'] as const;
type RequestOperation = (typeof REQUEST_OPERATIONS)[number];

/** Counts a request by what becomes of it, which is also what it gives back. */
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

/** Counts what is asked by the client's own methods. */
export function countRequests(counted: CountRequest): WorkflowClientInterceptor {
  return {
    startWithDetails: (input, next) => counted('start', next(input)),
    query: (input, next) => counted('query', next(input)),
    describe: (input, next) => counted('describe', next(input)),
  };
}

/** Total: every error has a code. */
export function requestCode(error: unknown): RequestCode {
  if (isNotFound(error)) return 'not_found';
  if (error instanceof WorkflowExecutionAlreadyStartedError) return 'already_exists';
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  return isGrpcServiceError(cause) ? (CODES.get(cause.code) ?? 'other') : 'other';
}
