import { setTimeout as sleep } from 'node:timers/promises';

const FIRST_PAUSE_MS = 25;

/**
 * Repeats a check until it no longer throws, for a bounded time; then throws what it last threw. The longer it waits the less often it
 * looks: the checks of those who wait take processor time from what they wait for.
 *
 * @param pauseMaxMs between two checks
 */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 60_000, pauseMaxMs = 250): Promise<T> {
  const startedAt = Date.now();
  for (;;) {
    try {
      return await check();
    } catch (error) {
      const waitedMs = Date.now() - startedAt;
      if (waitedMs >= timeoutMs) throw error;
      await sleep(Math.min(pauseMaxMs, FIRST_PAUSE_MS + waitedMs / 5));
    }
  }
}
