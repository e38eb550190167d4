import { expect, it, onTestFinished } from 'vitest';
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
