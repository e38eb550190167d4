import { beforeAll, describe, expect, it } from 'vitest';
import { BATCHER } from '../../src/protocol/batcher.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { buildOf, hasWord, previousCommit } from '../support/previousBuild.js';
import { useStack } from '../support/useStack.js';

const commit = previousCommit();
if (commit === null) process.stderr.write('Skipped: there is no previous commit here to upgrade from\n');

/** Version 0.1.0 can continue no run in which records have waited in a lane: see _Upgrading_ in docs/operations.md. */
const LINGER = commit === null || hasWord(commit, 'waitedMs') ? {} : { linger: '0ms' };

describe.skipIf(commit === null)('from the previous commit’s build to this one and back, under load', () => {
  const stack = useStack();
  const BATCHERS = 3;
  let previousCli: string;
  let fixture: Fixture;

  beforeAll(async () => {
    previousCli = await buildOf(commit!);
  });

  async function create(options: FixtureOptions['pipeline'] = {}): Promise<void> {
    fixture = await Fixture.create(stack(), { pipeline: { batchers: BATCHERS, ...options } });
    await fixture.collectAcks();
  }

  function start(build: 'previous' | 'this', ...args: string[]): Promise<Daemon> {
    return Daemon.start(fixture.config(), args, build === 'previous' ? previousCli : undefined);
  }

  /** Time for both builds to have their part: some thousand records more, however long that takes while there are more and more. */
  async function goOn(): Promise<void> {
    const before = acknowledged(fixture.acks);
    for (let seen = before; seen <= before + 3_000; seen = acknowledged(fixture.acks)) {
      const least = seen;
      // Each look goes over all acknowledgements, and the daemons need the processor.
      await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(least), SILENCE_MAX_MS, 1_000);
    }
  }

  it('each with its own default of batchers, eight and two: nothing is lost, nothing comes twice', async () => {
    await create({ batch: { maxDelay: '300ms' }, signal: { maxRecords: 50, ...LINGER } });
    const defaults = { previous: 8, this: 2 };
    const startWithDefault = (build: 'previous' | 'this'): Promise<Daemon> =>
      Daemon.start(fixture.config({ batchers: defaults[build] }), [], build === 'previous' ? previousCli : undefined);
    let running = await startWithDefault('previous');
    const load = steadyLoad(fixture, 500);
    await goOn();
    for (const build of ['this', 'previous', 'this'] as const) {
      const next = await startWithDefault(build);
      await goOn();
      await running.kill();
      running = next;
      await goOn();
    }
    await load.stop();
    await expectExactlyOnce(fixture, { timeoutMs: 2 * SILENCE_MAX_MS });
  });

  it('one daemon after the other, once by SIGTERM and once by SIGKILL each way: nothing is lost, nothing comes twice', async () => {
    await create({ batch: { maxDelay: '300ms' }, signal: { maxRecords: 50, ...LINGER } });
    let running = await start('previous');
    const load = steadyLoad(fixture, 1_000);
    await goOn();
    for (const [build, end] of CHANGES) {
      const next = await start(build);
      await goOn();
      if (end === 'SIGTERM') expect(await running.stop()).toBe(0);
      else await running.kill();
      running = next;
      await goOn();
    }
    await load.stop();
    await expectExactlyOnce(fixture, { timeoutMs: 2 * SILENCE_MAX_MS });
  }, 900_000);

  it('what a batcher of one build holds, a worker of the other flushes', async () => {
    await create({ batch: { maxDelay: '100ms' }, signal: LINGER });
    await start('this', '--role', 'consumer');
    for (const build of ['previous', 'this', 'previous'] as const) {
      const worker = await start(build, '--role', 'worker');
      await fixture.produce(300);
      await expectExactlyOnce(fixture);
      await control('pause');
      await fixture.produce(300);
      await eventually(async () => expect(await buffered()).toBe(300));
      await worker.kill();
      await control('resume');
    }
    await start('this', '--role', 'worker');
    await expectExactlyOnce(fixture);
  });

  const each = <T>(run: (index: number) => Promise<T>) =>
    Promise.all(Array.from({ length: BATCHERS }, (_, index) => run(index)));
  const control = (action: 'pause' | 'resume') =>
    each((index) => fixture.batcher(index).signal(BATCHER.signals[action], { actor: 'test', reason: 'upgrade' }));
  const buffered = async () => {
    const statuses = await each((index) => fixture.batcherStatus(index));
    return statuses.reduce((sum, { bufferedRecords }) => sum + bufferedRecords, 0);
  };
});

/**
 * After a kill these pass one after the other, at most, before a batcher goes on: 30 s until its workflow task is given to another worker, 15 s
 * until its flush is, 10 s until its next workflow task leaves the queue of the worker that is gone. Kafka's session, 6 s, passes meanwhile.
 * The rest of this time is for a machine that has other work.
 */
const SILENCE_MAX_MS = 120_000;

/** Which build comes next, and how the daemon ends that it takes over from. */
const CHANGES = [
  ['this', 'SIGTERM'],
  ['previous', 'SIGKILL'],
  ['this', 'SIGKILL'],
  ['previous', 'SIGTERM'],
] as const;
