import type { Client } from '@temporalio/client';
import { MissingKeyError } from '../codecs/payloadCipher.js';
import { within } from '../lib/within.js';
import { BATCHER } from '../protocol/batcher.js';
import { isNotFound } from './errors.js';
import { isOpen } from './openRuns.js';

/** Time for a batcher to answer. A worker has to be there for that. */
const ANSWER_MS = 4_000;

/** A batcher whose answers cannot be read here. */
export interface UnreadableBatcher {
  readonly workflowId: string;
  readonly error: MissingKeyError;
}

/**
 * Asks batchers whether this process has the key with which they encrypt. The first one that is open is enough: one
 * worker answers for all. Null if it has, if none is open, or if no worker answers in time.
 *
 * Whoever lacks the key should send nothing: a batcher that requires encryption refuses it, and its offsets are committed.
 */
export async function unreadableBatcher(
  client: Pick<Client, 'workflow'>,
  workflowIds: readonly string[],
): Promise<UnreadableBatcher | null> {
  for (const workflowId of workflowIds) {
    const handle = client.workflow.getHandle(workflowId);
    try {
      if (!isOpen((await handle.describe()).status.name)) continue;
    } catch (error) {
      if (isNotFound(error)) continue;
      throw error;
    }
    const asked = handle.query(BATCHER.queries.settings).then(
      () => null,
      (error: unknown) => (error instanceof MissingKeyError ? { workflowId, error } : null),
    );
    return within(asked, ANSWER_MS).catch(() => null);
  }
  return null;
}
