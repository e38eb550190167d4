import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { overlap, type PlannedFault } from './plan.js';

/**
 * Does each fault at its time, but one after the other to the same thing. If one fails, no other begins, and those that
 * are at work are told to stop.
 *
 * @param act does one, and rejects soon after its signal is aborted
 * @throws Error of the first that failed, when none is at work any more
 */
export async function doFaults(
  plan: readonly PlannedFault[],
  act: (planned: PlannedFault, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const begunAtMs = Date.now();
  const failed = new AbortController();
  const { signal } = failed;
  // Each fault listens to it.
  setMaxListeners(0, signal);
  const doOne = async (planned: PlannedFault, before: Promise<unknown>): Promise<void> => {
    try {
      await sleep(begunAtMs + planned.atMs - Date.now(), undefined, { signal });
      await before;
      if (!signal.aborted) await act(planned, signal);
    } catch (error) {
      failed.abort(error);
    }
  };
  const all: { readonly planned: PlannedFault; readonly done: Promise<void> }[] = [];
  for (const planned of plan) {
    const before = all.filter((other) => overlap(other.planned.fault, planned.fault)).map(({ done }) => done);
    all.push({ planned, done: doOne(planned, Promise.all(before)) });
  }
  await Promise.all(all.map(({ done }) => done));
  signal.throwIfAborted();
}
