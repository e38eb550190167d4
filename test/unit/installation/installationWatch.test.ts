import { expect, it, vi } from 'vitest';

it('what could not be settled for a moment is tried again soon, not after a minute', async () => {
  const delaysMs: number[] = [];
  const ending = new AbortController();
  vi.resetModules();
  vi.doMock('node:timers/promises', () => ({
    setTimeout: (ms: number) => {
      delaysMs.push(ms);
      if (delaysMs.length === 4) ending.abort();
      return ending.signal.aborted ? Promise.reject(new Error('aborted')) : Promise.resolve();
    },
  }));
  const { InstallationWatch } = await import('../../../src/installation/installationWatch.js');
  vi.doUnmock('node:timers/promises');
  const answers = [true, false, true, true];
  const settle = (): Promise<void> =>
    answers.shift() === true ? Promise.resolve() : Promise.reject(new Error('away'));
  const watch = new InstallationWatch({ settle }, { well: () => undefined, problem: () => undefined } as never);
  await watch.untilSettled(ending.signal);
  await watch.watch(ending.signal);
  const [first = 0, second = Infinity, third = 0] = delaysMs;
  expect(second).toBeLessThan(first / 10);
  expect(third).toBe(first);
});

it('a part that hangs does not keep a process from ending that has not begun', async () => {
  const { InstallationWatch } = await import('../../../src/installation/installationWatch.js');
  const ending = new AbortController();
  const settle = (): Promise<void> => new Promise(() => undefined);
  const watch = new InstallationWatch({ settle }, { well: () => undefined, problem: () => undefined } as never);
  const settled = watch.untilSettled(ending.signal);
  setImmediate(() => ending.abort());
  await expect(settled).rejects.toThrow('aborted');
});
