import { expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { FaultyProxy } from '../support/faultyProxy.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();

/** A minute for the link, and what a loaded machine adds. */
const MINUTE_AND_MARGIN_MS = 80_000;

for (const part of ['kafka', 'temporal', 'clickhouse'] as const) {
  it(`connections to ${part} that swallow answers cost no more than a minute, where new ones work`, async () => {
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const address = {
      kafka: stack().kafka.brokers[0]!,
      temporal: stack().temporal.address,
      clickhouse: new URL(stack().clickhouse.url).host,
    }[part];
    const proxy = await FaultyProxy.start(address, { advertises: part === 'kafka' });
    onTestFinished(() => proxy.close());
    const daemon = await Daemon.start(fixture.config().replaceAll(address, `127.0.0.1:${proxy.port}`));
    const load = steadyLoad(fixture, 200);
    await eventually(() => expect(fixture.acks.length).toBeGreaterThan(500));
    expect(proxy.silence()).toBeGreaterThan(0);
    const before = fixture.acks.length;
    // Some were on their way.
    await eventually(() => expect(fixture.acks.length).toBeGreaterThan(before + 3_000), MINUTE_AND_MARGIN_MS, 500);
    await load.stop();
    await expectExactlyOnce(fixture);
    expect(daemon.running).toBe(true);
  });
}

it('a daemon drains and ends in time, in order, while connections to kafka swallow the answers that it waits for', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const address = stack().kafka.brokers[0]!;
  const proxy = await FaultyProxy.start(address, { advertises: true });
  onTestFinished(() => proxy.close());
  const { shutdown: _, ...config } = parse(fixture.config()) as Record<string, unknown>;
  const text = stringify({ ...config, shutdown: { deadline: '3s' } });
  const daemon = await Daemon.start(text.replaceAll(address, `127.0.0.1:${proxy.port}`));
  const load = steadyLoad(fixture, 200);
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(500));
  expect(proxy.silence()).toBeGreaterThan(0);
  // Acknowledgements were sent, and their answers are due.
  await eventually(async () => expect(await daemon.metric('ktb_publish_errors_total')).toBeGreaterThan(0), 30_000);
  await load.stop();
  // Otherwise it would be cut off, with 1.
  expect(await daemon.stop()).toBe(0);
  await eventually(() => expect(daemon.logs().map(({ message }) => message)).toContain('Ended'));
});
