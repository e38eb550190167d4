import { describe, expect, it } from 'vitest';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const shared = useSharedDaemon(stack, {
  many: {},
  signals: { pipeline: { signal: { maxRecords: 1 } } },
  partitions: { partitions: 2, pipeline: { batchers: 5 } },
  trickle: { pipeline: { batch: { maxDelay: '200ms' } } },
});

async function run(name: Parameters<typeof shared.fixture>[0], records: number): Promise<void> {
  const fixture = shared.fixture(name);
  await fixture.collectAcks();
  await fixture.produce(records);
  await expectExactlyOnce(fixture, { acksOnce: true });
}

describe('every record becomes one row and one acknowledgement, and its offset is committed', () => {
  it('50,000 records over 8 partitions', async () => {
    await run('many', 50_000);
    const offsets = await shared.fixture('many').offsets();
    expect(offsets.every(({ metadata }) => /^ktb1;[0-9a-f]{12}\.[0-9a-f]{6};8-key;/.test(metadata ?? ''))).toBe(true);
    expect(
      shared
        .daemon()
        .logs()
        .filter(({ level }) => level !== 'info'),
    ).toEqual([]);
  });

  it('one record a signal', () => run('signals', 1_000));

  it('fewer partitions than batchers, and more', () => run('partitions', 5_000));
});

it('a trickle of single records is flushed by delay, each within seconds', async () => {
  const fixture = shared.fixture('trickle');
  await fixture.collectAcks();
  for (let id = 0; id < 5; id++) {
    await fixture.produce(1);
    await eventually(() => expect(fixture.acks).toHaveLength(id + 1), 10_000);
  }
  await expectExactlyOnce(fixture, { acksOnce: true });
  expect(await shared.daemon().metric('ktb_flushes_total', { pipeline: fixture.name, reason: 'delay' })).toBe(5);
});
