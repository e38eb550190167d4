import type { SlotPermit } from '@temporalio/worker';
import { expect, it, onTestFinished, vi } from 'vitest';
import { WorkflowSlots } from '../../../src/daemon/workflowSlots.js';

const REPLAY = { isSticky: false };
const KNOWN = { isSticky: true };
const never = new AbortController().signal;

function slots() {
  let nowMs = 0;
  const supplier = new WorkflowSlots(() => nowMs);
  /** The slots that are given at once, of so many that are asked for. */
  const ask = async (of: { isSticky: boolean }, count: number, signal = never): Promise<SlotPermit[]> => {
    const given: SlotPermit[] = [];
    for (let index = 0; index < count; index++)
      void supplier.reserveSlot(of, signal).then(
        (permit) => given.push(permit),
        () => undefined,
      );
    await new Promise((resolve) => setImmediate(resolve));
    return given;
  };
  /** The slots that others get, once a task has taken so long. */
  const take = (permit: SlotPermit, tookMs: number): void => {
    supplier.markSlotUsed({ permit });
    nowMs += tookMs;
    supplier.releaseSlot({ permit });
  };
  const pass = (ms: number): void => {
    nowMs += ms;
    vi.advanceTimersByTime(ms);
  };
  return { supplier, ask, take, pass };
}

it('begins with one replay at a time, and lets each quick one be followed by one more, up to four', async () => {
  const { ask, take } = slots();
  const given = await ask(REPLAY, 100);
  expect(given).toHaveLength(1);
  for (const atOnce of [2, 3, 4, 4, 4]) {
    const before = given.length;
    take(given.shift()!, 10);
    await ask(REPLAY, 0);
    expect(given, String(before)).toHaveLength(atOnce);
  }
});

it('is back at one at a time after a slow one, and stays there while they are not quick', async () => {
  const { ask, take } = slots();
  const given = await ask(REPLAY, 100);
  for (let index = 0; index < 3; index++) {
    take(given.shift()!, 10);
    await ask(REPLAY, 0);
  }
  expect(given).toHaveLength(4);
  take(given.shift()!, 5_000);
  for (let index = 0; index < 2; index++) take(given.shift()!, 2_000);
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
  take(given.shift()!, 2_000);
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
});

it('never lets a task of a run that is in memory wait for a replay', async () => {
  const { ask } = slots();
  expect(await ask(REPLAY, 2)).toHaveLength(1);
  expect(await ask(KNOWN, 50)).toHaveLength(40);
});

it('a poll that brings nothing says nothing of how long a replay takes', async () => {
  const { supplier, ask } = slots();
  const given = await ask(REPLAY, 10);
  supplier.releaseSlot({ permit: given.shift()! });
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
});

it('who no longer wants a slot gives it back, whether it waits or has just got it', async () => {
  const { supplier, ask } = slots();
  const gone = new AbortController();
  const [held] = await ask(REPLAY, 2, gone.signal);
  const given = await ask(REPLAY, 2);
  expect(given).toEqual([]);
  gone.abort(new Error('gone'));
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
  // What is given back twice counts once.
  supplier.releaseSlot({ permit: held! });
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
  await expect(supplier.reserveSlot(REPLAY, gone.signal)).rejects.toThrow('gone');
});

it('a busy run, whose tasks follow one another in one slot, keeps it from others for no longer than one task may take', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { supplier, ask, pass } = slots();
  const given = await ask(REPLAY, 3);
  const busy = given.shift()!;
  supplier.markSlotUsed({ permit: busy });
  pass(9_999);
  await ask(REPLAY, 0);
  expect(given).toHaveLength(0);
  pass(1);
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
  // Its own end frees nothing more.
  supplier.releaseSlot({ permit: busy });
  await ask(REPLAY, 0);
  expect(given).toHaveLength(1);
});
