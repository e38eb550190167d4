import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import { itBesideOthers as it } from '../support/besideOthers.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

it('refuses a wrong configuration with every problem and exit code 2', async () => {
  const daemon = Daemon.launch('pipelines: { orders: { topic: [orders], table: "one.two.three" } }');
  expect(await daemon.exited).toBe(2);
  for (const problem of [
    'unknown key; did you mean topics?',
    'topics: is missing',
    'table: must be table or database.table',
  ]) {
    expect(daemon.output).toContain(problem);
  }
});

it('waits for what is missing, says so once and what to do, and starts by itself when it is there', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  await fixture.produce(10);
  await fixture.clickhouse.command({ query: `RENAME TABLE ${fixture.table} TO ${fixture.table}_away` });
  await fixture.admin.deleteTopics({ topics: [fixture.deadLetterTopic] });
  const daemon = Daemon.launch(fixture.config());
  await eventually(() => expect(daemon.logs().filter(({ level }) => level === 'warn')).toHaveLength(2));
  expect(daemon.output).toContain(`Kafka has no topic ${fixture.deadLetterTopic}: create it, or run \`ktb setup\``);
  expect(daemon.output).toContain(
    `there is no table default.${fixture.table}: create it, or let \`ktb setup\` propose one`,
  );
  expect((await daemon.get('/livez')).status).toBe(200);
  expect((await daemon.get('/readyz')).status).toBe(503);
  await eventually(async () => expect(await daemon.metric('ktb_dependency_up', { dependency: 'temporal' })).toBe(1));
  expect(await daemon.metric('ktb_dependency_up', { dependency: 'kafka' })).toBe(0);
  await fixture.clickhouse.command({ query: `RENAME TABLE ${fixture.table}_away TO ${fixture.table}` });
  await fixture.admin.createTopics({ topics: [{ topic: fixture.deadLetterTopic }], waitForLeaders: true });
  await daemon.untilReady();
  await expectExactlyOnce(fixture, { acksOnce: true });
  expect(daemon.logs().filter(({ level }) => level === 'warn')).toHaveLength(2);
});

it('names the part that cannot be reached, and ends at SIGTERM while it waits', async () => {
  const fixture = await Fixture.create(stack());
  const config = fixture
    .config()
    .replace(stack().temporal.address, '127.0.0.1:9')
    .replace(stack().clickhouse.url, 'http://127.0.0.1:9')
    .replace(stack().kafka.brokers[0]!, '127.0.0.1:9');
  const daemon = Daemon.launch(config);
  await eventually(() => expect(daemon.logs().filter(({ level }) => level === 'warn')).toHaveLength(3));
  for (const part of ['Kafka at 127.0.0.1:9', 'Temporal at 127.0.0.1:9', 'ClickHouse at http://127.0.0.1:9'])
    expect(daemon.output).toContain(part);
  expect(await daemon.stop()).toBe(0);
});

it('ends at SIGTERM while no worker can say what batchers know of the log that it is to begin at the end of', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { startFrom: 'latest', batchers: 1 } });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(10);
  await expectExactlyOnce(fixture);
  expect(await daemon.stop()).toBe(0);
  await fixture.admin.deleteGroups([`ktb-${fixture.name}`]);
  const consumer = Daemon.launch(fixture.config(), ['--role', 'consumer']);
  await eventually(() => expect(consumer.output).toContain('cannot commit where it begins'));
  expect(await consumer.stop()).toBe(0);
});

it('loses nothing of a partition that had no record since the first start at its end, though the group loses its offsets', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 2, pipeline: { startFrom: 'latest' } });
  await fixture.collectAcks();
  let sent = 0;
  const send = async (partition: number, records: number): Promise<void> => {
    const messages = Array.from({ length: records }, () => {
      return { partition, value: JSON.stringify({ id: sent++, text: '' }) };
    });
    await fixture.producer.send({ topic: fixture.topic, messages });
  };
  for (const partition of [0, 1]) await send(partition, 10);
  const daemon = await Daemon.start(fixture.config());
  await send(0, 20);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(20));
  expect(await daemon.stop()).toBe(0);
  await fixture.admin.deleteGroups([`ktb-${fixture.name}`]);
  await send(1, 30);
  const again = await Daemon.start(fixture.config());
  expect(again.output).toMatch(`The group has lost its offsets`);
  expect(again.output).toMatch(`${fixture.topic}/1`);
  // Where it was to begin nobody knows any more. So all of it is read.
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(60));
  expect(await fixture.rowCounts()).toEqual({ rows: 60, identities: 60, ids: 60 });
});

it('a pipeline that cannot begin keeps no other from running, is named, and begins by itself', async () => {
  const waiting = await Fixture.create(stack(), { partitions: 1, pipeline: { startFrom: 'latest', batchers: 1 } });
  await waiting.collectAcks();
  const before = await Daemon.start(waiting.config());
  await waiting.produce(10);
  await expectExactlyOnce(waiting);
  expect(await before.stop()).toBe(0);
  // Only batchers know now where it was, and no worker asks them.
  await waiting.admin.deleteGroups([`ktb-${waiting.name}`]);

  const other = await Fixture.create(stack(), { partitions: 2 });
  await other.produce(100);
  interface Pipelines {
    pipelines: Record<string, unknown>;
  }
  const config = parse(waiting.config()) as Pipelines;
  Object.assign(config.pipelines, (parse(other.config()) as Pipelines).pipelines);
  const consumer = Daemon.launch(stringify(config), ['--role', 'consumer']);
  await eventually(async () => {
    const offsets = await other.offsets();
    expect(offsets.map(({ committed }) => committed)).toEqual(offsets.map(({ end }) => end));
  });
  await eventually(async () => {
    const { status, text } = await consumer.get('/readyz');
    expect(status).toBe(503);
    expect(text).toMatch(`the consumer of pipeline ${waiting.name}: it cannot commit where it begins`);
    expect(text).not.toContain(other.name);
    expect(text).not.toContain('starting');
  });
  await Daemon.start(stringify(config), ['--role', 'worker']);
  await consumer.untilReady();
  expect(await consumer.stop()).toBe(0);
});

it('warns once of a table without identity columns, and works at least once', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  await fixture.clickhouse.command({ query: `DROP TABLE ${fixture.table} SYNC` });
  await fixture.clickhouse.command({
    query: `CREATE TABLE ${fixture.table} (id Int64, text String) ENGINE = MergeTree ORDER BY id`,
  });
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(100);
  await eventually(() => expect(fixture.acks).toHaveLength(100));
  expect(await fixture.query(`SELECT count() AS rows, uniqExact(id) AS ids FROM ${fixture.table}`)).toEqual([
    { rows: 100, ids: 100 },
  ]);
  expect(daemon.output).toContain('The table lacks identity columns');
});

it('setup creates what is missing, proposes a table from records, and changes nothing the second time', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.produce(50);
  await fixture.clickhouse.command({ query: `DROP TABLE ${fixture.table} SYNC` });
  await fixture.admin.deleteTopics({ topics: [fixture.replyTopic] });
  await eventually(async () => expect(await fixture.admin.listTopics()).not.toContain(fixture.replyTopic));
  const dry = await ktb(fixture.config(), ['setup', '--dry-run', '--from-sample', '20']);
  expect(dry.output).toContain(`topic ${fixture.replyTopic}: would be created with 8 partitions`);
  expect(dry.output).toContain('would be created from 20 records');
  expect(await fixture.admin.listTopics()).not.toContain(fixture.replyTopic);
  const first = await ktb(fixture.config(), ['setup', '--from-sample', '20', '--partitions', '3']);
  expect(first.code).toBe(0);
  expect(first.output).toMatch(/`id` Nullable\(Int64\)[\s\S]*_offset UInt64[\s\S]*ReplacingMergeTree/);
  const second = await ktb(fixture.config(), ['setup']);
  expect(second.output).toContain(`topic ${fixture.replyTopic}: exists`);
  expect(second.output).toContain(`table ${fixture.table}: exists\n`);
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  await expectExactlyOnce(fixture, { acksOnce: true });
});

it('setup goes on behind a topic and a table that cannot be had, and names each with its reason', async () => {
  const fixture = await Fixture.create(stack());
  const [dotted, scored] = [`${fixture.topic}.x`, `${fixture.topic}_x`];
  const config = parse(fixture.config()) as { pipelines: Record<string, { topics: string[] }> };
  for (const pipeline of Object.values(config.pipelines)) pipeline.topics = [dotted, scored];
  await fixture.clickhouse.command({ query: `DROP TABLE ${fixture.table} SYNC` });
  await fixture.admin.deleteTopics({ topics: [fixture.replyTopic] });
  const { code, output } = await ktb(stringify(config), ['setup', '--from-sample', '20', '--partitions', '1']);
  expect(code).toBe(1);
  expect(output).toContain(`topic ${dotted}: created with 1 partitions`);
  expect(output).toMatch(new RegExp(`topic ${scored}: .*invalid topic.*differ from it in`));
  expect(output).toContain(`topic ${fixture.replyTopic}: created with 1 partitions`);
  expect(output).toContain(`table ${fixture.table}: Kafka has no topic ${scored}`);
});

it('status shows lag and batchers, and still shows the one part when the other is away', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  await fixture.produce(500);
  const before = await ktb(fixture.config(), ['status']);
  expect(before.code, before.output).toBe(0);
  expect(before.output).toContain('lag 500 records over 8 partitions');
  expect(before.output).toContain('not started');
  const daemon = await Daemon.start(fixture.config());
  await expectExactlyOnce(fixture);
  const after = await ktb(fixture.config(), ['status', '--json']);
  const [report] = JSON.parse(after.output) as {
    lag: { lag: number }[];
    batchers: { state: string; status: { counters: { inserted: number } } }[];
  }[];
  expect(report?.lag.reduce((sum, { lag }) => sum + lag, 0)).toBe(0);
  expect(report?.batchers.reduce((sum, { status }) => sum + status.counters.inserted, 0)).toBe(500);
  const withoutTemporal = await ktb(fixture.config().replace(stack().temporal.address, '127.0.0.1:9'), ['status']);
  expect(withoutTemporal.code).toBe(1);
  expect(withoutTemporal.output).toContain('lag 0 records');
  expect(withoutTemporal.output).toContain('Temporal at 127.0.0.1:9');
  await daemon.kill();
  const withoutWorker = await ktb(fixture.config(), ['status']);
  expect(withoutWorker.output).toContain('no worker answers');
});
