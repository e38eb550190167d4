import { condition } from '@temporalio/workflow';

/** Longer than the 5 s that Temporal's SDK allows an activation by default. */
const COMPUTES_MS = 6_000;

/** Keeps its thread busy by the clock, as a replay does on a slow machine, and then ends. */
export function computing(): Promise<string> {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, COMPUTES_MS);
  return Promise.resolve('done');
}

/** Waits for ever. One of its promises is rejected, and nothing handles that. */
export async function rejecting(): Promise<void> {
  void Promise.reject(new Error('nobody handles this'));
  await condition(() => false);
}

/** Waits for ever. */
export async function waiting(): Promise<void> {
  await condition(() => false);
}
