import { isGrpcServiceError, WorkflowNotFoundError } from '@temporalio/client';
import { GRPC_STATUS } from './grpcStatus.js';

/**
 * Whether the error says that Temporal has no such workflow, or no run of it that can still be asked, signalled or
 * terminated. For errors of the client's methods and of its raw services.
 */
export function isNotFound(error: unknown): boolean {
  return (
    error instanceof WorkflowNotFoundError ||
    (error as { code?: unknown } | null | undefined)?.code === GRPC_STATUS.notFound
  );
}

/** What gRPC says of a failed request. */
interface GrpcError {
  readonly code: number;
  readonly details: string;
  readonly message: string;
}

/** The gRPC error that the client's methods have thrown, or have wrapped in another one. Undefined if there is none. */
export function grpcErrorOf(error: unknown): GrpcError | undefined {
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  return isGrpcServiceError(cause) ? cause : undefined;
}
