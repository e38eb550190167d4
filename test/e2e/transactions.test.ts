import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;
let daemon: Daemon;

it('records of committed transactions only: aborted ones and control records are no gap, wherever they lie', async () => {
  fixture = await Fixture.create(stack(), { partitions: 2 });
  await fixture.collectAcks();
  const producer = fixture.kafka.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId: fixture.name });
  await producer.connect();
  let id = 0;
  const transaction = async (records: number, end: 'commit' | 'abort') => {
    const current = await producer.transaction();
    const messages = Array.from({ length: records }, (_, index) => {
      const own = end === 'commit' ? id++ : -1 - index;
      return { key: `key-${index}`, value: JSON.stringify({ id: own, text: end }) };
    });
    await current.send({ topic: fixture.topic, messages });
    await current[end]();
  };
  await transaction(50, 'abort');
  await transaction(1, 'abort');
  await transaction(50, 'commit');
  daemon = await Daemon.start(fixture.config());
  for (let round = 0; round < 5; round++) {
    await transaction(20, 'abort');
    await transaction(20, 'commit');
  }
  await transaction(10, 'abort');
  await producer.disconnect();
  await expectExactlyOnce(fixture, { acksOnce: true, records: id });
  expect(await daemon.metric('ktb_offset_gaps_total')).toBe(0);
});

it('a compacted topic: offsets that are gone are no gap', async () => {
  fixture = await Fixture.create(stack(), {
    partitions: 1,
    topicConfig: {
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.001',
      'segment.ms': '100',
      'delete.retention.ms': '0',
    },
  });
  await fixture.collectAcks();
  await fixture.produce(3_000, (id) => ({ key: `key-${id % 10}` }));
  await fixture.untilCompacted();
  await fixture.produce(10, (id) => ({ key: `new-${id}` }));
  daemon = await Daemon.start(fixture.config());
  await fixture.produce(500);
  const survivors = await fixture.recordsInTopic();
  expect(survivors).toBeLessThan(3_000);
  await expectExactlyOnce(fixture, { acksOnce: true, records: survivors });
  expect(await daemon.metric('ktb_offset_gaps_total')).toBe(0);
});
