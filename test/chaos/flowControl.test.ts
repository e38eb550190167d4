import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { CuttingProxy } from '../support/cuttingProxy.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';
import { BATCHER } from '../../src/protocol/batcher.js';

const MIB = 1024 * 1024;
/** Payload for a batcher without a worker, in MB: two minutes on two cores. */
const PAYLOAD_MB = Number(process.env['KTB_TEST_PAYLOAD_MB'] ?? 300);
const RECORD_BYTES = 1_600;
const SLOW_MS = 900_000;

const stack = useStack();
let fixture: Fixture;

afterEach(async () => {
  await stack().parts.clickhouse.start();
});

async function create(options: FixtureOptions): Promise<void> {
  fixture = await Fixture.create(stack(), options);
  await fixture.collectAcks();
}

function start(args: readonly string[] = []): Promise<Daemon> {
  return Daemon.start(fixture.config(), args);
}

/** Of all runs that the first batcher ever had: none was ended from outside, none came near Temporal's limits. */
async function expectRunsWell(): Promise<void> {
  const { workflowId } = fixture.batcher(0);
  const statuses = new Set<string>();
  for await (const { runId } of fixture.temporal.workflow.list({ query: `WorkflowId = '${workflowId}'` })) {
    const run = await fixture.temporal.workflow.getHandle(workflowId, runId).describe();
    statuses.add(run.status.name);
    // A history only grows: what it has in the end is the most that it ever had.
    expect(run.historySize).toBeLessThan(40 * MIB);
    expect(run.historyLength).toBeLessThan(10_000);
  }
  statuses.delete('CONTINUED_AS_NEW');
  expect([...statuses]).toEqual(['RUNNING']);
}

const untilStopped = (consumer: Daemon) =>
  eventually(async () => expect(await consumer.metric('ktb_stopped_lanes', { cause: 'history' })).toBe(1), 240_000);

describe('more than any history may hold', () => {
  it(
    'for one key, without a worker: the consumer stops in time and stays small; a worker finishes it all',
    async () => {
      await create({ partitions: 1, pipeline: { batchers: 1 } });
      const consumer = await start(['--role', 'consumer']);
      // Two thirds of it do not compress.
      const text = () => randomBytes(RECORD_BYTES / 2).toString('base64') + ' and so on'.repeat(RECORD_BYTES / 40);
      const value = (id: number) => JSON.stringify({ id, text: text() });
      await fixture.produce(Math.ceil((PAYLOAD_MB * 1e6) / RECORD_BYTES), (id) => ({ key: 'one', value: value(id) }));
      await untilStopped(consumer);
      const { historySize } = await fixture.batcher(0).describe();
      expect(historySize).toBeGreaterThan(8 * MIB);
      await expectRunsWell();
      await start(['--role', 'worker']);
      await expectExactlyOnce(fixture, { timeoutMs: 600_000, acksOnce: true });
      await expectRunsWell();
      expect(consumer.peakMemoryMiB()).toBeLessThan(600);
    },
    SLOW_MS,
  );

  it(
    'as ten thousand small signals to a paused batcher: the consumer stops in time, and resume works',
    async () => {
      await create({
        partitions: 1,
        pipeline: { batchers: 1, signal: { maxRecords: 1 }, batch: { maxDelay: '100ms' } },
      });
      const worker = await start(['--role', 'worker']);
      const consumer = await start(['--role', 'consumer']);
      await fixture.produce(10);
      await eventually(() => expect(acknowledged(fixture.acks)).toBe(10));
      await fixture.batcher(0).signal(BATCHER.signals.pause, { actor: 'e2e', reason: 'test' });
      await eventually(async () => expect((await fixture.batcherStatus(0)).paused).toBe(true));
      await worker.kill();
      await fixture.produce(10_500);
      await untilStopped(consumer);
      const accepted = await consumer.metric('ktb_signals_total', { outcome: 'signalled' });
      expect(accepted).toBeGreaterThan(7_000);
      expect(accepted).toBeLessThan(9_500);
      expect(fixture.acks).toHaveLength(10);
      await fixture.batcher(0).signal(BATCHER.signals.resume, { actor: 'e2e', reason: 'test' });
      await start(['--role', 'worker']);
      await expectExactlyOnce(fixture, { timeoutMs: 300_000, acksOnce: true });
      await expectRunsWell();
    },
    SLOW_MS,
  );
});

it('inserts of unknown outcome, ClickHouse away, and a table that forgets their tokens meanwhile: nothing lost or doubled', async () => {
  const proxy = await CuttingProxy.start(stack().clickhouse.url);
  try {
    await create({
      pipeline: { batchers: 4, batch: { maxDelay: '200ms' } },
      config: { clickhouse: { url: proxy.url } },
      deduplicationWindow: 2,
    });
    await start();
    const load = steadyLoad(fixture, 1_000);
    for (let round = 1; round <= 5; round++) {
      await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(round * 1_000));
      proxy.cutNext = 'beforeAnswer';
      await eventually(() => expect(proxy.answersLost).toBe(round), 20_000, 1);
      await stack().parts.clickhouse.kill();
      await sleep(2_000);
      await stack().parts.clickhouse.start();
      // With so many other inserts behind it the token of the one in doubt is forgotten.
      await insertOthers(5);
    }
    await load.stop();
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(fixture.produced), 120_000);
    await fixture.clickhouse.command({
      query: `ALTER TABLE ${fixture.table} DELETE WHERE _epoch = 'other' SETTINGS mutations_sync = 1`,
    });
    await expectExactlyOnce(fixture);
  } finally {
    await proxy.close();
  }
});

async function insertOthers(inserts: number): Promise<void> {
  for (let id = 0; id < inserts; id++) {
    await fixture.clickhouse.insert({
      table: fixture.table,
      format: 'JSONEachRow',
      values: [{ id, text: '', _topic: 'other', _partition: 0, _offset: Date.now(), _epoch: 'other' }],
    });
  }
}
