import { expect, it } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';
import { BATCHER } from '../../src/protocol/batcher.js';

const stack = useSharedStack();
let fixture: Fixture;
let daemon: Daemon;

async function start(maxDelay: string): Promise<void> {
  fixture = await Fixture.create(stack(), { pipeline: { batchers: 2, batch: { maxDelay } } });
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config());
}

const BY = { actor: 'e2e', reason: 'test' };
const signal = (name: keyof typeof BATCHER.signals) =>
  Promise.all([0, 1].map((index) => fixture.batcher(index).signal(BATCHER.signals[name], BY)));
const buffered = async () =>
  (await fixture.batcherStatus(0)).bufferedRecords + (await fixture.batcherStatus(1)).bufferedRecords;

it('pause holds the records, also over a restart of the daemon; resume lets them go', async () => {
  await start('200ms');
  await fixture.produce(100);
  await eventually(() => expect(fixture.acks).toHaveLength(100));
  await signal('pause');
  await fixture.produce(100);
  await eventually(async () => expect(await buffered()).toBe(100));
  await daemon.stop();
  daemon = await Daemon.start(fixture.config());
  expect(await fixture.batcherStatus(0)).toMatchObject({ paused: true, controls: [{ action: 'pause', ...BY }] });
  expect(fixture.acks).toHaveLength(100);
  await signal('resume');
  await expectExactlyOnce(fixture, { acksOnce: true });
});

it('a batch that cannot be inserted counts as held: status and commands tell of it, and why', async () => {
  await start('100ms');
  await fixture.produce(100);
  await eventually(() => expect(fixture.acks).toHaveLength(100));
  await fixture.clickhouse.command({ query: `RENAME TABLE ${fixture.table} TO ${fixture.table}_away` });
  // Each batcher has all of its records in one batch.
  await signal('pause');
  await fixture.produce(500);
  await eventually(async () => expect(await buffered()).toBe(500));
  await signal('resume');
  const config = fixture.config();
  const steer = async (action: string) =>
    (await ktb(config, [action, '--pipeline', fixture.name, '--reason', 'test', '--json'])).output;
  /** What each batcher holds, by an action's answer. On a busy machine a batcher may not answer at once. */
  const heldBy = (output: string) =>
    (JSON.parse(output) as { message: string }[]).map(({ message }) => Number(/(\d+) records/.exec(message)?.[1]));
  await eventually(async () => expect(await buffered()).toBe(0), 60_000);
  await eventually(async () => {
    const told = JSON.parse(await steer('flush')) as { message: string }[];
    for (const { message } of told) expect(message).toMatch(/has failed and is tried again: .*table/);
  }, 60_000);
  const held = await Promise.all([0, 1].map(async (index) => (await fixture.batcherStatus(index)).flushing!.records));
  expect(held[0]! + held[1]!).toBe(500);
  await eventually(async () => {
    const { output: text } = await ktb(config, ['status']);
    for (const records of held) expect(text).toMatch(new RegExp(`flushing for [\\d.]+ s .* ${records} .* [\\d.]+ s `));
  });
  await eventually(async () => expect(heldBy(await steer('flush'))).toEqual(held));
  await eventually(async () => expect(heldBy(await steer('pause'))).toEqual(held));
  await steer('resume');
  await eventually(async () => expect(heldBy(await steer('drain'))).toEqual(held));
  await fixture.clickhouse.command({ query: `RENAME TABLE ${fixture.table}_away TO ${fixture.table}` });
  await expectExactlyOnce(fixture, { acksOnce: true });
});

it('flush flushes at once what waits for its delay', async () => {
  await start('10m');
  await fixture.produce(100);
  await eventually(async () => expect(await buffered()).toBe(100));
  await signal('flush');
  await expectExactlyOnce(fixture, { acksOnce: true });
  expect(await daemon.metric('ktb_flushes_total', { reason: 'signal' })).toBe(2);
});

it('new settings of the configuration reach a running batcher with the next records', async () => {
  await start('10m');
  await fixture.produce(100);
  await eventually(async () => expect(await buffered()).toBe(100));
  await daemon.stop();
  daemon = await Daemon.start(fixture.config({ batchers: 2, batch: { maxDelay: '100ms' } }));
  await fixture.produce(100);
  await expectExactlyOnce(fixture, { acksOnce: true });
});
