import type { Client } from '@temporalio/client';
import type { Config } from '../../config/config.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { messageOf } from '../../lib/messageOf.js';
import { BATCHER, type BatcherStatus } from '../../protocol/batcher.js';
import { batcherWorkflowIds } from '../../protocol/batcherId.js';
import { canOnlyRead, cipherOf } from '../../temporal/encryption.js';
import { isOpen } from '../../temporal/openRuns.js';
import { unreadableBatcher, type UnreadableBatcher } from '../../temporal/unreadableBatcher.js';
import { answerOf } from '../shared/answer.js';
import { withTemporal } from '../shared/connections.js';
import { judges, type Finding } from './finding.js';

/** Batchers of a pipeline that are asked whether they require encryption, at most: all of them have the same settings. */
const ASKED_MAX = 4;
/** Time for the answer, which needs a worker. If none answers, it is not known. */
const QUERY_TIMEOUT_MS = 1_500;

/**
 * Whether the pipelines' batchers encrypt with a key that the configuration does not have, or require encryption although the
 * configuration encrypts nothing.
 */
export async function checkEncryption(config: Config): Promise<Finding[]> {
  return withTemporal(config, async (client) => {
    const found = await mapConcurrently(config.pipelines, async ({ name, layout }) => {
      const ids = batcherWorkflowIds(name, layout);
      const unreadable = await unreadableBatcher(client, ids, { closedToo: true });
      if (unreadable !== null) return judgeEncryption(name, unreadable);
      return judgeRequirement(name, await requiringBatcher(client, ids));
    });
    return found.flat();
  });
}

export function judgeEncryption(pipeline: string, { workflowId, isOpen, error }: UnreadableBatcher): Finding[] {
  const { wrong } = judges(`pipeline ${pipeline}`);
  if (isOpen)
    return [
      wrong(
        `its batcher ${workflowId} has what cannot be read: ${messageOf(error)}. What a consumer without the key sends is refused if encryption is required`,
        'give all processes the same temporal.encryption',
      ),
    ];
  return [
    wrong(
      `the last run of its batcher ${workflowId}, which has ended, has what cannot be read: ${messageOf(error)}. The next run reads it, and waits until it can`,
      'keep this key until the next run has begun, or the namespace’s retention has removed the last one',
    ),
  ];
}

/**
 * An open batcher that takes only what is encrypted, if this process has keys and encrypts nothing. Null if it does, if none
 * of the batchers asked requires it, or none answers. Without keys none could be read, see {@link unreadableBatcher}.
 */
export async function requiringBatcher(
  client: Pick<Client, 'workflow'>,
  workflowIds: readonly string[],
): Promise<string | null> {
  if (!canOnlyRead(cipherOf(client))) return null;
  const asked = await mapConcurrently(workflowIds.slice(0, ASKED_MAX), async (workflowId) => {
    const handle = client.workflow.getHandle(workflowId);
    const described = await answerOf(handle.describe(), QUERY_TIMEOUT_MS);
    if (!described.ok || !isOpen(described.value.status.name)) return null;
    const status = await answerOf(handle.query<BatcherStatus>(BATCHER.queries.status), QUERY_TIMEOUT_MS);
    return status.ok && status.value.requiresEncryption === true ? workflowId : null;
  });
  return asked.find((workflowId) => workflowId !== null) ?? null;
}

/** @param requiring null if all is well */
export function judgeRequirement(pipeline: string, requiring: string | null): Finding[] {
  if (requiring === null) return [];
  return [
    judges(`pipeline ${pipeline}`).wrong(
      `its batcher ${requiring} takes only what is encrypted, and this configuration has no temporal.encryption.active: what a worker with it does for other processes is refused, and tried again`,
      'set temporal.encryption.active, as the other processes have it; to switch encryption off, begin with required: false',
    ),
  ];
}
