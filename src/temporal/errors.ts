import { WorkflowNotFoundError } from '@temporalio/client';

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

/** The gRPC status codes of Temporal that make a difference here. */
export const GRPC_STATUS = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  unauthenticated: 16,
} as const;
