import { parse, stringify } from 'yaml';
import { expect, it } from 'vitest';
import type { ConfigInput } from '../../src/config/schema.js';
import { BATCHER } from '../../src/protocol/batcher.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { TopicReader } from '../support/topicReader.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

it('an acknowledgement goes to the topic and partition that its record asks for, if it may and they exist', async () => {
  const fixture = await Fixture.create(stack());
  const allowed = `${fixture.name}.allowed`;
  const forbidden = `${fixture.name}.forbidden`;
  const missing = `${fixture.name}.missing`;
  for (const topic of [allowed, forbidden]) await fixture.createTopic(topic, 3);
  const reply = { topic: fixture.replyTopic, copyHeaders: ['trace'], allowTopics: [allowed, missing] };
  const daemon = await Daemon.start(fixture.config({ reply }));
  const reader = await TopicReader.start(fixture.kafka, [fixture.replyTopic, allowed, forbidden]);

  const own = fixture.replyTopic;
  // What a record asks for, and where its acknowledgement has to be: a partition where it is asked for.
  const cases: [headers: Record<string, string | Buffer>, topic: string, partition?: number][] = [
    [{}, own],
    [{ kafka_replyTopic: allowed }, allowed],
    [{ kafka_replyTopic: own }, own],
    [{ kafka_replyTopic: allowed, kafka_replyPartition: int32(2) }, allowed, 2],
    [{ kafka_replyTopic: allowed, kafka_replyPartition: '1' }, allowed, 1],
    [{ kafka_replyPartition: int32(7) }, own, 7],
    [{ kafka_replyPartition: '6' }, own, 6],
    [{ kafka_replyTopic: forbidden }, own],
    [{ kafka_replyTopic: missing }, own],
    [{ kafka_replyTopic: allowed, kafka_replyPartition: int32(3) }, own],
    [{ kafka_replyTopic: allowed, kafka_replyPartition: '9999' }, own],
    [{ kafka_replyTopic: allowed, kafka_replyPartition: int32(-5) }, own],
    [{ kafka_replyPartition: '-5' }, own],
    [{ kafka_replyPartition: 'two' }, own],
    [{ kafka_replyPartition: '' }, own],
  ];
  const ids = cases.map((_, index) => Buffer.from([0, 255, 254, index, ...Array.from({ length: 12 }, () => 128)]));
  await fixture.produce(cases.length, (id) => ({
    headers: { trace: Buffer.from([id, 0xff]), ...cases[id]?.[0], kafka_correlationId: ids[id]! },
  }));
  await eventually(() => expect(reader.messages.length).toBe(cases.length));

  cases.forEach(([headers, topic, partition], index) => {
    const ack = reader.messages.find(({ headers: echoed }) => echoed['kafka_correlationId']?.equals(ids[index]!));
    const asked = JSON.stringify(headers);
    expect(ack?.topic, asked).toBe(topic);
    if (partition !== undefined) expect(ack?.partition, asked).toBe(partition);
    expect(ack?.headers['trace'], asked).toEqual(Buffer.from([index, 0xff]));
  });
  const fallbacks = (cause: string) => daemon.metric('ktb_reply_fallbacks_total', { cause });
  expect(await fallbacks('forbidden_topic')).toBe(1);
  expect(await fallbacks('missing_topic')).toBe(1);
  expect(await fallbacks('missing_partition')).toBe(6);
  expect((await fixture.rowCounts()).rows).toBe(cases.length);
});

it('a reply topic that is gone holds its own batches only, and they are answered without being inserted again', async () => {
  const [well, ill] = [await Fixture.create(stack()), await Fixture.create(stack())];
  const config = parse(well.config()) as ConfigInput;
  const both = { ...config, pipelines: { ...config.pipelines, ...(parse(ill.config()) as ConfigInput).pipelines } };
  const daemon = await Daemon.start(stringify(both));
  await well.collectAcks();

  await ill.produce(500);
  await eventually(async () => expect(await daemon.metric('ktb_acks_total', { pipeline: ill.name })).toBe(500));
  const insertsOf = (outcome: string) => daemon.metric('ktb_inserts_total', { pipeline: ill.name, outcome });
  const insertsBefore = await insertsOf('ok');
  await ill.admin.deleteTopics({ topics: [ill.replyTopic] });
  // A batcher inserts nothing after a batch that is held. So each has to have all its records before its first batch.
  const batchersOfIll = Array.from({ length: ill.batchers }, (_, index) => index);
  const steer = (signal: string) =>
    Promise.all(
      batchersOfIll.map((index) => ill.batcher(index).signal(signal, { actor: 'test', reason: 'one batch' })),
    );
  await steer(BATCHER.signals.pause);
  await ill.produce(2_000, (id) => ({ headers: { kafka_correlationId: `id-${id}` } }));
  await eventually(async () => {
    const statuses = await Promise.all(batchersOfIll.map((index) => ill.batcherStatus(index)));
    expect(statuses.reduce((sum, { bufferedRecords }) => sum + bufferedRecords, 0)).toBe(2_000);
  });
  await steer(BATCHER.signals.resume);
  // Its rows are there although nobody can be told.
  await eventually(async () => expect((await ill.rowCounts()).rows).toBe(2_500));
  // One for each batcher. A row can be queried before the answer to its insert has come.
  const inserts = insertsBefore + ill.batchers;
  await eventually(async () => expect(await insertsOf('ok')).toBe(inserts));
  await eventually(() =>
    expect(daemon.logs().map(({ message }) => message)).toContainEqual(
      expect.stringContaining(`topic ${ill.replyTopic} takes no messages`),
    ),
  );

  // Its eight batchers try again and again; the other pipeline does not notice.
  for (let round = 1; round <= 5; round++) {
    const startedAt = Date.now();
    await well.produce(300);
    await eventually(() => expect(well.acks.length).toBe(round * 300), 20_000, 50);
    expect(Date.now() - startedAt).toBeLessThan(15_000);
  }
  await eventually(async () =>
    expect(await daemon.metric('ktb_flush_errors_total', { code: 'publish' })).toBeGreaterThan(24),
  );
  expect(await daemon.metric('ktb_acks_total', { pipeline: ill.name })).toBe(500);

  await ill.createTopic(ill.replyTopic, 8);
  const reader = await TopicReader.start(ill.kafka, [ill.replyTopic]);
  await eventually(() => {
    const ids = new Set(reader.messages.map(({ headers }) => String(headers['kafka_correlationId'])));
    expect(ids.size).toBe(2_000);
  });
  expect(await ill.rowCounts()).toEqual({ rows: 2_500, identities: 2_500, ids: 2_500 });
  expect(await insertsOf('ok')).toBe(inserts);
  expect(reader.messages.length).toBe(2_000);
});

it('after the worker is killed too, a batch that waits for its reply topic is found in the table, not inserted again', async () => {
  const fixture = await Fixture.create(stack());
  const first = await Daemon.start(fixture.config());
  await fixture.admin.deleteTopics({ topics: [fixture.replyTopic] });
  await fixture.produce(300);
  await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(300));
  await eventually(async () =>
    expect(await first.metric('ktb_flush_errors_total', { code: 'publish' })).toBeGreaterThan(8),
  );
  await first.kill();
  // As long as the deduplication window remembers, it would hide a second insert.
  await fixture.clickhouse.command({
    query: `ALTER TABLE ${fixture.table} MODIFY SETTING non_replicated_deduplication_window = 0`,
  });
  await fixture.createTopic(fixture.replyTopic, 8);
  const second = await Daemon.start(fixture.config());
  const reader = await TopicReader.start(fixture.kafka, [fixture.replyTopic]);
  await eventually(() => expect(reader.messages.length).toBe(300));
  expect(await fixture.rowCounts()).toEqual({ rows: 300, identities: 300, ids: 300 });
  expect(await second.metric('ktb_found_rows_total')).toBe(300);
  expect(await second.metric('ktb_inserts_total')).toBe(0);
});

it('a reply topic with small messages gets its acknowledgements in smaller requests, and reduced where it must be', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.createTopic(`${fixture.name}.small`, 1, { 'max.message.bytes': '2000' });
  const reply = { topic: `${fixture.name}.small`, copyHeaders: ['large'] };
  await Daemon.start(fixture.config({ reply }));
  const reader = await TopicReader.start(fixture.kafka, [`${fixture.name}.small`]);
  await fixture.produce(400, (id) => ({
    headers: { kafka_correlationId: `id-${id}`, ...(id === 7 ? { large: Buffer.alloc(5_000) } : {}) },
  }));
  await eventually(() => expect(reader.messages.length).toBe(400));
  const reduced = reader.messages.filter(({ headers }) => 'ktb.ack.reduced' in headers);
  expect(reduced.map(({ headers }) => Object.keys(headers).sort())).toEqual([
    ['kafka_correlationId', 'ktb.ack.reduced'],
  ]);
  expect(String(reduced[0]?.headers['kafka_correlationId'])).toBe('id-7');
});
