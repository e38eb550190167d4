import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';
import { batcherWorkflowId } from '../../src/protocol/batcherId.js';
import { BATCHER } from '../../src/protocol/batcher.js';

const stack = useStack();
const BATCHERS = 3;
let fixture: Fixture;

async function create(options: FixtureOptions['pipeline'] = {}, more: FixtureOptions = {}): Promise<void> {
  fixture = await Fixture.create(stack(), { ...more, pipeline: { batchers: BATCHERS, ...options } });
  await fixture.collectAcks();
}

function start(...args: string[]): Promise<Daemon> {
  return Daemon.start(fixture.config(), args);
}

const all = <T>(run: (index: number) => Promise<T>) => Promise.all(Array.from({ length: BATCHERS }, (_, i) => run(i)));
/** A batcher whose last run is terminated, and whose heir is yet to begin, is terminated then. */
const terminateAll = () => all((index) => eventually(() => fixture.batcher(index).terminate('test')));
const heirs = (daemon: Daemon) => daemon.metric('ktb_batcher_heirs_total', { pipeline: fixture.name });
const buffered = async () =>
  (await all((index) => fixture.batcherStatus(index))).reduce((sum, { bufferedRecords }) => sum + bufferedRecords, 0);

it('every run terminated under load, again and again: nothing is lost, nothing comes twice', async () => {
  await create({ signal: { maxRecords: 50 }, batch: { maxDelay: '300ms' } });
  const daemon = await start();
  const load = steadyLoad(fixture, 1_000);
  for (let round = 1; round <= 5; round++) {
    await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(round * 2_000));
    await terminateAll();
  }
  await load.stop();
  await expectExactlyOnce(fixture);
  expect(await heirs(daemon)).toBeGreaterThanOrEqual(5);
});

it('a batcher without traffic is found, and what it had accepted is flushed', async () => {
  await create({ batch: { maxDelay: '2s' } });
  await start();
  await fixture.produce(300);
  await eventually(async () => expect(await buffered()).toBe(300));
  await terminateAll();
  expect(acknowledged(fixture.acks)).toBe(0);
  await expectExactlyOnce(fixture);
});

it('a batcher without traffic is found, also by a daemon that no record has come to since it began', async () => {
  await create({ batch: { maxDelay: '10s' } });
  const daemon = await start();
  await fixture.produce(300);
  await eventually(async () => expect(await buffered()).toBe(300));
  expect(await daemon.stop()).toBe(0);
  await terminateAll();
  expect(acknowledged(fixture.acks)).toBe(0);
  await start();
  await expectExactlyOnce(fixture);
});

it('a paused batcher leaves a paused heir, which holds what it inherits until it is resumed', async () => {
  await create({ batch: { maxDelay: '100ms' } });
  await start();
  await fixture.produce(300);
  await expectExactlyOnce(fixture);
  await all((index) => fixture.batcher(index).signal(BATCHER.signals.pause, { actor: 'test', reason: 'hold' }));
  await fixture.produce(300);
  await eventually(async () => expect(await buffered()).toBe(300));
  await terminateAll();
  await fixture.produce(30);
  await eventually(async () => {
    for (const status of await all((index) => fixture.batcherStatus(index)))
      expect(status).toMatchObject({ paused: true, inheritedBatches: 1 });
  }, 60_000);
  expect(acknowledged(fixture.acks)).toBe(300);
  await all((index) => fixture.batcher(index).signal(BATCHER.signals.resume, { actor: 'test', reason: 'go on' }));
  await expectExactlyOnce(fixture);
});

it('an heir terminated while it inherits has an heir itself, and so on', async () => {
  await create({ batch: { maxDelay: '300ms' } });
  await start();
  await fixture.produce(2_000);
  await expectExactlyOnce(fixture);
  await stack().parts.clickhouse.kill();
  for (let round = 0; round < 3; round++) {
    await fixture.produce(1_000);
    await eventually(async () => {
      for (const { flushing, inheritedBatches } of await all((index) => fixture.batcherStatus(index))) {
        expect(flushing?.reason).toBe(round === 0 ? 'delay' : 'inherited');
        expect(inheritedBatches).toBe(round);
      }
    }, 60_000);
    await terminateAll();
  }
  await stack().parts.clickhouse.start();
  await expectExactlyOnce(fixture);
});

it('cancelled, timed out and drained runs leave heirs as well', async () => {
  // Without a name, the daemon would leave these batchers to the one that has started them.
  await create({ batch: { maxDelay: '1s' } }, { config: { installation: 'own' } });
  await all((index) =>
    fixture.temporal.workflow.start(BATCHER.workflowType, {
      workflowId: batcherWorkflowId(fixture.name, { batchers: BATCHERS, keyFunction: 'key' }, index),
      taskQueue: fixture.name,
      args: [{ format: 'ktb-batcher/1', settings: SETTINGS }, new Uint8Array(0)],
      // Long enough for the daemon to start before.
      workflowRunTimeout: '10s',
    }),
  );
  const daemon = await start();
  const load = steadyLoad(fixture, 500);
  await eventually(async () => expect(await heirs(daemon)).toBeGreaterThanOrEqual(BATCHERS), 120_000);
  await all((index) => fixture.batcher(index).cancel());
  await eventually(async () => expect(await heirs(daemon)).toBeGreaterThanOrEqual(2 * BATCHERS), 120_000);
  await all((index) => fixture.batcher(index).signal(BATCHER.signals.drain, { actor: 'test', reason: 'drain' }));
  await eventually(async () => expect(await heirs(daemon)).toBeGreaterThanOrEqual(3 * BATCHERS), 120_000);
  await load.stop();
  await expectExactlyOnce(fixture);
});

it('a run that was reset does its flushes again, and no row is doubled', async () => {
  await create({ batch: { maxDelay: '200ms' } });
  await start();
  // Batches of other sizes after the reset, so that no token can find its own.
  for (let batch = 0; batch < 5; batch++) {
    await fixture.produce(300);
    await expectExactlyOnce(fixture);
  }
  await all(async (index) => {
    const handle = fixture.batcher(index);
    const { runId } = await handle.describe();
    await fixture.temporal.workflowService.resetWorkflowExecution({
      namespace: 'default',
      workflowExecution: { workflowId: handle.workflowId, runId },
      reason: 'test',
      workflowTaskFinishEventId: 4 as never,
      requestId: `${handle.workflowId}-reset`,
    });
  });
  await fixture.produce(300);
  await expectExactlyOnce(fixture);
});

it('a run terminated with 50 MB accepted and not flushed, while no worker was there', async () => {
  await create({ flow: { maxHistory: '16MiB' } }, { columns: 'id Int64, text String' });
  const consumer = await start('--role', 'consumer');
  const worker = await start('--role', 'worker');
  await fixture.produce(30);
  await expectExactlyOnce(fixture);
  await worker.kill();
  await fixture.produce(70_000, (id) => ({ key: 'one', value: JSON.stringify({ id, text: words(id) }) }));
  await eventually(async () => expect(await consumer.metric('ktb_signalled_records_total')).toBe(70_030), 120_000);
  await terminateAll();
  await start('--role', 'worker');
  await expectExactlyOnce(fixture);
});

/** Some 750 bytes that compress well, but not to nothing. */
function words(id: number): string {
  let state = id + 1;
  const parts: string[] = [];
  for (let count = 0; count < 110; count++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    parts.push(`word${(state % 4_096).toString(36)}`);
  }
  return parts.join(' ');
}

const SETTINGS = {
  pipeline: 'to be replaced by the first chunk',
  batch: { maxRecords: 1_000, maxBytes: 1_000_000, maxDelayMs: 1_000 },
  continueAsNewAt: { historyBytes: 4_194_304, historyEvents: 4_096 },
  destination: { table: 't', columns: {}, deadLetterTopic: 'd' },
};
