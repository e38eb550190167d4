import type { LoadedDataConverter, Payload } from '@temporalio/common';
import { decodeFromPayloadsAtIndex } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { REFUSED_ENCODING } from '../protocol/encryption.js';

/** What an activity is begun with, as far as it is looked at here: a part of `ActivityTask.start` of the SDK's core. */
interface Start {
  readonly activityId?: string | null;
  readonly isLocal?: boolean | null;
  readonly workflowExecution?: { readonly workflowId?: string | null } | null;
  heartbeatDetails?: Payload[] | null;
}

/**
 * Puts a payload that is refused in the place of an attempt's notes that cannot be read: in an unknown encoding, no JSON, or
 * encrypted with a key that is not here. Whoever may write to the namespace can leave such notes, and Temporal keeps them
 * from attempt to attempt. The SDK reads them before an activity begins, so no attempt would ever begin.
 *
 * Arguments are not looked at. What they lack a key for has to wait.
 *
 * @param polled whatever a worker has polled: only tasks that begin an activity have notes
 */
export async function passOverUnreadableNotes(
  polled: unknown,
  converter: LoadedDataConverter,
  namespace: string,
): Promise<void> {
  const { start } = (polled as { readonly task?: { readonly start?: Start | null } }).task ?? {};
  if (!start?.heartbeatDetails?.length) return;
  const context = {
    type: 'activity' as const,
    namespace,
    ...(start.activityId ? { activityId: start.activityId } : {}),
    ...(start.workflowExecution?.workflowId ? { workflowId: start.workflowExecution.workflowId } : {}),
    isLocal: start.isLocal ?? false,
  };
  try {
    await decodeFromPayloadsAtIndex(converter, 0, start.heartbeatDetails, context);
  } catch {
    start.heartbeatDetails = [{ metadata: { encoding: Buffer.from(REFUSED_ENCODING) } }];
  }
}
