import { Context, type Info as ActivityInfo } from '@temporalio/activity';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { afterEach, expect, it, vi } from 'vitest';
import { Attempt, type Beat } from '../../../src/activities/attempt.js';
import { bindNotes } from '../../../src/activities/boundNotes.js';
import type { AttemptNotes } from '../../../src/protocol/attemptNotes.js';

afterEach(() => void vi.restoreAllMocks());

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

const scheduled = (atMs: number) => ({ scheduledTimestampMs: atMs, currentAttemptScheduledTimestampMs: atMs });
const justScheduled = () => scheduled(Date.now());

/** Lets the clocks go on, and tells whether the attempt may still touch the world then. */
async function isAlive(clocks: { wallMs: number; steadyMs: number }): Promise<boolean> {
  const environment = new MockActivityEnvironment(
    { startToCloseTimeoutMs: 10 * MINUTE_MS, heartbeatTimeoutMs: MINUTE_MS, ...justScheduled() },
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

it.each([
  ['came late', -3_000],
  ['comes from a server whose clock is ahead', 1_000],
])(
  'the first attempt of a task that %s asks Temporal before anything else, and is over if another one has begun',
  async (_how, sinceNowMs) => {
    const info = scheduled(Date.now() + sinceNowMs);
    const run = (beat: Beat) =>
      new MockActivityEnvironment(info, { logger: new DefaultLogger('ERROR') }).run(() =>
        Attempt.run(beat, (attempt) => {
          attempt.mustBeAlive();
          return Promise.resolve('done');
        }),
      );
    await expect(run(() => Promise.resolve(false))).rejects.toThrow('out of time');
    await expect(run(() => Promise.reject(new Error('no answer')))).rejects.toThrow('no answer');
    expect(await run(() => Promise.resolve(true))).toBe('done');
  },
);

it('the first attempt counts its time from when its task was scheduled', async () => {
  const info = {
    heartbeatTimeoutMs: MINUTE_MS,
    startToCloseTimeoutMs: HOUR_MS,
    ...scheduled(Date.now() - 2_000),
  };
  const environment = new MockActivityEnvironment(info, { logger: new DefaultLogger('ERROR') });
  await environment.run(() =>
    Attempt.run(
      () => Promise.resolve(true),
      (attempt) => {
        const nowMs = Date.now();
        vi.spyOn(Date, 'now').mockReturnValue(nowMs + MINUTE_MS - 2_000);
        expect(() => {
          attempt.mustBeAlive();
        }).toThrow('out of time');
        return Promise.resolve();
      },
    ),
  );
});

it('an attempt that Temporal has called off or given up, as the answer to its beat says, waits for nothing any more', async () => {
  const environment = new MockActivityEnvironment(justScheduled(), { logger: new DefaultLogger('ERROR') });
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

it('an attempt counts as repeated unless none before it can have begun, also where a person has reset the activity', async () => {
  const cases: [info: Partial<ActivityInfo>, isRepeated: boolean][] = [
    [{ attempt: 1 }, false],
    [{ attempt: 2 }, true],
    [{ attempt: 3, heartbeatDetails: { attempt: 2, handedBack: 2 } }, false],
    [{ attempt: 4, heartbeatDetails: { attempt: 3, handedBack: 2 } }, true],
    // After `temporal activity reset` attempts are counted from 1 again, with the notes or without.
    [{ attempt: 1, currentAttemptScheduledTimestampMs: 2 }, true],
    [{ attempt: 1, heartbeatDetails: { attempt: 5, handedBack: 2 } }, true],
    [{ attempt: 3, heartbeatDetails: { attempt: 5, handedBack: 2 } }, true],
    [{ attempt: 3, heartbeatDetails: { attempt: 3, handedBack: 2 } }, true],
  ];
  for (const [info, isRepeated] of cases) {
    const times = { scheduledTimestampMs: 1, currentAttemptScheduledTimestampMs: 1 };
    const environment = new MockActivityEnvironment({ ...times, ...info }, { logger: new DefaultLogger('ERROR') });
    const seen = await environment.run(() =>
      Attempt.run(
        () => Promise.resolve(true),
        (attempt) => Promise.resolve(attempt.isRepeated),
      ),
    );
    expect(seen, JSON.stringify(info)).toBe(isRepeated);
  }
});

it('an attempt whose notes are refused knows nothing of the attempts before it, and begins no insert as if it was the first', async () => {
  for (const attempt of [1, 3]) {
    const info = { attempt, heartbeatDetails: { attempt: attempt - 1, attemptId: 'x', handedBack: attempt - 1 } };
    const environment = new MockActivityEnvironment(
      { ...info, ...justScheduled() },
      { logger: new DefaultLogger('ERROR') },
    );
    const beats: AttemptNotes[] = [];
    const beat: Beat = (_context, notes) => Promise.resolve(beats.push(notes) > 0);
    const seen = await environment.run(() => {
      bindNotes(Context.current(), { areRefused: true, bind: (notes) => notes });
      return Attempt.run(beat, ({ isRepeated, previousId, notes }) =>
        Promise.resolve({ isRepeated, previousId, notes, beats: beats.length }),
      );
    });
    expect(seen).toEqual({ isRepeated: true, previousId: undefined, notes: {}, beats: 1 });
  }
});

it('an attempt knows the one directly before by name, however soon that failed, and no other', async () => {
  let notes: AttemptNotes | undefined;
  const ids: Pick<Attempt, 'id' | 'previousId'>[] = [];
  const fail = (attempt: number) => {
    const environment = new MockActivityEnvironment(
      { attempt, heartbeatDetails: notes, ...justScheduled() },
      { logger: new DefaultLogger('ERROR') },
    );
    const beat: Beat = (_context, noted) => {
      notes = noted;
      return Promise.resolve(true);
    };
    return environment.run(() =>
      Attempt.run(beat, ({ id, previousId }) => {
        ids.push({ id, previousId });
        return Promise.reject(new Error('away'));
      }),
    );
  };
  // The last one's number is again 2, after a reset for example.
  for (const number of [1, 2, 3, 5, 2]) await expect(fail(number)).rejects.toThrow('away');
  const [first, second] = ids;
  expect(ids.map(({ previousId }) => previousId)).toEqual([undefined, first?.id, second?.id, undefined, undefined]);
  expect(new Set(ids.map(({ id }) => id)).size).toBe(5);
});

it('the first attempt after a reset does nothing before Temporal has its notes: the next one would read older ones as its own', async () => {
  const environment = new MockActivityEnvironment(
    { attempt: 1, scheduledTimestampMs: 1, currentAttemptScheduledTimestampMs: 2 },
    { logger: new DefaultLogger('ERROR') },
  );
  const work = vi.fn(() => Promise.resolve());
  await expect(environment.run(() => Attempt.run(() => Promise.reject(new Error('no answer')), work))).rejects.toThrow(
    'no answer',
  );
  expect(work).not.toHaveBeenCalled();
});
