import { messageOf } from './messageOf.js';

/**
 * Ends one part of the daemon. Never rejects: one that fails to end keeps no other from ending.
 *
 * @param what names the part in the log
 */
export async function endInAnyCase(
  logger: { error(fields: object, message: string): void },
  what: string,
  end: () => Promise<unknown>,
): Promise<void> {
  try {
    await end();
  } catch (error) {
    logger.error({ error: messageOf(error) }, `The ${what} has not ended in order`);
  }
}
