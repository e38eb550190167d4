import { setTimeout as sleep } from 'node:timers/promises';
import type { Fixture } from './fixture.js';

/** Produces records at a steady pace until stopped; a hundred at a time. */
export function steadyLoad(fixture: Fixture, recordsPerSecond: number): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const run = (async () => {
    const startedAt = Date.now();
    for (let batches = 1; !stopping.signal.aborted; batches++) {
      await fixture.produce(100);
      const dueAt = startedAt + (batches * 100_000) / recordsPerSecond;
      await sleep(Math.max(0, dueAt - Date.now()));
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await run;
    },
  };
}
