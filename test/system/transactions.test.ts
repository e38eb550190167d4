import { ConfigResourceTypes, type Transaction } from 'kafkajs';
import { expect, it } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { committedByJava } from '../support/javaClients.js';
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
  // Nothing is compacted from now on: a record that is gone after it was read would be missing below.
  await fixture.admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: ConfigResourceTypes.TOPIC,
        name: fixture.topic,
        configEntries: [
          { name: 'cleanup.policy', value: 'compact' },
          { name: 'min.compaction.lag.ms', value: String(24 * 3_600_000) },
        ],
      },
    ],
  });
  await fixture.produce(10, (id) => ({ key: `new-${id}` }));
  daemon = await Daemon.start(fixture.config());
  await fixture.produce(500);
  const survivors = await fixture.recordsInTopic();
  expect(survivors).toBeLessThan(3_000);
  await expectExactlyOnce(fixture, { acksOnce: true, records: survivors });
  expect(await daemon.metric('ktb_offset_gaps_total')).toBe(0);
});

it('transactions of several producers that interleave and abort: rows are what Kafka’s own consumer takes for committed', async () => {
  fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.collectAcks();
  const producers = await Promise.all(
    ['one', 'two', 'three'].map(async (name) => {
      const transactionalId = `${fixture.name}.${name}`;
      const producer = fixture.kafka.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId });
      await producer.connect();
      return producer;
    }),
  );
  let id = 0;
  const write = async (to: Pick<Transaction, 'send'>, key: Buffer | string = 'key') => {
    const value = JSON.stringify({ id: id++, text: 'x' });
    await to.send({ topic: fixture.topic, messages: [{ key, value }] });
  };
  /** They begin one after the other, write by turns, and end in the order given. */
  const interleave = async (ends: readonly (readonly [producer: number, end: 'abort' | 'commit'])[]) => {
    const transactions = new Map<number, Transaction>();
    for (const [index] of ends.toSorted(([one], [other]) => one - other)) {
      const transaction = await producers[index]!.transaction();
      transactions.set(index, transaction);
      await write(transaction);
    }
    await write(fixture.producer);
    for (const [index, end] of ends) {
      for (const transaction of transactions.values()) await write(transaction);
      // The key of an abort marker.
      for (const transaction of transactions.values()) await write(transaction, Buffer.alloc(4));
      await transactions.get(index)![end]();
      transactions.delete(index);
    }
  };
  await interleave([
    [1, 'abort'],
    [0, 'abort'],
    [2, 'abort'],
  ]);
  await interleave([
    [2, 'commit'],
    [0, 'abort'],
    [1, 'abort'],
  ]);
  await interleave([
    [0, 'abort'],
    [2, 'abort'],
    [1, 'commit'],
  ]);
  await Promise.all(producers.map((producer) => producer.disconnect()));
  const committed = await committedByJava({ brokers: stack().kafka.brokers, topic: fixture.topic });
  const ids = committed.map((value) => (JSON.parse(value) as { id: number }).id).toSorted((one, other) => one - other);
  expect(ids.length).toBeLessThan(id);
  daemon = await Daemon.start(fixture.config());
  await expectExactlyOnce(fixture, { acksOnce: true, records: ids.length });
  const rows = await fixture.query<{ id: string }>(`SELECT id FROM ${fixture.table} ORDER BY id`);
  expect(rows.map((row) => Number(row.id))).toEqual(ids);
  expect(await daemon.metric('ktb_offset_gaps_total')).toBe(0);
});

it('an offset that a tool has set within an open transaction is gone on from: what lies before is not read', async () => {
  fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.collectAcks();
  await fixture.produce(10);
  const producer = fixture.kafka.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId: fixture.name });
  await producer.connect();
  const transaction = await producer.transaction();
  await transaction.send({ topic: fixture.topic, messages: [{ value: JSON.stringify({ id: 10, text: 'open' }) }] });
  // As Kafka's own tool sets the end of a log: with what is not committed yet.
  const partitions = [{ partition: 0, offset: '11' }];
  await fixture.admin.setOffsets({ groupId: `ktb-${fixture.name}`, topic: fixture.topic, partitions });
  daemon = await Daemon.start(fixture.config());
  await transaction.commit();
  await producer.disconnect();
  await fixture.produce(5);
  await expectExactlyOnce(fixture, { acksOnce: true, records: 5 });
  expect(fixture.acks.filter(({ offset }) => offset < 11)).toEqual([]);
});

it('what waits behind an open transaction is counted as lag, and status and where say why it waits', async () => {
  fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config());
  await fixture.produce(10);
  await expectExactlyOnce(fixture);
  const producer = fixture.kafka.producer({ idempotent: true, maxInFlightRequests: 1, transactionalId: fixture.name });
  await producer.connect();
  const open = await producer.transaction();
  await open.send({ topic: fixture.topic, messages: [{ key: 'a', value: JSON.stringify({ id: 5_000, text: 'x' }) }] });
  await fixture.produce(100);
  await eventually(async () => expect(await daemon.metric('ktb_lag_records')).toBe(101));
  const status = await ktb(fixture.config(), ['status']);
  expect(status.output).toContain('lag 101 records');
  expect(status.output).toContain(`${fixture.topic}/0: nothing is read from offset 10 on: a transaction`);
  const where = await ktb(fixture.config(), ['where', `${fixture.topic}/0/50`]);
  expect(where.output).toContain('written, but not to be read yet');
  expect((await ktb(fixture.config(), ['where', `${fixture.topic}/0/500`])).output).toContain('not written yet');
  await open.abort();
  await producer.disconnect();
  await expectExactlyOnce(fixture);
  await eventually(async () => expect(await daemon.metric('ktb_lag_records')).toBeLessThanOrEqual(1));
});
