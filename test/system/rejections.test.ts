import { CompressionTypes, type Message } from 'kafkajs';
import { expect, it } from 'vitest';
import { ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import type { Fixture } from '../support/fixture.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { useSharedStack } from '../support/useStack.js';

const shared = useSharedDaemon(useSharedStack(), {
  bad: {},
  times: { topicConfig: { 'message.timestamp.after.max.ms': '9223372036854775807' } },
  badOnly: {},
  large: {},
  compressed: {},
  longKey: {},
  mapped: {
    columns: 'id Int64, customer String, trace Nullable(String), big UInt64, place Tuple(lat Float64, lon Float64)',
    pipeline: { columns: { customer: '/customer/id', trace: 'header:trace', big: '/numbers/0', place: '/geo' } },
  },
});
let fixture: Fixture;

async function begin(name: Parameters<typeof shared.fixture>[0]): Promise<void> {
  fixture = shared.fixture(name);
  await fixture.collectAcks();
}

const untilAnswered = () => eventually(() => expect(acknowledged(fixture.acks)).toBe(fixture.produced));

it('a bad record is rejected alone: a negative ack with the reason, its bytes on the dead-letter topic, its batch mates inserted', async () => {
  await begin('bad');
  const bad: Record<number, Buffer | null> = {
    0: Buffer.from('not json'),
    17: Buffer.from('[1, 2]'),
    400: null,
    401: Buffer.from('{"id": "no number", "text": "refused by ClickHouse"}'),
    777: Buffer.from('{"id": 1, "_offset": 5}'),
    999: Buffer.from([0xff, 0x00, 0xfe]),
  };
  await fixture.produce(1_000, (id) =>
    id in bad ? { value: bad[id] ?? null, key: `bad-${id}`, headers: { trace: `t-${id}`, other: 'o' } } : {},
  );
  await untilAnswered();

  const rejected = fixture.acks.filter(({ status }) => status === 'rejected');
  expect(Object.fromEntries(rejected.map(({ key, code }) => [key, code]))).toEqual({
    'bad-0': 'not_json',
    'bad-17': 'not_object',
    'bad-400': 'not_json',
    'bad-401': 'refused_by_clickhouse',
    'bad-777': 'reserved_field',
    'bad-999': 'not_json',
  });
  expect(rejected.every(({ message, headers }) => (message ?? '') !== '' && headers['trace']?.startsWith('t-'))).toBe(
    true,
  );
  expect(fixture.acks.filter(({ status }) => status === 'inserted')).toHaveLength(994);
  expect(await fixture.rowCounts()).toEqual({ rows: 994, identities: 994, ids: 994 });

  const letters = await fixture.deadLetters(6);
  expect(new Map(letters.map(({ key, value }) => [key?.toString(), value]))).toEqual(
    new Map(Object.entries(bad).map(([id, value]) => [`bad-${id}`, value])),
  );
  for (const { headers, key } of letters) {
    const ack = rejected.find((candidate) => candidate.key === key?.toString());
    expect(String(headers?.['__connect.errors.topic'])).toBe(fixture.topic);
    expect(String(headers?.['__connect.errors.offset'])).toBe(String(ack?.offset));
    expect(String(headers?.['__connect.errors.exception.class.name'])).toBe(ack?.code);
    expect(String(headers?.['other'])).toBe('o');
  }
  expect(shared.daemon().output).not.toContain('no number');
});

it('a record whose timestamp is no time in milliseconds is rejected alone', async () => {
  await begin('times');
  const timestamps: Record<number, string> = {
    3: '1700000000000000000',
    5: '9223372036854775807',
    7: String(Date.now() * 1_000),
    9: String(Date.now() + 86_400_000),
  };
  // One by one: of messages that are sent together kafkajs would make timestamps that differ from these.
  for (let id = 0; id < 12; id++)
    await fixture.produce(1, () => ({
      key: 'same',
      timestamp: timestamps[id] ?? String(Date.now()),
      ...(id === 9 ? { value: 'not json' } : {}),
    }));
  await untilAnswered();
  const rejected = fixture.acks.filter(({ status }) => status === 'rejected');
  expect(Object.fromEntries(rejected.map(({ offset, code }) => [offset, code]))).toEqual({
    3: 'out_of_range',
    5: 'out_of_range',
    7: 'out_of_range',
    9: 'not_json',
  });
  expect(await fixture.rowCounts()).toEqual({ rows: 8, identities: 8, ids: 8 });
  const letters = await fixture.deadLetters(4);
  const omitted = letters.map(({ headers }) => [
    String(headers?.['__connect.errors.offset']),
    String(headers?.['ktb.timestamp']),
  ]);
  // As far as a number of JavaScript has digits.
  expect(Object.fromEntries(omitted)).toEqual({ ...timestamps, 5: '9223372036854776000' });
});

it('a batch of bad records only', async () => {
  await begin('badOnly');
  await fixture.produce(80, (id) => ({ value: JSON.stringify({ id: 'x', text: String(id) }) }));
  await untilAnswered();
  expect(fixture.acks.every(({ code }) => code === 'refused_by_clickhouse')).toBe(true);
  expect((await fixture.rowCounts()).rows).toBe(0);
  expect(await fixture.deadLetters(80)).toHaveLength(80);
});

it('a record too large for a signal is rejected in its turn, with its original on the dead-letter topic', async () => {
  await begin('large');
  await fixture.alterTopics([fixture.topic, fixture.deadLetterTopic], { 'max.message.bytes': '10000000' });
  const noise = Buffer.from(Array.from({ length: 3_000_000 }, () => Math.floor(Math.random() * 256)));
  const large = JSON.stringify({ id: 1, text: noise.toString('base64') });
  for (let id = 0; id < 3; id++)
    await fixture.produce(1, () => (id === 1 ? { value: large, key: 'large' } : { key: 'large' }));
  await untilAnswered();
  expect(fixture.acks.map(({ status, code }) => [status, code])).toContainEqual(['rejected', 'record_too_large']);
  const [letter] = await fixture.deadLetters(1);
  expect(letter?.value?.toString()).toBe(large);
  expect((await fixture.rowCounts()).rows).toBe(2);
});

it('a small record that decompresses to more than a record may have is rejected in its turn, and its dead letter lacks the value', async () => {
  await begin('compressed');
  // At a size that a test can have; a record batch can decompress to 256 MiB.
  const large = `{"id":1,"text":"${'x'.repeat(17 * 1024 * 1024)}"}`;
  for (let id = 0; id < 3; id++)
    await fixture.produce(
      1,
      () => (id === 1 ? { value: large, key: 'large' } : { key: 'large' }),
      CompressionTypes.GZIP,
    );
  await untilAnswered();
  expect(fixture.acks.map(({ status, code }) => [status, code])).toContainEqual(['rejected', 'record_too_large']);
  const [letter] = await fixture.deadLetters(1);
  expect(letter?.value).toBeNull();
  expect(String(letter?.headers?.['ktb.value.omitted.bytes'])).toBe(String(large.length));
  expect((await fixture.rowCounts()).rows).toBe(2);
});

it('a bad record whose key the dead-letter topic refuses goes there without it, and holds nothing up', async () => {
  await begin('longKey');
  await fixture.alterTopics([fixture.deadLetterTopic], { 'max.message.bytes': '20000' });
  const oldMs = Date.now() - 3_600_000;
  const bad: Record<number, Partial<Message>> = {
    0: { key: Buffer.alloc(30_000, 'k'), value: 'no' },
    1: { key: 'old', value: 'not json', timestamp: String(oldMs) },
  };
  for (let id = 0; id < 3; id++) await fixture.produce(1, () => bad[id] ?? {});
  await untilAnswered();

  const letters = await fixture.deadLetters(2);
  const byValue = new Map(letters.map((letter) => [String(letter.value), letter]));
  expect(byValue.get('no')).toMatchObject({ key: null, headers: { 'ktb.key.omitted.bytes': Buffer.from('30000') } });
  const old = byValue.get('not json');
  expect(old).toMatchObject({ key: Buffer.from('old'), headers: { 'ktb.timestamp': Buffer.from(String(oldMs)) } });
  expect(Number(old?.timestamp)).toBeGreaterThan(oldMs);

  const { output } = await ktb(fixture.config(), ['dlq', 'show', fixture.name]);
  const shown = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(shown).toContainEqual(expect.objectContaining({ key: null, keyOmitted: true, bytes: 2 }));
  expect(shown).toContainEqual(expect.objectContaining({ key: 'old', timestamp: new Date(oldMs).toISOString() }));
  const replay = await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--all', '--dry-run']);
  expect(replay).toMatchObject({ code: 1, output: expect.stringContaining('1 left: without its key') as string });
});

it('columns come from where the mapping says, and a missing one is named while the batch is held', async () => {
  await begin('mapped');
  await fixture.produce(1, () => ({
    value: '{"id": 1, "customer": {"id": "c-1"}, "numbers": [18446744073709551615], "geo": {"lat": 1.5, "lon": 2}}',
    headers: { trace: 'abc' },
  }));
  await untilAnswered();
  expect(
    await fixture.query(`SELECT id, customer, trace, toString(big) AS big, place.1 AS lat, _key FROM ${fixture.table}`),
  ).toEqual([{ id: 1, customer: 'c-1', trace: 'abc', big: '18446744073709551615', lat: 1.5, _key: 'key-0' }]);

  await fixture.clickhouse.command({ query: `ALTER TABLE ${fixture.table} DROP COLUMN trace` });
  await fixture.produce(1, () => ({ value: '{"id": 2, "customer": {"id": "c-2"}, "numbers": [1]}' }));
  await eventually(() => {
    const warnings = shared
      .daemon()
      .logs()
      .filter(({ level }) => level === 'warn');
    expect(warnings.map(({ message }) => message).join()).toContain('has no column trace');
  }, 90_000);
  expect(acknowledged(fixture.acks)).toBe(1);
  await fixture.clickhouse.command({ query: `ALTER TABLE ${fixture.table} ADD COLUMN trace Nullable(String)` });
  await untilAnswered();
  expect((await fixture.rowCounts()).rows).toBe(2);
});
