import { expect, it } from 'vitest';
import { LastingWorker, type TemporalWorker } from '../../../src/daemon/lastingWorker.js';

type State = ReturnType<TemporalWorker['getState']>;

/** Workers of which each runs until it is shut down, or fails as told. */
function fakeWorkers(failures: readonly (Error | null)[]) {
  const created: { state: State }[] = [];
  const create = (): Promise<TemporalWorker> => {
    const failure = failures[created.length] ?? null;
    const worker: { state: State } = { state: 'INITIALIZED' };
    created.push(worker);
    let end = (): void => undefined;
    return Promise.resolve({
      getState: () => worker.state,
      run: async () => {
        if (failure !== null) {
          worker.state = 'FAILED';
          throw failure;
        }
        worker.state = 'RUNNING';
        await new Promise<void>((resolve) => (end = resolve));
        worker.state = 'STOPPED';
      },
      shutdown: () => end(),
    });
  };
  return { created, create };
}

function lasting(create: () => Promise<TemporalWorker>) {
  const log: string[] = [];
  let failures = 0;
  const worker = new LastingWorker({
    taskQueue: 'q',
    create,
    stateLog: { problem: (_what, problem) => log.push(problem), well: () => undefined },
    failed: () => failures++,
    firstDelayMs: 10,
  });
  return { worker, log, failures: () => failures };
}

it('a worker that fails is made anew, and what it failed by is said', async () => {
  const denied = new Error('polling failed', { cause: new Error('permission denied') });
  const { created, create } = fakeWorkers([denied, denied, null]);
  const { worker, log, failures } = lasting(create);
  worker.start();
  await expect.poll(() => worker.problem).toBe(null);
  expect(created.map(({ state }) => state)).toEqual(['FAILED', 'FAILED', 'RUNNING']);
  expect(failures()).toBe(2);
  expect(log[0]).toBe('the worker of q has failed and begins anew: polling failed: permission denied');
  await worker.drain();
  expect(created.at(-1)?.state).toBe('STOPPED');
  expect(created).toHaveLength(3);
});

it('one that is shut down by others is made anew at once, and has not failed', async () => {
  const { created, create } = fakeWorkers([]);
  const made: TemporalWorker[] = [];
  const { worker, log, failures } = lasting(async () => {
    const one = await create();
    made.push(one);
    return one;
  });
  worker.start();
  await expect.poll(() => worker.problem).toBe(null);
  made[0]?.shutdown();
  await expect.poll(() => created.map(({ state }) => state)).toEqual(['STOPPED', 'RUNNING']);
  expect([failures(), log, worker.problem]).toEqual([0, [], null]);
  await worker.drain();
  expect(created).toHaveLength(2);
});

it('one that cannot be made is tried again, and is named meanwhile', async () => {
  let tries = 0;
  const { create } = fakeWorkers([]);
  const { worker } = lasting(() => (++tries < 3 ? Promise.reject(new Error('no namespace')) : create()));
  worker.start();
  await expect.poll(() => worker.problem).toContain('no namespace');
  await expect.poll(() => worker.problem).toBe(null);
  await worker.drain();
});

it('one that is drained while it waits does not begin anew', async () => {
  const { created, create } = fakeWorkers(Array.from({ length: 50 }, () => new Error('x')));
  const { worker } = lasting(create);
  worker.start();
  await expect.poll(() => created.length).toBeGreaterThan(1);
  await worker.drain();
  const before = created.length;
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(created).toHaveLength(before);
});

it('one that is made while the drain begins ends too: otherwise it would keep the connection', async () => {
  const { created, create } = fakeWorkers([]);
  const { worker } = lasting(create);
  worker.start();
  await worker.drain();
  expect(created.map(({ state }) => state)).toEqual(['STOPPED']);
});
