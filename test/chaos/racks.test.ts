import type { Consumer, ConsumerConfig, Kafka } from 'kafkajs';
import { pino } from 'pino';
import { afterEach, expect, it, onTestFinished } from 'vitest';
import type { KafkaConfig } from '../../src/config/config.js';
import { createKafka } from '../../src/kafka/clients.js';
import { GroupMember } from '../../src/kafka/groupMember.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';

/** Each broker is in a rack of its own, and tells consumers which replica is nearest. */
const stack = useStack({
  brokers: 3,
  kafkaConfig: {
    'broker.rack': 'rack-{node}',
    'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
  },
});
const SLOW_MS = 480_000;
const PARTITIONS = 12;

afterEach(async () => {
  await Promise.all(stack().parts.kafka.map((broker) => broker.start()));
});

/** Reads a topic as a member in a rack, and counts the bytes of the fetches by broker. */
async function bytesByBroker(fixture: Fixture, rackId: string | null): Promise<Map<string, number>> {
  const bytes = new Map<string, number>();
  const config: KafkaConfig = {
    ...{ brokers: stack().kafka.brokers, clientId: 'racks', rackId, ssl: false, sasl: null },
    ...{ connectionTimeoutMs: 5_000, requestTimeoutMs: 30_000, sessionTimeoutMs: 30_000 },
  };
  const kafka = createKafka(config, pino({ level: 'silent' }));
  const consumer = (options: ConsumerConfig): Consumer => {
    const made = kafka.consumer(options);
    made.on(made.events.REQUEST, ({ payload: { apiName, broker, size } }) => {
      if (apiName === 'Fetch') bytes.set(broker, (bytes.get(broker) ?? 0) + size);
    });
    return made;
  };
  let read = 0;
  const nothing = (): void => undefined;
  const member = new GroupMember(
    { consumer } as unknown as Kafka,
    { groupId: `${fixture.name}.${rackId}`, sessionTimeoutMs: 30_000, rackId: rackId ?? undefined },
    {
      ...{ joining: nothing, joined: nothing, outOfRange: nothing, partitionError: nothing, emptyBatch: nothing },
      ...{ failed: nothing, steady: nothing, leftBadly: nothing },
      batch: (given) => {
        read += (given as unknown as { batch: { messages: readonly unknown[] } }).batch.messages.length;
        return Promise.resolve();
      },
    },
  );
  onTestFinished(() => member.leave());
  await member.join([fixture.topic]);
  await eventually(() => expect(read).toBeGreaterThanOrEqual(fixture.produced), 120_000);
  await member.leave();
  return bytes;
}

it(
  'records come from the replica in the rack, and without a rack from all brokers',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: PARTITIONS, producer: 'repeating' });
    await fixture.produce(20_000, (id) => ({ value: JSON.stringify({ id, text: `${id}`.repeat(200) }) }));
    const shares = async (rackId: string | null): Promise<number[]> => {
      const bytes = await bytesByBroker(fixture, rackId);
      const all = [...bytes.values()].reduce((sum, one) => sum + one, 0);
      return stack().kafka.brokers.map((broker) => (bytes.get(broker) ?? 0) / all);
    };
    const [, second = 0] = await shares('rack-2');
    expect(second).toBeGreaterThan(0.9);
    for (const share of await shares(null)) expect(share).toBeGreaterThan(0.15);
    for (const share of await shares('rack-of-nobody')) expect(share).toBeGreaterThan(0.15);
  },
  SLOW_MS,
);

it(
  'the broker in the rack goes away under load and comes back: reading goes on, and nothing is lost',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: PARTITIONS, producer: 'repeating' });
    await fixture.collectAcks();
    const daemon = await Daemon.start(fixture.config().replace('kafka:\n', 'kafka:\n  rackId: rack-2\n'));
    const load = steadyLoad(fixture, 500);
    const untilAcknowledged = (more: number) => {
      const from = acknowledged(fixture.acks);
      return eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(from + more), 120_000);
    };
    await untilAcknowledged(2_000);
    const [, broker] = stack().parts.kafka;
    await broker?.kill();
    await untilAcknowledged(5_000);
    await broker?.start();
    await untilAcknowledged(5_000);
    await load.stop();
    const records = (await fixture.offsets()).reduce((sum, { end }) => sum + end, 0);
    await expectExactlyOnce(fixture, { records, ids: fixture.produced });
    await daemon.untilReady();
  },
  SLOW_MS,
);
