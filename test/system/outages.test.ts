import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
let fixture: Fixture;
let daemon: Daemon;

async function start(options: FixtureOptions = {}, args: readonly string[] = []): Promise<void> {
  fixture = await Fixture.create(stack(), options);
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config(), args);
}

it('ClickHouse away for half a minute: nothing is lost, and the daemon goes on by itself', async () => {
  await start();
  const load = steadyLoad(fixture, 500);
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(1_000));
  await stack().parts.clickhouse.kill();
  await eventually(async () => expect((await daemon.get('/readyz')).text).toContain('clickhouse: '), 20_000);
  // By then tries are as far apart as they get: 15 s.
  await sleep(25_000);
  expect(daemon.running).toBe(true);
  await stack().parts.clickhouse.start();
  await load.stop();
  await expectExactlyOnce(fixture);
  await eventually(async () => expect((await daemon.get('/readyz')).status).toBe(200));
  const warnings = daemon.logs().filter(({ level }) => level === 'warn' || level === 'error');
  expect(warnings.length, JSON.stringify(warnings, null, 1)).toBeLessThanOrEqual(5);
});

it('Temporal killed and started again: the lanes wait and go on', async () => {
  await start();
  const load = steadyLoad(fixture, 500);
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(1_000));
  await stack().parts.temporal.kill();
  await sleep(8_000);
  await stack().parts.temporal.start();
  await load.stop();
  await expectExactlyOnce(fixture);
  expect(daemon.running).toBe(true);
});

it('Kafka killed and started again: the group comes back and nothing is doubled', async () => {
  await start();
  await fixture.produce(5_000);
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(1_000));
  const [broker] = stack().parts.kafka;
  await broker?.kill();
  await sleep(5_000);
  await broker?.start();
  await fixture.produce(5_000);
  await expectExactlyOnce(fixture);
});

it('no worker: the consumer stops at the limit of the histories, no run dies, and a worker finishes it all', async () => {
  await start(
    { pipeline: { batchers: 2, flow: { maxHistory: '1MiB', checkEvery: '64KiB' }, signal: { maxBytes: '64KiB' } } },
    ['--role', 'consumer'],
  );
  const incompressible = () => Array.from({ length: 40 }, () => Math.random().toString(36)).join('');
  await fixture.produce(40_000, (id) => ({ value: JSON.stringify({ id, text: incompressible() }) }));
  await eventually(async () => expect(await daemon.metric('ktb_stopped_lanes', { cause: 'history' })).toBe(2));
  const signalled = await daemon.metric('ktb_signalled_records_total');
  await sleep(3_000);
  expect(await daemon.metric('ktb_signalled_records_total')).toBe(signalled);
  expect(signalled).toBeLessThan(40_000);
  for (const index of [0, 1]) {
    const { status, historySize } = await fixture.batcher(index).describe();
    expect(status.name).toBe('RUNNING');
    // What a run before could have handed on does not count, so the mark stands 2 MiB higher; and what is sent between two looks.
    expect(historySize).toBeLessThan(3.5 * 1024 * 1024);
  }
  const worker = await Daemon.start(fixture.config(), ['--role', 'worker']);
  try {
    await expectExactlyOnce(fixture);
  } finally {
    await worker.kill();
  }
});
