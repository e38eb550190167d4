/** Longer than the 5 s that Temporal's SDK allows an activation by default. */
const COMPUTES_MS = 6_000;

/** Keeps its thread busy by the clock, as a replay does on a slow machine, and then ends. */
export function computing(): Promise<string> {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, COMPUTES_MS);
  return Promise.resolve('done');
}
