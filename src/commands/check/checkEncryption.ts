import type { Config } from '../../config/config.js';
import { mapConcurrently } from '../../lib/mapConcurrently.js';
import { messageOf } from '../../lib/messageOf.js';
import { batcherWorkflowIds } from '../../protocol/batcherId.js';
import { unreadableBatcher, type UnreadableBatcher } from '../../temporal/unreadableBatcher.js';
import { withTemporal } from '../shared/connections.js';
import { judges, type Finding } from './finding.js';

/** Whether the pipelines' batchers encrypt with a key that the configuration does not have. */
export async function checkEncryption(config: Config): Promise<Finding[]> {
  return withTemporal(config, async (client) => {
    const found = await mapConcurrently(config.pipelines, async ({ name, layout }) => {
      return judgeEncryption(name, await unreadableBatcher(client, batcherWorkflowIds(name, layout)));
    });
    return found.flat();
  });
}

/** @param unreadable null if all is well */
export function judgeEncryption(pipeline: string, unreadable: UnreadableBatcher | null): Finding[] {
  if (unreadable === null) return [];
  const { workflowId, error } = unreadable;
  return [
    judges(`pipeline ${pipeline}`).wrong(
      `its batcher ${workflowId} has what cannot be read: ${messageOf(error)}. What a consumer without the key sends is refused if encryption is required`,
      'give all processes the same temporal.encryption',
    ),
  ];
}
