import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { overlap, type PlannedFault } from './plan.js';

/** How the faults of a plan are done. */
export interface FaultsOptions {
  /** Does one, and rejects soon after its signal is aborted. */
  readonly act: (planned: PlannedFault, signal: AbortSignal) => Promise<void>;
  /** After so many faults no other begins until those are over, and `quiet` is, too. */
  readonly together: number;
  readonly quiet: (signal: AbortSignal) => Promise<void>;
  /** No fault begins later. */
  readonly forMs: number;
}

/**
 * Does each fault at its time, but one after the other to the same thing. The time of the plan stands still from the last
 * fault of a group until the quiet time after it is over. If a fault fails, no other begins, and those that are at work are
 * told to stop.
 *
 * @throws Error of the first that failed, when none is at work any more
 */
export async function doFaults(
  plan: readonly PlannedFault[],
  { act, together, quiet, forMs }: FaultsOptions,
): Promise<void> {
  const begunAtMs = Date.now();
  const failed = new AbortController();
  const { signal } = failed;
  // Each fault listens to it.
  setMaxListeners(0, signal);
  let lostMs = 0;
  const doOne = async (planned: PlannedFault, before: Promise<unknown>): Promise<void> => {
    const atMs = begunAtMs + lostMs + planned.atMs;
    if (atMs >= begunAtMs + forMs) return;
    try {
      await sleep(atMs - Date.now(), undefined, { signal });
      await before;
      if (!signal.aborted) await act(planned, signal);
    } catch (error) {
      failed.abort(error);
    }
  };
  for (let from = 0; from < plan.length && Date.now() - begunAtMs < forMs; from += together) {
    const group = plan.slice(from, from + together);
    const all: { readonly planned: PlannedFault; readonly done: Promise<void> }[] = [];
    for (const planned of group) {
      const before = all.filter((other) => overlap(other.planned.fault, planned.fault)).map(({ done }) => done);
      all.push({ planned, done: doOne(planned, Promise.all(before)) });
    }
    await Promise.all(all.map(({ done }) => done));
    signal.throwIfAborted();
    await quiet(signal);
    lostMs = Date.now() - begunAtMs - (group.at(-1)?.atMs ?? 0);
  }
}
