import type { WorkflowClientInterceptor } from '@temporalio/client';
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { grpcErrorOf, isNotFound } from './errors.js';
import { GRPC_STATUS } from './grpcStatus.js';
import type { Metrics } from '../telemetry/metrics.js';

/** The gRPC status codes that have a name in the metric. All others are `other`. */
const CODES: ReadonlyMap<number, RequestCode> = new Map([
  // For a deadline that has passed, a native connection says CANCELLED ("Timeout expired").
  [GRPC_STATUS.cancelled, 'timeout'],
  [GRPC_STATUS.deadlineExceeded, 'timeout'],
  [GRPC_STATUS.invalidArgument, 'invalid_argument'],
  [GRPC_STATUS.notFound, 'not_found'],
  [GRPC_STATUS.alreadyExists, 'already_exists'],
  [GRPC_STATUS.permissionDenied, 'denied'],
  [GRPC_STATUS.unauthenticated, 'denied'],
  [GRPC_STATUS.resourceExhausted, 'resource_exhausted'],
  [GRPC_STATUS.unavailable, 'unavailable'],
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
  const grpcError = grpcErrorOf(error);
  return grpcError === undefined ? 'other' : (CODES.get(grpcError.code) ?? 'other');
}
