import { within } from '../lib/within.js';
import { messageOf } from '../lib/messageOf.js';

/**
 * Ends one part of the daemon. Never rejects, and ends in time. A part that fails to end, or hangs, does not stop the
 * others from ending.
 *
 * @param what names the part in the log
 * @param waitMs after this time the part is left as it is
 */
export async function endInAnyCase(
  logger: { error(fields: object, message: string): void },
  what: string,
  waitMs: number,
  end: () => Promise<unknown>,
): Promise<void> {
  try {
    await within(end(), waitMs);
  } catch (error) {
    logger.error({ error: messageOf(error) }, `The ${what} has not ended in order`);
  }
}
