import { expect } from 'vitest';
import { type BatcherStatus, BATCHER } from '../../src/protocol/batcher.js';
import { batcherWorkflowId, batcherWorkflowIds } from '../../src/protocol/batcherId.js';
import { murmur2 } from '../../src/lib/murmur2.js';
import { atTestEnd, itBesideOthers as it } from '../support/besideOthers.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';

const MINUTE_MS = 60_000;

const stack = useSharedStack();

/** Records with ids of their own, for any topic. */
async function produceTo(fixture: Fixture, topic: string, records: number, firstId: number): Promise<void> {
  const messages = Array.from({ length: records }, (_, index) => {
    const id = firstId + index;
    return { key: `key-${id}`, value: JSON.stringify({ id, text: `of ${topic}` }) };
  });
  // A producer that once knew a topic which was deleted fails for all others, too.
  const producer = fixture.kafka.producer();
  await producer.connect();
  await producer.send({ topic, messages });
  await producer.disconnect();
}

const rowsByTopic = async (fixture: Fixture, table = fixture.table) =>
  Object.fromEntries(
    (
      await fixture.query<{ topic: string; rows: string }>(
        `SELECT _topic AS topic, count() AS rows FROM ${table} GROUP BY topic`,
      )
    ).map(({ topic, rows }) => [topic, Number(rows)]),
  );

it('a topic that comes to match is read from its beginning within a minute, by whichever member', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const config = fixture.config({ topics: [`/${fixture.name}\\..+/`], startFrom: 'latest' });
  const daemons = [await Daemon.start(config), await Daemon.start(config)];
  await fixture.produce(200);
  // Its dead letter and its acknowledgement match the pattern, too.
  await fixture.produce(1, () => ({ value: 'no JSON' }));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(201));

  const later = [`${fixture.name}.later`, `${fixture.name}.latest`] as const;
  for (const topic of later) {
    await fixture.createTopic(topic, 4);
    await produceTo(fixture, topic, 100, 1_000);
  }
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(401), MINUTE_MS);
  await produceTo(fixture, later[0], 100, 2_000);
  await fixture.produce(99);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(600));
  expect(await rowsByTopic(fixture)).toEqual({ [fixture.topic]: 299, [later[0]]: 200, [later[1]]: 100 });

  // Both take part, and the rest of Kafka's topics is left alone.
  await eventually(async () => {
    const assigned = await Promise.all(daemons.map((daemon) => daemon.metric('ktb_assigned_partitions')));
    expect(assigned).toEqual([8, 8]);
  });
  const { output } = await ktb(config, ['status']);
  expect(output).toContain('lag 0 records over 16 partitions');
});

it('a matched topic that is deleted while it is read holds the others up for a moment only, and nothing of them is lost', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const config = fixture.config({ topics: [`/${fixture.name}(\\..+)?/`] });
  const daemons = [await Daemon.start(config), await Daemon.start(config)];
  const gone = `${fixture.name}.gone`;
  await fixture.createTopic(gone, 4);
  await produceTo(fixture, gone, 100, 0);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100), MINUTE_MS);
  await fixture.admin.deleteTopics({ topics: [gone] });
  for (let round = 0; round < 5; round++) await fixture.produce(100);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(600), 2 * MINUTE_MS);
  // What comes to match after that is read, too.
  const later = `${fixture.name}.later`;
  await fixture.createTopic(later, 4);
  await produceTo(fixture, later, 100, 1_000);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(700), MINUTE_MS);
  expect(await rowsByTopic(fixture)).toEqual({ [fixture.topic]: 500, [gone]: 100, [later]: 100 });
  await eventually(async () => {
    for (const daemon of daemons) expect(await daemon.get('/readyz')).toMatchObject({ status: 200 });
  });
});

it('of several named topics one that is missing, at the start or later, stops no other, is named, and is read once it is there', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const missing = `${fixture.name}.missing`;
  const config = fixture.config({ topics: [fixture.topic, missing] });
  const daemons = [Daemon.launch(config), Daemon.launch(config)];
  const isNamed = async () => {
    for (const daemon of daemons) {
      await eventually(async () =>
        expect((await daemon.get('/readyz')).text).toMatch(
          new RegExp(`the consumer of pipeline ${fixture.name}: .*Kafka has no topic ${missing}`),
        ),
      );
      expect(daemon.output).toContain(`Kafka has no topic ${missing}`);
    }
  };
  await fixture.produce(100);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100), MINUTE_MS);
  await isNamed();
  await fixture.createTopic(missing, 4);
  await produceTo(fixture, missing, 100, 1_000);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(200), MINUTE_MS);
  for (const daemon of daemons) await daemon.untilReady();

  await fixture.admin.deleteTopics({ topics: [missing] });
  await fixture.produce(100);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(300), MINUTE_MS);
  await isNamed();
  // Longer than it was.
  await fixture.createTopic(missing, 4);
  await produceTo(fixture, missing, 300, 2_000);
  await fixture.produce(100);
  await eventually(
    async () => expect(await rowsByTopic(fixture)).toEqual({ [fixture.topic]: 300, [missing]: 400 }),
    MINUTE_MS,
    500,
  );
  for (const daemon of daemons) {
    await daemon.untilReady();
    expect(await daemon.metric('ktb_consumer_failures_total')).toBe(0);
  }
});

it('of members with different topics each reads its own, and every topic that one of them names is read, also one that is created later', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const [both, more, later] = ['both', 'more', 'later'].map((name) => `${fixture.name}.${name}`) as [
    string,
    string,
    string,
  ];
  for (const topic of [both, more]) await fixture.createTopic(topic, 4);
  const topics = [fixture.topic, both];
  // It leads the group, and does not know the topics of the other one.
  const leader = await Daemon.start(fixture.config({ topics }));
  const other = Daemon.launch(fixture.config({ topics: [...topics, more, later] }));
  await eventually(() => expect(other.output).toContain('Partitions assigned'), MINUTE_MS);
  for (const topic of [...topics, more]) await produceTo(fixture, topic, 100, 0);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(300), MINUTE_MS);
  await fixture.createTopic(later, 4);
  await produceTo(fixture, later, 100, 0);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(400), MINUTE_MS);
  expect(await rowsByTopic(fixture)).toEqual({ [fixture.topic]: 100, [both]: 100, [more]: 100, [later]: 100 });
  for (const daemon of [leader, other]) {
    await daemon.untilReady();
    expect(daemon.output).not.toContain('partitions of topics that it does not read');
  }
  const assigned = await Promise.all([leader, other].map((daemon) => daemon.metric('ktb_assigned_partitions')));
  expect(assigned).toEqual([10, 10]);
});

it('a member warns of topics that the leader of its group gives it although it does not read them', async () => {
  const fixture = await Fixture.create(stack());
  const foreign = `${fixture.name}.foreign`;
  await fixture.createTopic(foreign, 4);
  // As a member of an earlier version, with other topics.
  const leader = fixture.kafka.consumer({ groupId: `ktb-${fixture.name}` });
  atTestEnd(() => leader.disconnect());
  await leader.connect();
  await leader.subscribe({ topics: [fixture.topic, foreign] });
  const leads = new Promise((resolve) => leader.on(leader.events.GROUP_JOIN, resolve));
  await leader.run({ autoCommit: false, eachBatch: () => Promise.resolve() });
  await leads;
  // Named, the group is the pipeline's own, whoever reads it.
  const daemon = await Daemon.start(fixture.config({ groupId: `ktb-${fixture.name}` }));
  const warning = `partitions of topics that it does not read, so nobody reads them now: ${foreign}. End the leader`;
  await eventually(() => expect(daemon.output).toContain(warning));
  await leader.disconnect();
  await eventually(
    () => expect(daemon.output).toContain('is given only partitions of topics that it reads'),
    MINUTE_MS,
  );
});

it('without a topic that matches the daemon waits for one, ready', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const config = fixture.config({ topics: [`/${fixture.name}\\.none\\..+/`] });
  const daemon = await Daemon.start(config);
  expect(daemon.output).toContain('no topic matches');
  const topic = `${fixture.name}.none.one`;
  await fixture.createTopic(topic, 2);
  await produceTo(fixture, topic, 50, 0);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(50), MINUTE_MS);
  expect(await rowsByTopic(fixture)).toEqual({ [topic]: 50 });
});

it('each topic has its table: setup proposes it, a missing one is named and holds the records, replay and rewind find theirs', async () => {
  const fixture = await Fixture.create(stack(), { columns: 'id Int64, text String, amount UInt8' });
  await fixture.collectAcks();
  const topics = ['a', 'b-1'].map((name) => `${fixture.name}.in.${name}`) as [string, string];
  const tables = topics.map((topic) => `raw_${topic.replace(/[.-]/g, '_')}`) as [string, string];
  const config = fixture.config({ topics: [`/${fixture.name}\\.in\\..+/`], table: 'raw_{topic}' });
  await fixture.createTopic(topics[0], 4);
  await produceTo(fixture, topics[0], 100, 0);
  const daemon = Daemon.launch(config);
  const missing = (table: string) => `there is no table default.${table}: create it, or let \`ktb setup\` propose one`;
  await eventually(async () => expect((await daemon.get('/readyz')).text).toContain(missing(tables[0])));
  const check = await ktb(config, ['check', '--json']);
  expect(JSON.parse(check.output)).toContainEqual(
    expect.objectContaining({ level: 'wrong', subject: `table ${tables[0]}`, message: missing(tables[0]) }),
  );

  const setup = await ktb(config, ['setup', '--from-sample', '100']);
  expect(setup, setup.output).toMatchObject({ code: 0 });
  expect(setup.output).toContain(`table ${tables[0]}: created from 100 records`);
  await daemon.untilReady();
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100));
  expect(await rowsByTopic(fixture, tables[0])).toEqual({ [topics[0]]: 100 });

  // The next one has no table yet: what goes there is held, in words that say what to do.
  await fixture.createTopic(topics[1], 4);
  await produceTo(fixture, topics[1], 100, 1_000);
  await eventually(() => expect(daemon.output).toContain(missing(tables[1])), MINUTE_MS);
  await fixture.clickhouse.command({ query: `CREATE TABLE ${tables[1]} AS ${fixture.table}` });
  await produceTo(fixture, topics[0], 100, 2_000);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(300), MINUTE_MS);
  expect(await rowsByTopic(fixture, tables[0])).toEqual({ [topics[0]]: 200 });
  expect(await rowsByTopic(fixture, tables[1])).toEqual({ [topics[1]]: 100 });
  expect(fixture.acks.filter(({ status }) => status !== 'inserted')).toEqual([]);
  await daemon.untilReady();

  // What one table rejects is replayed to its topic, and so to that table.
  const value = JSON.stringify({ id: 5_000, text: 'large', amount: 500 });
  await fixture.producer.send({ topic: topics[1], messages: [{ key: 'large', value }] });
  await eventually(() => expect(fixture.acks.at(-1)).toMatchObject({ status: 'rejected', code: 'out_of_range' }));
  await fixture.clickhouse.command({ query: `ALTER TABLE ${tables[1]} MODIFY COLUMN amount UInt32` });
  const replay = await ktb(config, ['dlq', 'replay', fixture.name, '--all']);
  expect(replay).toMatchObject({ code: 0, output: expect.stringContaining(`1 replayed to ${topics[1]}\n`) as string });
  await eventually(async () => expect(await rowsByTopic(fixture, tables[1])).toEqual({ [topics[1]]: 101 }));

  expect(await daemon.stop()).toBe(0);
  await fixture.clickhouse.command({ query: `DELETE FROM ${tables[1]} WHERE id < 1050` });
  const rewind = await ktb(config, ['rewind', fixture.name, '--to', 'earliest']);
  expect(rewind, rewind.output).toMatchObject({ code: 0 });
  await Daemon.start(config);
  // With what was rejected: its column is wide enough by now.
  await eventually(async () => expect(await rowsByTopic(fixture, tables[1])).toEqual({ [topics[1]]: 102 }));
  expect(await rowsByTopic(fixture, tables[0])).toEqual({ [topics[0]]: 200 });
});

it('records go by what a JSON pointer leads to, and over from the key when the configuration says so', async () => {
  const fixture = await Fixture.create(stack(), { columns: 'id Int64, customer Tuple(id Int64)' });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  const produce = () => fixture.produce(300, (id) => ({ value: JSON.stringify({ id, customer: { id: id % 5 } }) }));
  await produce();
  await expectExactlyOnce(fixture);
  await daemon.stop();
  await Daemon.start(fixture.config({ shardBy: '/customer/id' }));
  await produce();
  await expectExactlyOnce(fixture);

  const layout = { batchers: 8, keyFunction: '/customer/id' } as const;
  const records = new Map<number, number>();
  for (let customer = 0; customer < 5; customer++) {
    const index = murmur2(Buffer.from(String(customer))) % layout.batchers;
    records.set(index, (records.get(index) ?? 0) + 60);
  }
  for (const [index, expected] of records) {
    const handle = fixture.temporal.workflow.getHandle(batcherWorkflowId(fixture.name, layout, index));
    const { counters } = await handle.query<BatcherStatus>(BATCHER.queries.status);
    expect(counters.records).toBe(expected);
  }
});

it('keyless records of many topics with one partition each go over from one batcher to all of them', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const topics = Array.from({ length: 12 }, (_, index) => `${fixture.name}.k${index}`);
  for (const topic of topics) await fixture.createTopic(topic, 1);
  let produced = 0;
  const produce = async (): Promise<void> => {
    for (const topic of topics) {
      const messages = Array.from({ length: 20 }, () => {
        return { key: null, value: JSON.stringify({ id: produced++, text: topic }) };
      });
      await fixture.producer.send({ topic, messages });
    }
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(produced));
    expect(await fixture.rowCounts()).toEqual({ rows: produced, identities: produced, ids: produced });
  };
  const used = async (keyless?: 'topic'): Promise<number> => {
    const layout = { batchers: 8, keyFunction: 'key', ...(keyless === undefined ? {} : { keyless }) } as const;
    const batchers = batcherWorkflowIds(fixture.name, layout);
    const statuses = await Promise.all(
      batchers.map((id) =>
        fixture.temporal.workflow
          .getHandle(id)
          .query<BatcherStatus>(BATCHER.queries.status)
          .catch(() => null),
      ),
    );
    return statuses.filter((status) => (status?.counters.records ?? 0) > 0).length;
  };
  const pipeline = { topics: [`/${fixture.name}\\.k\\d+/`] };
  const daemon = await Daemon.start(fixture.config({ ...pipeline, keyless: 'partition' }));
  await produce();
  expect(await used()).toBe(1);
  await daemon.stop();
  await Daemon.start(fixture.config(pipeline));
  await produce();
  expect(await used('topic')).toBeGreaterThan(3);
});
