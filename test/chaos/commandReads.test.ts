import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { repairKafkajs } from '../../src/kafka/kafkajs/repairs.js';
import { rangesOf, readRanges, type PassedOver } from '../../src/kafka/readRanges.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { FaultyProxy } from '../support/faultyProxy.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();
const RECORDS = 10_000;

it('commands that cannot read a topic to its end exit with 1, and say how far they came', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(RECORDS, (id) => ({ value: JSON.stringify({ id, text: 'x'.repeat(1_000) }) }));
  await expectExactlyOnce(fixture);
  await daemon.stop();
  const messages = Array.from({ length: 500 }, () => ({ value: 'x'.repeat(1_000) }));
  for (let sent = 0; sent < RECORDS; sent += 500)
    await fixture.producer.send({ topic: fixture.deadLetterTopic, messages });
  const address = stack().kafka.brokers[0] ?? '';
  const commands = [
    ['dlq', 'replay', fixture.name, '--all'],
    ['reconcile', fixture.name],
  ];
  // One after the other, as the tests' commands run.
  for (const args of commands) {
    const proxy = await FaultyProxy.start(address, { advertises: true });
    onTestFinished(() => proxy.close());
    const command = ktb(fixture.config().replaceAll(address, `127.0.0.1:${proxy.port}`), args);
    await eventually(() => expect(proxy.answeredBytes).toBeGreaterThan(1_000_000), 60_000, 5);
    // Nobody answers any more.
    await proxy.close();
    const { code, output } = await command;
    expect(code).toBe(1);
    expect(output).toMatch(/the log was not read to its end: \S+\/0 was read up to offset \d+ of 10000; /);
  }
});

it('a read that comes to a damaged batch ends in an error that names it, and is not taken for the end of the log', async () => {
  repairKafkajs();
  const fixture = await Fixture.create(stack(), { partitions: 2 });
  await fixture.clickhouse.command({ query: `DROP TABLE ${fixture.table} SYNC` });
  const topics = [fixture.topic, fixture.deadLetterTopic];
  for (const topic of topics)
    for (const text of ['before', 'to be damaged', 'after'])
      await fixture.producer.send({ topic, messages: [{ partition: 1, value: JSON.stringify({ id: 1, text }) }] });
  const [broker] = stack().parts.kafka;
  await broker?.stop();
  for (const topic of topics) await damage(topic, 'to be damaged');
  await broker?.start();
  await eventually(() => rangesOf(fixture.admin, topics), 60_000, 500);

  const problemOf = (topic: string) =>
    `the log was not read to its end: ${topic}/1 was read up to offset 1 of 3; ` +
    `the record batch at offset 1 of ${topic}/1 cannot be read: its checksum is wrong`;
  const offsets: number[] = [];
  const ranges = await rangesOf(fixture.admin, [fixture.topic]);
  const passedOver: PassedOver[] = [];
  const reading = readRanges(fixture.kafka, fixture.admin, ranges, {
    record: ({ offset }) => offsets.push(offset) < 0,
    passedOver: (unreadable) => passedOver.push(unreadable),
  });
  await expect(reading).rejects.toThrow(problemOf(fixture.topic));
  expect(offsets).toEqual([0]);
  expect(passedOver).toEqual([]);
  for (const [topic, ...args] of [
    [fixture.deadLetterTopic, 'dlq', 'list', fixture.name],
    [fixture.deadLetterTopic, 'dlq', 'replay', fixture.name, '--all'],
    [fixture.topic, 'setup', '--from-sample', '10'],
  ] as const) {
    const { code, output } = await ktb(fixture.config(), args);
    expect(output).toContain(problemOf(topic));
    expect(output).not.toContain('produce some records first');
    expect(code).toBe(1);
  }
});

/** Changes a record's bytes where they lie. */
async function damage(topic: string, text: string): Promise<void> {
  const directory = stack().dataDir;
  const files = await readdir(directory, { recursive: true });
  const log = files.find((file) => file.endsWith(join(`${topic}-1`, `${'0'.repeat(20)}.log`))) ?? '';
  const bytes = await readFile(join(directory, log));
  const at = bytes.indexOf(text);
  expect(at).toBeGreaterThan(0);
  bytes.write('TO', at);
  await writeFile(join(directory, log), bytes);
}

it('a command that reads dead letters says what an open transaction keeps from it, and exits with 1', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const topic = fixture.deadLetterTopic;
  const producer = fixture.kafka.producer({ transactionalId: `${fixture.name}-open`, idempotent: true });
  await producer.connect();
  await fixture.producer.send({ topic, messages: [{ partition: 0, value: 'committed' }] });
  const transaction = await producer.transaction();
  await transaction.send({
    topic,
    messages: [
      { partition: 0, value: 'open' },
      { partition: 0, value: 'open' },
    ],
  });
  const open = `${topic}/0 was read up to offset 1 of 3: a transaction is open there`;
  for (const args of [['list'], ['show'], ['replay', '--all']]) {
    const [command = '', ...rest] = args;
    const { code, output } = await ktb(fixture.config(), ['dlq', command, fixture.name, ...rest]);
    expect(output).toContain(open);
    expect(code).toBe(1);
  }
  await transaction.commit();
  await producer.disconnect();
  const { code, output } = await ktb(fixture.config(), ['dlq', 'list', fixture.name]);
  expect(output).not.toContain('transaction');
  expect(code).toBe(0);
});
