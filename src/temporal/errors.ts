import { WorkflowNotFoundError } from '@temporalio/client';

/**
 * Whether Temporal has no such workflow, or no such run that could be asked, signalled or terminated any more. Takes errors of the client's
 * methods and of its raw services.
 */
export function isNotFound(error: unknown): boolean {
  return (
    error instanceof WorkflowNotFoundError ||
    (error as { code?: unknown } | null | undefined)?.code === GRPC_STATUS.notFound
  );
}

/** Status codes of gRPC that Temporal answers with, as far as one makes a difference here. */
export const GRPC_STATUS = {
  invalidArgument: 3,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  unauthenticated: 16,
} as const;
