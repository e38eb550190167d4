import { AsyncLocalStorage } from 'node:async_hooks';
import { it, onTestFinished } from 'vitest';
import type { AtEnd } from './daemon.js';

const ends = new AsyncLocalStorage<AtEnd>();

/** Does something at the end of the test that calls it, also of one of {@link itBesideOthers}. */
export const atTestEnd: AtEnd = (end) => (ends.getStore() ?? onTestFinished)(end);

/**
 * A test that runs at the same time as its neighbours in the file, as many as `maxConcurrency` says: for one that mostly waits, and has
 * all that it uses to itself. Vitest does not know which of them calls its own `onTestFinished`.
 */
export function itBesideOthers(name: string, run: () => Promise<void>, timeoutMs?: number): void {
  it.concurrent(name, (context) => ends.run((end) => context.onTestFinished(end), run), timeoutMs);
}
