import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
let fixture: Fixture;
let daemon: Daemon | undefined;

async function start(options: FixtureOptions = {}): Promise<void> {
  fixture = await Fixture.create(stack(), { partitions: 2, ...options });
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config());
}

async function restart(whileStopped: () => Promise<void>): Promise<void> {
  await daemon?.stop();
  await whileStopped();
  daemon = await Daemon.start(fixture.config());
}

const groupId = () => `ktb-${fixture.name}`;
const epochs = async () => new Set((await fixture.offsets()).map(({ metadata }) => metadata?.split(';')[1])).size;

async function recreateTopic(): Promise<void> {
  await fixture.admin.deleteTopics({ topics: [fixture.topic] });
  await eventually(async () => expect(await fixture.admin.listTopics()).not.toContain(fixture.topic));
  await eventually(() => fixture.admin.createTopics({ topics: [{ topic: fixture.topic, numPartitions: 2 }] }));
}

describe('the group has lost its offsets', () => {
  it('and the log is the same: it is read again under the same epoch, and nothing comes twice', async () => {
    await start();
    await fixture.produce(1_000);
    await expectExactlyOnce(fixture);
    const before = await fixture.offsets();
    await restart(() => fixture.admin.deleteGroups([groupId()]).then(() => undefined));
    await fixture.produce(1_000);
    await expectExactlyOnce(fixture);
    expect((await fixture.offsets()).map(({ metadata }) => metadata)).toEqual(before.map(({ metadata }) => metadata));
  });

  it.each([
    ['records had arrived that nobody read: they are read', {}],
    ['startFrom is latest: what batchers know is read on, not skipped', { pipeline: { startFrom: 'latest' } }],
  ])('and %s', async (_, options) => {
    await start(options);
    await fixture.produce(500);
    await expectExactlyOnce(fixture);
    await restart(async () => {
      await fixture.produce(500);
      await fixture.admin.deleteGroups([groupId()]);
    });
    await expectExactlyOnce(fixture);
  });

  it('and the last record had an empty value: the log is known again all the same', async () => {
    await start({ partitions: 1 });
    await fixture.produce(500);
    await expectExactlyOnce(fixture);
    await fixture.produce(1, () => ({ key: 'k', value: '' }));
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(501));
    const before = await epochs();
    await restart(() => fixture.admin.deleteGroups([groupId()]).then(() => undefined));
    await fixture.produce(100);
    await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThanOrEqual(601));
    await eventually(async () => expect((await fixture.offsets()).map(({ committed }) => committed)).toEqual([601]));
    expect(await fixture.rowCounts()).toEqual({ rows: 600, identities: 600, ids: 600 });
    expect(await epochs()).toBe(before);
  });

  it('and the last record was too large for a signal: the log is known again all the same', async () => {
    await start({ partitions: 1 });
    await fixture.alterTopics([fixture.topic, fixture.deadLetterTopic], { 'max.message.bytes': '10000000' });
    await fixture.produce(500);
    const large = JSON.stringify({ text: randomBytes(3_000_000).toString('base64') });
    await fixture.produce(1, () => ({ value: large }));
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(501));
    const before = await fixture.offsets();
    await restart(() => fixture.admin.deleteGroups([groupId()]).then(() => undefined));
    await fixture.produce(100);
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(601));
    expect(await fixture.rowCounts()).toEqual({ rows: 600, identities: 600, ids: 600 });
    expect((await fixture.offsets()).map(({ metadata }) => metadata)).toEqual(before.map(({ metadata }) => metadata));
  });
});

it('with startFrom: latest nothing is skipped that is written after the first start, though nothing had come by then', async () => {
  fixture = await Fixture.create(stack(), { partitions: 2, pipeline: { startFrom: 'latest' } });
  await fixture.collectAcks();
  await fixture.produce(50);
  daemon = await Daemon.start(fixture.config());
  await restart(() => fixture.produce(100));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100));

  // To a partition that the members do not know of yet.
  await fixture.admin.createPartitions({ topicPartitions: [{ topic: fixture.topic, count: 3 }] });
  const producer = fixture.kafka.producer();
  await producer.connect();
  const messages = Array.from({ length: 100 }, (_, id) => ({
    partition: 2,
    value: JSON.stringify({ id: 1_000 + id }),
  }));
  await eventually(() => producer.send({ topic: fixture.topic, messages }));
  await producer.disconnect();
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(200), 120_000);
  expect(await fixture.rowCounts()).toEqual({ rows: 200, identities: 200, ids: 200 });
});

it('a topic recreated with the group stopped is another log: all of it is ingested', async () => {
  await start();
  await fixture.produce(1_000);
  await expectExactlyOnce(fixture);
  await restart(async () => {
    await recreateTopic();
    await fixture.produce(1_000);
  });
  await eventually(async () => expect((await fixture.rowCounts()).ids).toBe(2_000));
  expect(await fixture.rowCounts()).toEqual({ rows: 2_000, identities: 2_000, ids: 2_000 });
});

it('a topic recreated under the running group is another log: all of it is ingested', async () => {
  await start();
  await fixture.produce(2_000);
  await expectExactlyOnce(fixture);
  await recreateTopic();
  await fixture.produce(500);
  await eventually(async () => expect((await fixture.rowCounts()).ids).toBe(2_500), 120_000);
  expect(await fixture.rowCounts()).toEqual({ rows: 2_500, identities: 2_500, ids: 2_500 });
});

it('offsets reset by a person are ingested again, under a new epoch', async () => {
  await start();
  await fixture.produce(1_000);
  await expectExactlyOnce(fixture);
  await restart(() =>
    fixture.admin.setOffsets({
      groupId: groupId(),
      topic: fixture.topic,
      partitions: [0, 1].map((partition) => ({ partition, offset: '0' })),
    }),
  );
  await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(2_000));
  expect(await fixture.rowCounts()).toEqual({ rows: 2_000, identities: 2_000, ids: 1_000 });
  expect(await epochs()).toBe(2);
});

it('a crash is no rewind: what was not committed yet comes again under the same epoch', async () => {
  await start();
  for (let round = 1; round <= 4; round++) {
    await fixture.produce(2_000);
    await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan((round - 1) * 2_000));
    await daemon?.kill();
    daemon = await Daemon.start(fixture.config());
  }
  await expectExactlyOnce(fixture);
});

it('a topic is deleted and created again at once while its partition is paused for room: the new one is read from its start', async () => {
  await start({ partitions: 1, pipeline: { batchers: 1, maxBuffered: '1MiB' } });
  await fixture.produce(100);
  await expectExactlyOnce(fixture);
  await stack().parts.temporal.suspend();
  try {
    await fixture.produce(3_000, (id) => ({ value: JSON.stringify({ id, text: 'y'.repeat(1_000) }) }));
    await eventually(async () => expect(await daemon?.metric('ktb_paused_partitions')).toBe(1));
    await fixture.admin.deleteTopics({ topics: [fixture.topic] });
    const again = { topic: fixture.topic, numPartitions: 1 };
    await eventually(() => fixture.admin.createTopics({ waitForLeaders: false, topics: [again] }), 30_000, 5);
    const producer = fixture.kafka.producer();
    await producer.connect();
    const messages = Array.from({ length: 5_000 }, (_, id) => ({
      key: `n${id}`,
      value: JSON.stringify({ id: 100_000 + id, text: 'new' }),
    }));
    await eventually(() => producer.send({ topic: fixture.topic, messages }));
    await producer.disconnect();
  } finally {
    await stack().parts.temporal.resume();
  }
  const ofNewLog = `SELECT count() AS rows, uniqExact(id) AS ids, min(_offset) AS first FROM ${fixture.table} WHERE id >= 100000`;
  await eventually(async () => expect(await fixture.query(ofNewLog)).toEqual([{ rows: 5_000, ids: 5_000, first: 0 }]));
});
