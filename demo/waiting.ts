import { setTimeout as sleep } from 'node:timers/promises';
import { DemoError } from './demoError.js';

const LOOK_EVERY_MS = 50;

/** How long to wait, and for what. */
export interface Wait {
  /** What is waited for, to follow "waited for": `the daemon to be ready`. */
  readonly what: string;
  readonly withinMs: number;
  /** Aborted to give up; the wait then rejects with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Repeats a look until it returns no reason to wait on.
 *
 * @param look undefined when it has happened, otherwise how things stand
 * @throws DemoError after `withinMs`
 */
export async function waitUntil(
  look: () => string | undefined | Promise<string | undefined>,
  { what, withinMs, signal }: Wait,
): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    signal.throwIfAborted();
    const state = await look();
    if (state === undefined) return;
    if (performance.now() > deadlineMs)
      throw new DemoError(`Waited ${withinMs / 1_000} s for ${what}, in vain: ${state}`);
    await sleep(LOOK_EVERY_MS);
  }
}

/**
 * Waits until a growing number reaches its target. False when it has not grown for `stalledAfterMs`.
 */
export async function waitForGrowth(
  read: () => number,
  target: number,
  { stalledAfterMs, signal }: { readonly stalledAfterMs: number; readonly signal: AbortSignal },
): Promise<boolean> {
  let last = read();
  let grownAtMs = performance.now();
  while (last < target) {
    signal.throwIfAborted();
    await sleep(LOOK_EVERY_MS);
    const now = read();
    if (now > last) grownAtMs = performance.now();
    else if (performance.now() - grownAtMs > stalledAfterMs) return false;
    last = now;
  }
  return true;
}
