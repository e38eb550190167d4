import { beforeAll, expect, it } from 'vitest';
import { repairKafkajs } from '../../src/kafka/kafkajs/repairs.js';
import { rangesOf, readRanges, type PassedOver } from '../../src/kafka/readRanges.js';
import { Fixture } from '../support/fixture.js';
import { produceUnreadable } from '../support/unreadable.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

// As the commands' own clients are.
beforeAll(repairKafkajs);
/** Long before the time after which nothing new is an error. */
const SOON_MS = 60_000;

/** The offsets that a read of all of a fixture's topic hands over, and what it passes over. */
async function read(fixture: Fixture, passedOver: PassedOver[] = []): Promise<number[]> {
  const offsets: number[] = [];
  await readRanges(fixture.kafka, fixture.admin, await rangesOf(fixture.admin, [fixture.topic]), {
    record: ({ offset }) => {
      offsets.push(offset);
      return false;
    },
    passedOver: (unreadable) => passedOver.push(unreadable),
  });
  return offsets;
}

const passedOver = ({ reason }: PassedOver): never => expect.unreachable(reason);

it(
  'a read ends at the end of a log that ends with control records and an aborted transaction',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: 1 });
    await fixture.produce(10);
    const producer = fixture.kafka.producer({ transactionalId: `${fixture.name}-reads`, idempotent: true });
    await producer.connect();
    for (const end of ['commit', 'abort'] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: fixture.topic, messages: [{ value: end }, { value: end }] });
      await transaction[end]();
    }
    await producer.disconnect();
    expect(await read(fixture)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  },
  SOON_MS,
);

it('a time before 1970 stands for the start of the log, also where its number means the end to Kafka', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  for (const at of ['1900-01-01T00:00:00Z', '1960-01-01T00:00:00Z', '2020-01-01T00:00:00Z'])
    await fixture.producer.send({
      topic: fixture.topic,
      messages: [{ value: at, timestamp: String(Date.parse(at)) }],
    });
  const firstSince = async (sinceMs: number) => (await rangesOf(fixture.admin, [fixture.topic], sinceMs))[0]?.from;
  for (const sinceMs of [-1, -2, -3, -6, Date.parse('1950-01-01T00:00:00Z')])
    expect(await firstSince(sinceMs), String(sinceMs)).toBe(0);
  expect(await firstSince(0)).toBe(2);
});

it(
  'a read ends where retention has taken what was to be read',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: 1 });
    await fixture.produce(10);
    const ranges = await rangesOf(fixture.admin, [fixture.topic]);
    await fixture.removeBefore(10);
    const offsets: number[] = [];
    await readRanges(fixture.kafka, fixture.admin, ranges, {
      record: ({ offset }) => offsets.push(offset) < 0,
      passedOver,
    });
    expect(offsets).toEqual([]);
  },
  SOON_MS,
);

it(
  'a read ends where a transaction is still open',
  async () => {
    const fixture = await Fixture.create(stack(), { partitions: 1 });
    await fixture.produce(3);
    const producer = fixture.kafka.producer({ transactionalId: `${fixture.name}-open`, idempotent: true });
    await producer.connect();
    const transaction = await producer.transaction();
    await transaction.send({ topic: fixture.topic, messages: [{ value: 'open' }] });
    expect(await read(fixture)).toEqual([0, 1, 2]);
    await transaction.abort();
    await producer.disconnect();
  },
  SOON_MS,
);

it('what a producer made unreadable is passed over and told once, and what lies behind it is read', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const unreadable: PassedOver[] = [];
  await fixture.produce(3);
  await produceUnreadable(fixture.producer, fixture.topic);
  await fixture.produce(2);
  expect(await read(fixture, unreadable)).toEqual([0, 1, 2, 4, 5]);
  const reason = `the record at offset 3 of ${fixture.topic}/0 cannot be read: it has 524289 headers; 524288 are taken`;
  expect(unreadable).toEqual([{ topic: fixture.topic, partition: 0, from: 3, to: 4, reason }]);
});

it('a read that cannot come to its end is an error that says how far it came', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.produce(3);
  const [range] = await rangesOf(fixture.admin, [fixture.topic]);
  const beyond = [{ ...range!, to: 5 }];
  await expect(
    readRanges(fixture.kafka, fixture.admin, beyond, { record: () => false, passedOver }, 8_000),
  ).rejects.toThrow(/not read to its end: .*\/0 was read up to offset 3 of 5; nothing has come for 8 s/);
});

it('what the handler throws ends the read', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.produce(3);
  const ranges = await rangesOf(fixture.admin, [fixture.topic]);
  const seen: number[] = [];
  const reading = readRanges(fixture.kafka, fixture.admin, ranges, {
    record: ({ offset }) => {
      seen.push(offset);
      throw new Error('enough');
    },
    passedOver,
  });
  await expect(reading).rejects.toThrow('enough');
  expect(seen).toEqual([0]);
});
