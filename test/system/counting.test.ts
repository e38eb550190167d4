import { describe, expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;
let daemon: Daemon | undefined;

async function run(options: FixtureOptions, records: number): Promise<void> {
  fixture = await Fixture.create(stack(), options);
  await fixture.collectAcks();
  await fixture.produce(records);
  daemon = await Daemon.start(fixture.config());
  await expectExactlyOnce(fixture, { acksOnce: true });
}

describe('every record becomes one row and one acknowledgement, and its offset is committed', () => {
  it('50,000 records over 8 partitions', async () => {
    await run({}, 50_000);
    expect((await fixture.offsets()).every(({ metadata }) => /^ktb1;[0-9a-f]{12};8-key;/.test(metadata ?? ''))).toBe(
      true,
    );
    expect(daemon?.logs().filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('one record a signal', async () => {
    await run({ pipeline: { signal: { maxRecords: 1 } } }, 2_000);
  });

  it('fewer partitions than batchers, and more', async () => {
    await run({ partitions: 2, pipeline: { batchers: 5 } }, 5_000);
  });
});

it('a trickle of single records is flushed by delay, each within seconds', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batch: { maxDelay: '200ms' } } });
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config());
  for (let id = 0; id < 5; id++) {
    await fixture.produce(1);
    await eventually(() => expect(fixture.acks).toHaveLength(id + 1), 10_000);
  }
  await expectExactlyOnce(fixture, { acksOnce: true });
  expect(await daemon.metric('ktb_flushes_total', { reason: 'delay' })).toBe(5);
});
