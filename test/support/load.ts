import { setTimeout as sleep } from 'node:timers/promises';
import { atTestEnd } from './besideOthers.js';
import type { Fixture } from './fixture.js';

/** Produces records at a steady pace until stopped, or until the test is over; a hundred at a time. */
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
  const stop = async (): Promise<void> => {
    stopping.abort();
    await run;
  };
  // Before the fixture closes its producer. A failure is told by the test's own call, or as an unhandled one.
  atTestEnd(() => stop().catch(() => undefined));
  return { stop };
}
