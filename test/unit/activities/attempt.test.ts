import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterEach, expect, it, vi } from 'vitest';
import { Attempt, type Beat } from '../../../src/activities/attempt.js';

afterEach(() => void vi.restoreAllMocks());

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Lets the clocks go on, and tells whether the attempt may still touch the world then. */
async function isAlive(clocks: { wallMs: number; steadyMs: number }): Promise<boolean> {
  const environment = new MockActivityEnvironment(
    { startToCloseTimeoutMs: 10 * MINUTE_MS, heartbeatTimeoutMs: MINUTE_MS },
    { logger: new DefaultLogger('ERROR') },
  );
  const noBeat: Beat = () => Promise.reject(new Error('no answer'));
  return environment.run(() =>
    Attempt.run(noBeat, (attempt) => {
      vi.spyOn(Date, 'now').mockReturnValue(Date.now() + clocks.wallMs);
      vi.spyOn(performance, 'now').mockReturnValue(performance.now() + clocks.steadyMs);
      try {
        attempt.mustBeAlive();
        return Promise.resolve(true);
      } catch {
        return Promise.resolve(false);
      }
    }),
  );
}

it('an attempt without a heartbeat that arrived is over after the time-out', async () => {
  expect(await isAlive({ wallMs: MINUTE_MS / 2, steadyMs: MINUTE_MS / 2 })).toBe(true);
  vi.restoreAllMocks();
  expect(await isAlive({ wallMs: MINUTE_MS, steadyMs: MINUTE_MS })).toBe(false);
});

it('an attempt is over by either clock: the one may be set back, and the other stands still while the machine sleeps', async () => {
  expect(await isAlive({ wallMs: -HOUR_MS, steadyMs: MINUTE_MS })).toBe(false);
  vi.restoreAllMocks();
  expect(await isAlive({ wallMs: MINUTE_MS, steadyMs: 0 })).toBe(false);
});

it('an attempt that Temporal has called off or given up, as the answer to its beat says, waits for nothing any more', async () => {
  const environment = new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') });
  await environment.run(() =>
    Attempt.run(
      () => Promise.resolve(false),
      async (attempt) => {
        expect(attempt.cancellation.aborted).toBe(false);
        await expect(attempt.note({})).rejects.toThrow('out of time');
        expect(attempt.cancellation.aborted).toBe(true);
      },
    ),
  );
});
