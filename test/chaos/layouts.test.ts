import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';
import type { ConfigInput } from '../../src/config/schema.js';

type Layout = Pick<ConfigInput['pipelines'][string], 'batchers' | 'shardBy'>;

const stack = useStack();
let fixture: Fixture;

function start(layout: Layout): Promise<Daemon> {
  return Daemon.start(fixture.config(layout));
}

const layouts = async () => [...new Set((await fixture.offsets()).map(({ metadata }) => metadata?.split(';')[2]))];
/** Temporal gives tasks to the polls of a frozen worker for up to a minute, and takes each back after 30 s. */
const untilLayout = (name: string) => eventually(async () => expect(await layouts()).toEqual([name]), 120_000);
const untilAcknowledged = (more: number) => {
  const from = acknowledged(fixture.acks);
  return eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(from + more), 60_000);
};

/** Ids grow per key: what a key's rows were inserted by came in their order. */
async function expectKeysInOrder(): Promise<void> {
  const last = new Map<string, number>();
  const byPartition = new Map<string, number>();
  for (const { key, offset, partition } of fixture.acks) {
    const name = `${partition}/${key}`;
    // A repeated acknowledgement is no record out of order.
    if ((byPartition.get(name) ?? -1) >= offset) continue;
    byPartition.set(name, offset);
    last.set(name, offset);
  }
  const [disorder] = await fixture.query<{ keys: string }>(
    `SELECT count() AS keys FROM (
       SELECT _key, _partition, groupArray(_offset) AS offsets FROM (SELECT * FROM ${fixture.table} ORDER BY inserted, _offset)
       GROUP BY _key, _partition HAVING offsets != arraySort(offsets))`,
  );
  expect(Number(disorder?.keys)).toBe(0);
}

it('from 8 batchers to 12 and back under load: nothing lost, nothing twice, keys in order', async () => {
  fixture = await Fixture.create(stack(), {
    columns: 'id Int64, text String, inserted DateTime64(6) DEFAULT now64(6)',
    pipeline: { batch: { maxDelay: '300ms' } },
  });
  await fixture.collectAcks();
  let daemon = await start({ batchers: 8 });
  const load = steadyLoad(fixture, 1_000);
  await untilAcknowledged(2_000);
  await daemon.stop();
  daemon = await start({ batchers: 12 });
  await untilLayout('12-key');
  await untilAcknowledged(2_000);
  await daemon.kill();
  await start({ batchers: 8 });
  await untilLayout('8-key');
  await untilAcknowledged(2_000);
  await load.stop();
  await expectExactlyOnce(fixture);
  await expectKeysInOrder();
});

it('to another key function, killed again and again during the change', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batch: { maxDelay: '300ms' } } });
  await fixture.collectAcks();
  const daemon = await start({ batchers: 4, shardBy: 'key' });
  const load = steadyLoad(fixture, 1_000);
  await untilAcknowledged(2_000);
  await daemon.kill();
  for (let round = 0; round < 4; round++) {
    const dying = await start({ batchers: 4, shardBy: 'partition' });
    await eventually(async () => {
      const states = (await fixture.offsets()).map(({ metadata }) => metadata ?? '');
      expect(states.filter((text) => text.includes('closing') || text.includes('4-partition')).length).toBeGreaterThan(
        round * 2,
      );
    });
    await dying.kill();
  }
  await start({ batchers: 4, shardBy: 'partition' });
  await untilLayout('4-partition');
  await load.stop();
  await expectExactlyOnce(fixture);
});

it('a rolling update: members of both layouts at once, and the old one wakes up late', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batch: { maxDelay: '300ms' } } });
  await fixture.collectAcks();
  const old = await start({ batchers: 3 });
  const load = steadyLoad(fixture, 1_000);
  await untilAcknowledged(2_000);
  const next = await start({ batchers: 5 });
  await untilAcknowledged(4_000);
  // Frozen with signals in flight and records in its lanes; its session ends, its partitions go to the new member.
  old.signal('SIGSTOP');
  await untilLayout('5-key');
  await untilAcknowledged(2_000);
  old.signal('SIGCONT');
  await untilAcknowledged(2_000);
  await old.stop();
  await untilLayout('5-key');
  await load.stop();
  await expectExactlyOnce(fixture);
  expect(next.running).toBe(true);
});
