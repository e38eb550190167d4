import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();

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
