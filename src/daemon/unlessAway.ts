import { messageOf } from '../lib/messageOf.js';
import { unlessAborted } from '../lib/unlessAborted.js';
import type { Logger } from '../telemetry/logging.js';

/**
 * Does a check that only warns. It must not stop the start: what it asks may be away again since the first check. Nor
 * must it hold up the end of the process while that does not answer.
 *
 * @param ending aborted when the process ends
 * @throws the signal's reason as soon as it is aborted
 */
export async function unlessAway(
  logger: Pick<Logger, 'debug'>,
  ending: AbortSignal,
  warn: () => Promise<void>,
): Promise<void> {
  try {
    ending.throwIfAborted();
    await unlessAborted(ending, warn());
  } catch (error) {
    ending.throwIfAborted();
    logger.debug({ error: messageOf(error) }, 'What there is to warn of could not be found out');
  }
}
