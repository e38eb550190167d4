import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { expect } from 'vitest';
import { pickPorts } from '../../stack/ports.js';
import { itBesideOthers as it } from '../support/besideOthers.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useSharedStack } from '../support/useStack.js';
import { NO_SINKS } from '../support/noSinks.js';

const stack = useSharedStack();
const BUNDLE = fileURLToPath(new URL('../../dist/workflows/bundle.js', import.meta.url));

/** Runs a worker whose batchers do something else than ours, as one of another version might, until a check holds. */
async function withOtherWorker(taskQueue: string, check: () => Promise<void>): Promise<void> {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  const connection = await NativeConnection.connect({ address: stack().temporal.address });
  try {
    const code = readFileSync(BUNDLE, 'utf8').replaceAll('activities.insertBatch(', 'activities.insertOtherwise(');
    const worker = await Worker.create({ connection, taskQueue, workflowBundle: { code }, sinks: NO_SINKS });
    await worker.runUntil(() => eventually(check));
  } finally {
    await connection.close();
  }
}

it('of two daemons each tells the lag of its own partitions only, and what it asks Temporal', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const daemons = [await Daemon.start(fixture.config())];
  const lagSeries = async (daemon: Daemon) => (await daemon.get('/metrics')).text.match(/^ktb_lag_records\{/gm)?.length;
  await eventually(async () => expect(await lagSeries(daemons[0]!)).toBe(8));
  daemons.push(await Daemon.start(fixture.config()));
  await eventually(async () => {
    for (const daemon of daemons) expect(await lagSeries(daemon)).toBe(4);
  });
  await fixture.produce(100);
  await expectExactlyOnce(fixture);
  // A batcher's history is looked at before the first signal to it: mostly there is none yet (`not_found`).
  for (const operation of ['signal_with_start', 'describe'])
    expect(await daemons[0]!.metric('ktb_temporal_requests_total', { operation })).toBeGreaterThan(0);
  expect(await daemons[0]!.metric('ktb_publish_errors_total')).toBe(0);
});

it('what becomes of records, of their batches and of the batchers shows, and the Temporal SDK tells its own', async () => {
  const [port = 0] = await pickPorts(1);
  const http = { listen: '127.0.0.1:0', temporalListen: `127.0.0.1:${port}` };
  const fixture = await Fixture.create(stack(), { pipeline: { batchers: 2 }, config: { http } });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(300, (id) => (id === 7 ? { value: 'not json' } : {}));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(300));
  await ktb(fixture.config(), ['pause', '--batcher', '1', '--reason', 'a test']);
  const metric = (name: string, labels: Readonly<Record<string, string>> = {}) => daemon.metric(name, labels);
  await eventually(async () => {
    expect(await metric('ktb_completed_records_total', { outcome: 'inserted' })).toBe(299);
    expect(await metric('ktb_completed_records_total', { outcome: 'rejected' })).toBe(1);
    expect(await metric('ktb_batcher_paused', { batcher: '0' })).toBe(0);
    expect(await metric('ktb_batcher_paused', { batcher: '1' })).toBe(1);
    expect(await metric('ktb_oldest_unacknowledged_timestamp_seconds')).toBe(0);
  });
  expect(await metric('ktb_insert_rows_sum')).toBe(299);
  expect(await metric('ktb_batcher_runs_total', { begun: 'first' })).toBe(2);
  expect(await metric('ktb_batcher_coverage_ranges')).toBeGreaterThanOrEqual(2);
  for (const stage of ['decode', 'insert', 'acknowledge', 'reject'])
    expect(await metric('ktb_flush_stage_seconds_count', { stage }), stage).toBeGreaterThan(0);
  expect(await metric('ktb_flushes_limit')).toBe(3);

  const beforeMs = Date.now();
  await fixture.produce(50);
  await eventually(async () =>
    expect(await metric('ktb_oldest_unacknowledged_timestamp_seconds', { batcher: '1' })).toBeGreaterThan(
      beforeMs / 1000 - 1,
    ),
  );
  const sdk = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  expect(sdk).toMatch(/^temporal_request_total\{/m);
  expect(sdk).toMatch(/^temporal_workflow_task_execution_latency_seconds_bucket\{/m);
});

/** Three looks at a batcher that is stuck, one at it when it is not, half a minute apart. */
const STUCK_TEST_MS = 420_000;

it(
  'a batcher whose workflow task fails each time shows, however much comes in, and goes on when its run is terminated',
  async () => {
    const fixture = await Fixture.create(stack(), { pipeline: { batchers: 2 } });
    await fixture.collectAcks();
    const consumer = await Daemon.start(fixture.config(), ['--role', 'consumer']);
    await fixture.produce(100);
    await withOtherWorker(fixture.name, async () => {
      for (const index of [0, 1])
        expect((await fixture.batcher(index).describe()).raw.pendingActivities).toHaveLength(1);
    });
    await Daemon.start(fixture.config(), ['--role', 'worker']);
    // Each signal makes a new task of the one that fails.
    const load = steadyLoad(fixture, 100);
    const stuck = (count: number) =>
      eventually(async () => expect(await consumer.metric('ktb_stuck_workflow_tasks')).toBe(count), 150_000);
    await stuck(2);
    expect(fixture.acks).toEqual([]);
    for (const index of [0, 1]) {
      const said = consumer
        .logs()
        .filter(({ what }) => what === `workflow task of ${fixture.batcher(index).workflowId}`);
      expect(said.map(({ message }) => message)).toEqual([expect.stringContaining('Nondeterminism')]);
      await fixture.batcher(index).terminate('stuck');
    }
    await load.stop();
    await expectExactlyOnce(fixture);
    await stuck(0);
    expect(await consumer.metric('ktb_signals_total', { outcome: 'started' })).toBe(2);
  },
  STUCK_TEST_MS,
);
