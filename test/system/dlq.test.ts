import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { CLI, Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { TopicReader } from '../support/topicReader.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;
let replies: TopicReader;

it('dead letters are listed by reason, shown, and replayed: then they are inserted and answered like any other', async () => {
  fixture = await Fixture.create(stack(), { columns: 'id Int64, text String, amount UInt8' });
  const config = fixture.config();
  await Daemon.start(config);
  replies = await TopicReader.start(fixture.kafka, [fixture.replyTopic]);
  const dlq = (...args: string[]) => ktb(config, ['dlq', ...args]);
  expect((await dlq('list')).output).toContain(`0 dead letters on ${fixture.deadLetterTopic}`);

  const correlationId = (id: number) => Buffer.from([0, 255, 128, id]);
  await fixture.produce(60, (id) => ({
    key: `key-${id}`,
    headers: { kafka_correlationId: correlationId(id), trace: `t-${id}` },
    ...(id < 20 ? { value: JSON.stringify({ id, text: 'secret', amount: 'many' }) } : {}),
    ...(id >= 20 && id < 25 ? { value: `no JSON, secret ${id}` } : {}),
  }));
  await eventually(() => expect(replies.messages.length).toBe(60));
  expect((await fixture.rowCounts()).rows).toBe(35);

  const list = await dlq('list', fixture.name, '--json');
  const { reasons } = JSON.parse(list.output) as { reasons: { code: string; letters: number; first: string }[] };
  expect(reasons).toMatchObject([
    { code: 'refused_by_clickhouse', letters: 20 },
    { code: 'not_json', letters: 5, message: 'the value is not JSON' },
  ]);
  const show = await dlq('show', fixture.name, '--code', 'not_json', '--limit', '2');
  expect(show.output).not.toContain('secret');
  expect(show.output).toContain('3 more; --limit shows them');
  const notJson = reasons[1]!.first;
  const whole = await dlq('show', fixture.name, '--record', notJson, '--values');
  expect(JSON.parse(whole.output)).toMatchObject({
    record: notJson,
    code: 'not_json',
    value: expect.stringContaining('secret') as string,
  });

  // A record that is there, but under another code.
  for (const command of ['replay', 'show']) {
    const other = await dlq(command, fixture.name, '--record', notJson, '--code', 'refused_by_clickhouse');
    expect(other.code).toBe(1);
    expect(other.output).toContain(
      `no dead letter of pipeline ${fixture.name} has the record ${notJson} and code refused_by_clickhouse`,
    );
  }
  const unchosen = await dlq('replay', fixture.name);
  expect(unchosen).toMatchObject({ code: 2, output: expect.stringContaining('--code, --record, or --all') as string });
  const dryRun = await dlq('replay', fixture.name, '--all', '--dry-run');
  expect(dryRun.output).toBe(`25 would be replayed to ${fixture.topic}\n`);

  await fixture.clickhouse.command({ query: `ALTER TABLE ${fixture.table} MODIFY COLUMN amount String` });
  const replay = await dlq('replay', fixture.name, '--code', 'refused_by_clickhouse');
  expect(replay.code).toBe(0);
  expect(replay.output).toMatch(
    new RegExp(
      `^20 replayed to ${fixture.topic}\nThe same command would make these rows twice. .*(?: --after \\d+/\\d+)+\n$`,
    ),
  );
  await eventually(() => expect(replies.messages.length).toBe(80));
  for (const { key, value, headers } of replies.messages.slice(60)) {
    const id = Number(/\d+/.exec(String(key))?.[0]);
    expect(id).toBeLessThan(20);
    expect(JSON.parse(String(value))).toMatchObject({ status: 'inserted', topic: fixture.topic });
    expect(headers).toEqual({ kafka_correlationId: correlationId(id), trace: Buffer.from(`t-${id}`) });
  }
  expect(await fixture.rowCounts()).toEqual({ rows: 55, identities: 55, ids: 55 });

  // What is as wrong as before is rejected once more, with the headers of a first time.
  expect(await dlq('replay', fixture.name, '--record', notJson)).toMatchObject({ code: 0 });
  const letters = await fixture.deadLetters(26);
  // None has an error header twice.
  expect(letters.filter(({ headers }) => Array.isArray(headers?.['__connect.errors.offset']))).toEqual([]);
  await eventually(() => expect(replies.messages.length).toBe(81));

  // A record that has been rejected more than once, as by a rewind, is replayed once.
  const messages = letters.map(({ key, value, headers = {}, timestamp }) => ({ key, value, headers, timestamp }));
  await fixture.producer.send({ topic: fixture.deadLetterTopic, messages });
  await fixture.deadLetters(52);
  expect((await dlq('replay', fixture.name, '--all', '--dry-run')).output).toBe(
    `26 would be replayed to ${fixture.topic}\n26 passed over: further dead letters of the same records\n`,
  );
});

it('a dead-letter topic that is missing hides the dead letters of no other pipeline, and is named', async () => {
  fixture = await Fixture.create(stack());
  const config = parse(fixture.config()) as ConfigInput;
  const [pipeline] = Object.values(config.pipelines);
  const missing = `${fixture.name}.missing`;
  const pipelines = { a: { ...pipeline, deadLetter: { topic: missing } }, b: { ...pipeline }, c: { ...pipeline } };
  const { code, output } = await ktb(stringify({ ...config, pipelines }), ['dlq', 'list']);
  expect(code).toBe(1);
  for (const name of ['b', 'c'])
    expect(output).toContain(`pipeline ${name}: 0 dead letters on ${fixture.deadLetterTopic}`);
  expect(output).toMatch(new RegExp(`^pipeline a: .*${missing}`, 'm'));
});

it('a replay counts what topics have taken, names what they refuse, and tells both also where it fails', async () => {
  fixture = await Fixture.create(stack(), { topicConfig: { 'max.message.bytes': '20000' }, partitions: 1 });
  const { topic, deadLetterTopic, producer } = fixture;
  const gone = `${fixture.name}.gone`;
  const replay = (topics: string[]) => ktb(fixture.config({ topics }), ['dlq', 'replay', fixture.name, '--all']);
  /** The letter of a record whose value has so many bytes. */
  const letter = (source: string, offset: number, bytes: number) => ({
    value: Buffer.alloc(bytes, 'a'),
    headers: Object.fromEntries(
      Object.entries({ topic: source, partition: 0, offset, 'connector.name': fixture.name }).map(([name, text]) => [
        `__connect.errors.${name}`,
        String(text),
      ]),
    ),
  });
  const publish = (...messages: ReturnType<typeof letter>[]) => producer.send({ topic: deadLetterTopic, messages });
  const end = async () => (await fixture.offsets())[0]?.end;

  await publish(letter(topic, 0, 30_000));
  const refusal = (offset: number) =>
    `left: ${topic}/0/${offset} (dead letter 0/${offset}): topic ${topic} refuses it: a message is larger than it takes\n`;
  expect(await replay([topic])).toEqual({ code: 1, output: refusal(0) });
  await publish(letter(topic, 1, 10), letter(topic, 2, 30_000), letter(topic, 3, 10));
  const goOn =
    'The same command would make these rows twice. To replay only later dead letters next time, and none that its topic refused, repeat it with --after 0/3\n';
  expect(await replay([topic])).toEqual({
    code: 1,
    output: `2 replayed to ${topic}\n${refusal(0)}${refusal(2)}${goOn}`,
  });
  expect(await end()).toBe(2);

  await publish(letter(gone, 7, 10), letter(gone, 8, 10));
  const failed = await replay([topic, gone]);
  expect(failed.code).toBe(1);
  expect(failed.output).toContain(
    `2 replayed to ${topic}\n2 more may have been replayed to ${gone}, from ${gone}/0/7 on`,
  );
  expect(failed.output).toContain(`topic ${gone} takes no messages`);
  expect(failed.output).toContain('To go on, repeat it with --after 0/3\n');
  expect(await end()).toBe(4);
});

it('where a dead-letter topic has the time of its broker, a replay leaves no record out, whatever version wrote the letters', async () => {
  fixture = await Fixture.create(stack(), { partitions: 1 });
  const { topic, deadLetterTopic, producer } = fixture;
  await fixture.alterTopics([deadLetterTopic], { 'message.timestamp.type': 'LogAppendTime' });
  const place = { topic, partition: 0, offset: 7, 'connector.name': fixture.name };
  const headers = Object.fromEntries(
    Object.entries(place).map(([name, text]) => [`__connect.errors.${name}`, String(text)]),
  );
  const letter = (value: string, ownTimestampMs: number) => {
    return { value, headers: { ...headers, 'ktb.timestamp': String(ownTimestampMs) }, timestamp: '1700000000000' };
  };
  // One of version 0.1.0 does not tell the record's time, so the record may be another one.
  const ofFirstVersion = { value: '"a"', headers, timestamp: '1700000000000' };
  // The log that was read later has another record at this offset.
  const letters = [ofFirstVersion, letter('"b"', 1_700_000_000_000), letter('"c"', 1_700_000_000_001)];
  const early = letter('"d"', -2_208_988_800_000);
  for (const message of [...letters, letter('"b"', 1_700_000_000_000), early, early])
    await producer.send({ topic: deadLetterTopic, messages: [message] });
  const { code, output } = await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--all']);
  expect(code).toBe(0);
  expect(output).toContain(`4 replayed to ${topic}\n2 passed over: further dead letters of the same records\n`);
  expect(await fixture.recordsInTopic()).toBe(4);
});

it('a replay that is ended by Ctrl-C says how much was replayed, and goes on after that: no record is replayed twice', async () => {
  const letters = 20_000;
  fixture = await Fixture.create(stack(), { partitions: 1 });
  for (let at = 0; at < letters; at += 1_000) {
    const messages = Array.from({ length: 1_000 }, (_, index) => ({
      partition: 0,
      value: `no json ${at + index}`,
      headers: {
        '__connect.errors.topic': fixture.topic,
        '__connect.errors.partition': '0',
        '__connect.errors.offset': String(at + index),
        '__connect.errors.connector.name': fixture.name,
        '__connect.errors.exception.class.name': 'not_json',
        'ktb.timestamp': String(Date.now()),
      },
    }));
    await fixture.producer.send({ topic: fixture.deadLetterTopic, messages });
  }
  const end = async () => (await fixture.offsets())[0]!.end;
  const directory = mkdtempSync(join(tmpdir(), 'ktb-dlq-'));
  const file = join(directory, 'ktb.yaml');
  writeFileSync(file, fixture.config());
  const child = spawn(process.execPath, [CLI, 'dlq', 'replay', fixture.name, '--all', '--config', file]);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (output += text.toString()));
  await eventually(async () => expect(await end()).toBeGreaterThan(500), 60_000, 20);
  child.kill('SIGINT');
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  rmSync(directory, { recursive: true });
  const replayed = await end();
  expect(replayed).toBeLessThan(letters);
  expect(code).toBe(1);
  expect(output).toContain(`${replayed} replayed to ${fixture.topic}`);
  const after = / --after (\S+)/.exec(output)?.[1] ?? '';
  expect(after).toBe(`0/${replayed - 1}`);
  const { output: rest } = await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--all', '--after', after]);
  expect(rest).toContain(`${letters - replayed} replayed to ${fixture.topic}`);
  expect(await end()).toBe(letters);
});
