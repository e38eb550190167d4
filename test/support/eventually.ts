import { setTimeout as sleep } from 'node:timers/promises';

/** Repeats a check until it no longer throws, for a bounded time; then throws what it last threw. */
export async function eventually<T>(check: () => T | Promise<T>, timeoutMs = 60_000, intervalMs = 100): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() >= deadline) throw error;
      await sleep(intervalMs);
    }
  }
}
