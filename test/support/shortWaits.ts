import { syncBuiltinESMExports } from 'node:module';
import timers from 'node:timers/promises';
import { afterEach, beforeEach } from 'vitest';

/** What is shorter costs little time. To make it shorter still would only take processor time. */
const SHORTENED_FROM_MS = 100;

/**
 * Makes the pauses and intervals of a file's tests, and of what they test, shorter by a factor: what asks again each second does so in a
 * moment. Clocks tell the real time, and bounds that are compared with them stay as they are.
 *
 * @returns makes those of the present test as long as ever
 */
export function useShortWaits(factor: number): () => void {
  const { setInterval } = globalThis;
  const { setTimeout: pause } = timers;
  const shortened = (ms = 0): number => (ms < SHORTENED_FROM_MS ? ms : ms / factor);
  beforeEach(() => {
    globalThis.setInterval = (act: () => void, ms?: number) => setInterval(act, shortened(ms));
    timers.setTimeout = (ms, value, options) => pause(shortened(ms), value, options);
    syncBuiltinESMExports();
  });
  const restore = (): void => {
    globalThis.setInterval = setInterval;
    timers.setTimeout = pause;
    syncBuiltinESMExports();
  };
  afterEach(restore);
  return restore;
}
