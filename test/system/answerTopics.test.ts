import { randomBytes } from 'node:crypto';
import { expect, it, onTestFinished } from 'vitest';
import type { KafkaMessage } from 'kafkajs';
import { repairProduceRequests } from '../../src/kafka/kafkajs/produceRequest.js';
import { producerFactory } from '../../src/kafka/producers.js';
import { Publisher } from '../../src/kafka/publisher.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { TopicReader } from '../support/topicReader.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
const shared = useSharedDaemon(stack, { headers: { pipeline: { batchers: 1 } }, elsewhere: {} });
let fixture: Fixture;

/** Of dead letters of the same value the first. */
const distinct = (letters: readonly KafkaMessage[]) => [
  ...new Map(letters.toReversed().map((letter) => [String(letter.value), letter])).values(),
];

it('records without a key are answered and rejected on compacted topics, too, and check calls such topics wrong', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batchers: 2 } });
  await fixture.alterTopics([fixture.replyTopic, fixture.deadLetterTopic], { 'cleanup.policy': 'compact' });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(100, (id) => ({
    ...(id % 2 === 0 ? { key: null } : {}),
    ...(id % 10 < 2 ? { value: `no JSON ${id}` } : {}),
  }));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100), 60_000);
  // What was refused once may have been published in part: acknowledgements come at least once.
  expect(acknowledged(fixture.acks.filter(({ status }) => status === 'rejected'))).toBe(20);
  const letters = distinct(await fixture.deadLetters(20));
  expect(letters).toHaveLength(20);
  const added = letters.filter(({ headers }) => headers?.['ktb.key.added'] !== undefined);
  expect(added).toHaveLength(10);
  expect(added.map(({ key }) => String(key)).every((key) => key.startsWith(`${fixture.topic}/`))).toBe(true);
  expect(await daemon.metric('ktb_left_out_messages_total')).toBe(0);

  const input = await TopicReader.start(fixture.kafka, [fixture.topic]);
  await eventually(() => expect(input.messages).toHaveLength(100));
  await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--all']);
  await eventually(() => expect(input.messages.length).toBeGreaterThanOrEqual(120));
  const replayed = input.messages.slice(100);
  expect(new Set(replayed.filter(({ key }) => key === null).map(({ value }) => String(value))).size).toBe(10);
  expect(replayed.flatMap(({ headers }) => Object.keys(headers))).toEqual([]);

  const { code, output } = await ktb(fixture.config(), ['check', '--json']);
  expect(code).toBe(1);
  const findings = JSON.parse(output) as { level: string; subject: string; message: string }[];
  for (const topic of [fixture.replyTopic, fixture.deadLetterTopic])
    expect(
      findings.find(({ subject }) => subject === `topic ${topic}`),
      output,
    ).toMatchObject({
      level: 'wrong',
      message: expect.stringContaining('is compacted') as string,
    });
});

it('a record whose header names are too large for any signal has one dead letter, and its batcher goes on', async () => {
  fixture = shared.fixture('headers');
  await fixture.alterTopics([fixture.topic, fixture.deadLetterTopic], { 'max.message.bytes': '8000000' });
  await fixture.collectAcks();
  await fixture.produce(10);
  const headers = { [randomBytes(1_700_000).toString('base64')]: '', trace: 'large' };
  await fixture.produce(1, () => ({ headers }));
  await fixture.produce(10);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(21), 60_000);
  const [rejected, ...others] = fixture.acks.filter(({ status }) => status === 'rejected');
  expect(rejected).toMatchObject({ code: 'record_too_large', headers: { trace: 'large' } });
  expect(others).toEqual([]);
  expect(await fixture.deadLetters(1)).toHaveLength(1);
  const ends = await fixture.admin.fetchTopicOffsets(fixture.deadLetterTopic);
  expect(ends.reduce((sum, { high }) => sum + Number(high), 0)).toBe(1);
  expect(shared.daemon().peakMemoryMiB()).toBeLessThan(600);
});

it('a record that has been a dead letter elsewhere has its own reasons read, and is replayed as it was', async () => {
  fixture = shared.fixture('elsewhere');
  const config = fixture.config();
  await fixture.collectAcks();
  const headers = {
    '__connect.errors.topic': 'elsewhere',
    '__connect.errors.partition': '9',
    '__connect.errors.offset': '99',
    '__connect.errors.connector.name': 'another',
    '__connect.errors.exception.class.name': 'theirs',
    'ktb.value.omitted.bytes': '7',
    empty: Buffer.alloc(0),
    none: null,
    both: [null, Buffer.alloc(0)],
  };
  repairProduceRequests();
  const publisher = new Publisher({ createProducer: producerFactory(fixture.kafka) });
  onTestFinished(() => publisher.close());
  await publisher.publish(fixture.topic, [{ key: null, value: 'no JSON', headers }]);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(1));
  const [ack] = fixture.acks;
  const place = `${fixture.topic}/${ack?.partition}/${ack?.offset}`;

  const { output } = await ktb(config, ['dlq', 'list', fixture.name, '--json']);
  expect(JSON.parse(output)).toMatchObject({ reasons: [{ code: 'not_json', letters: 1, first: place }] });
  const found = await ktb(config, ['where', place, '--json']);
  expect(JSON.parse(found.output)).toMatchObject([{ state: 'rejected', deadLetters: [{ code: 'not_json' }] }]);
  expect((await ktb(config, ['reconcile', fixture.name])).code).toBe(0);

  expect(await ktb(config, ['dlq', 'replay', fixture.name, '--record', place])).toMatchObject({ code: 0 });
  const letters = await fixture.deadLetters(2);
  for (const letter of letters) {
    // As kafkajs reads them, whatever its types say.
    const read = letter.headers as Record<string, Buffer | null | (Buffer | null)[]>;
    expect(read).toMatchObject({ empty: Buffer.alloc(0), none: null, both: [null, Buffer.alloc(0)] });
    expect(read['__connect.errors.topic']).toEqual([Buffer.from('elsewhere'), Buffer.from(fixture.topic)]);
    expect(read['ktb.value.omitted.bytes']).toEqual([Buffer.from('7'), Buffer.alloc(0)]);
  }
});
