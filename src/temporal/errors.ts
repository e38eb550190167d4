import { WorkflowNotFoundError } from '@temporalio/client';
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
