import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
let fixture: Fixture;
let daemon: Daemon;

async function start(): Promise<void> {
  fixture = await Fixture.create(stack(), { partitions: 4, pipeline: { batch: { maxDelay: '1s' } } });
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config());
}

const rewind = (...args: string[]) => ktb(fixture.config(), ['rewind', fixture.name, ...args]);

it('fills the holes that the loss of Temporal’s database under load has left, and doubles nothing', async () => {
  await start();
  const load = steadyLoad(fixture, 2_000);
  await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(4_000));
  // So that batchers hold something.
  expect(await ktb(fixture.config(), ['pause', '--pipeline', fixture.name, '--reason', 'a test'])).toMatchObject({
    code: 0,
  });
  await eventually(() => expect(fixture.produced - acknowledged(fixture.acks)).toBeGreaterThan(4_000));
  const { temporal } = stack().parts;
  await temporal.kill();
  for (const directory of readdirSync(stack().dataDir).filter((name) => name.startsWith('temporal'))) {
    for (const file of readdirSync(join(stack().dataDir, directory)).filter((name) => name.includes('.db')))
      rmSync(join(stack().dataDir, directory, file));
  }
  await temporal.start();
  const before = acknowledged(fixture.acks);
  await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(before + 4_000), 120_000);
  await load.stop();

  const { code, output } = await rewind('--to', 'earliest');
  expect({ code, output }).toMatchObject({
    code: 1,
    output: expect.stringContaining('stop the consumers first') as string,
  });
  await eventually(async () => {
    const offsets = await fixture.offsets();
    expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ end }) => end));
  });
  await daemon.stop();
  expect((await fixture.rowCounts()).rows).toBeLessThan(fixture.produced);
  expect(await rewind('--to', 'earliest')).toMatchObject({ code: 0 });
  daemon = await Daemon.start(fixture.config());
  await expectExactlyOnce(fixture);
});

it('finds rows of every epoch, inserts whole batches that were deleted, and goes on behind them', async () => {
  await start();
  await fixture.produce(1_000);
  await expectExactlyOnce(fixture);
  await daemon.stop();
  daemon = await Daemon.start(fixture.config({ batchers: 3 }));
  await fixture.produce(1_000);
  await expectExactlyOnce(fixture);
  await daemon.stop();
  await fixture.clickhouse.command({ query: `DELETE FROM ${fixture.table} WHERE id % 10 = 3 OR id < 900` });
  expect(await rewind('--to', '0', '--dry-run')).toMatchObject({ code: 0 });
  expect(await rewind('--to', '0')).toMatchObject({ code: 0 });
  daemon = await Daemon.start(fixture.config({ batchers: 3 }));
  await fixture.produce(500);
  await eventually(async () =>
    expect(await fixture.rowCounts()).toEqual({ rows: 2_500, identities: 2_500, ids: 2_500 }),
  );
  await expectExactlyOnce(fixture);
});

it('ingests everything again with --again, as new records', async () => {
  await start();
  await fixture.produce(400);
  await expectExactlyOnce(fixture);
  await daemon.stop();
  expect(await rewind('--to', new Date(Date.now() - 3_600_000).toISOString(), '--again')).toMatchObject({ code: 0 });
  daemon = await Daemon.start(fixture.config());
  await eventually(async () => expect(await fixture.rowCounts()).toEqual({ rows: 800, identities: 800, ids: 400 }));
});

it('refuses what it does not understand, in words that say what to do', async () => {
  await start();
  await daemon.stop();
  expect(await rewind('--to', 'yesterday')).toMatchObject({
    code: 2,
    output: expect.stringMatching(/neither a time/) as string,
  });
  expect(await ktb(fixture.config(), ['rewind', 'orders', '--to', '0'])).toMatchObject({
    code: 2,
    output: expect.stringContaining(`it has ${fixture.name}`) as string,
  });
});
