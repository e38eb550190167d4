import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { keepCoordinatorOnOneBroker } from '../support/cluster.js';
import { expectCausesToldOnce } from '../support/consumerLog.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';

const SLOW_MS = 480_000;

const stack = useStack({ brokers: 3 });

it(
  'the group has no coordinator for a minute: nothing is lost or doubled, and the daemon goes on',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: 6, producer: 'repeating' });
    const daemon = await Daemon.start(fixture.config());
    await fixture.produce(1_000);
    await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(1_000));
    const coordinator = stack().parts.kafka[await keepCoordinatorOnOneBroker(fixture)];
    const load = steadyLoad(fixture, 200);
    await coordinator?.stop();
    await sleep(60_000);
    expect(await daemon.metric('ktb_consumer_failures_total')).toBeGreaterThan(0);
    expect((await daemon.get('/readyz')).text).toContain(`the consumer of pipeline ${fixture.name}`);
    await coordinator?.start();
    await load.stop();
    // Not by acknowledgements: whoever collects them may be a member of a group without a coordinator, too.
    await eventually(
      async () => {
        const offsets = await fixture.offsets();
        expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ end }) => end));
        const rows = offsets.reduce((sum, { end }) => sum + end, 0);
        expect(await fixture.rowCounts()).toEqual({ rows, identities: rows, ids: fixture.produced });
      },
      120_000,
      500,
    );
    expect(daemon.running).toBe(true);
    await daemon.untilReady();
    expectCausesToldOnce(daemon, fixture);
  },
  SLOW_MS,
);
