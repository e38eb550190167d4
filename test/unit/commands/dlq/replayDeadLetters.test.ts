import { readFileSync, writeFileSync } from 'node:fs';
import { beforeEach, expect, it, vi } from 'vitest';
import type { PartitionRange } from '../../../../src/kafka/readRanges.js';
import { deadLetterHeaders, markedHeaders, OMITTED_BYTES } from '../../../../src/protocol/deadLetter.js';
import type { KafkaRecord, RecordHeader } from '../../../../src/protocol/record.js';
import { unreachableConfig } from '../../../support/unreachableConfig.js';
import { fetchedRecord } from '../../../support/records.js';

const config = unreachableConfig(['orders', 'other']);

/** The dead letters by partition, in the order in which the partitions are read. */
let topic: [partition: number, letters: KafkaRecord[]][];
/** Called before each letter is handled. */
let beforeLetter: () => void;
/** Called before records are published. Returns those that the topic takes. */
let taken: (topic: string, records: readonly unknown[]) => readonly unknown[];
let isOpenAtEnd: boolean;
/** What the command prints as errors. */
let complaints: string[];
let published: string[];

vi.mock('../../../../src/kafka/readRanges.js', () => ({
  rangesOf: () =>
    Promise.resolve(topic.map(([partition, letters]) => ({ topic: 'dlq', partition, from: 0, to: endOf(letters) }))),
  readRanges: async (
    _kafka: unknown,
    _admin: unknown,
    ranges: readonly PartitionRange[],
    handlers: { record: (record: KafkaRecord, range: PartitionRange) => Promise<boolean> },
  ) => {
    for (const range of ranges)
      for (const record of topic.find(([partition]) => partition === range.partition)![1])
        if (record.offset >= range.from && record.offset < range.to) {
          beforeLetter();
          await handlers.record(record, range);
        }
  },
}));
vi.mock('../../../../src/commands/shared/connections.js', () => ({
  withKafka: (_config: unknown, work: (kafka: object, admin: object) => unknown) => {
    const further = isOpenAtEnd ? 1 : 0;
    const fetchHighWatermarks = () =>
      Promise.resolve(new Map(topic.map(([partition, letters]) => [`dlq/${partition}`, endOf(letters) + further])));
    return work({}, { fetchHighWatermarks });
  },
}));
vi.mock('../../../../src/kafka/producers.js', () => ({ producerFactory: () => () => ({}) }));
vi.mock('../../../../src/kafka/publisher.js', () => ({
  Publisher: class {
    publishEach(
      to: string,
      all: readonly { value: Buffer }[],
      handlers: { taken: (some: readonly unknown[]) => void },
    ): Promise<void> {
      const some = taken(to, all) as typeof all;
      for (const { value } of some) published.push(String(value).trim());
      handlers.taken(some);
      return some.length === all.length
        ? Promise.resolve()
        : Promise.reject(new Error(`topic ${to} takes no messages`));
    }
    close(): Promise<void> {
      return Promise.resolve();
    }
  },
}));
const { readAgainText, replayDeadLetters } = await import('../../../../src/commands/dlq/replayDeadLetters.js');

beforeEach(() => {
  topic = [];
  published = [];
  complaints = [];
  beforeLetter = () => undefined;
  taken = (_, all) => all;
  isOpenAtEnd = false;
});

const endOf = (letters: readonly KafkaRecord[]) => letters.at(-1)!.offset + 1;

/** The letter at an offset, of the record at offset `of`. Eight records are published together. */
function letter(offset: number, of: number, { omitted = false, from = 'orders' } = {}): KafkaRecord {
  const value = Buffer.from(`r${of}`.padEnd(8_000));
  const record = { offset: of, timestampMs: 1_000_000 + of, key: null, value, headers: [] };
  const rejection = { code: 'not_json', message: 'no JSON' } as const;
  const own = deadLetterHeaders({ topic: from, partition: 0 }, record, rejection, 'orders');
  const named = Object.entries(omitted ? markedHeaders(own, OMITTED_BYTES.value, '8') : own);
  const headers = named.flatMap(([name, values]) =>
    [values].flat().map((text): RecordHeader => [name, Buffer.from(text as string)]),
  );
  return fetchedRecord(offset, 5, null, omitted ? null : value, headers);
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Runs the command. Returns what it says, and the places after which it goes on. */
async function replay(after: readonly string[] = []) {
  const said: string[] = [];
  const log = vi.spyOn(console, 'log').mockImplementation((text: string) => void said.push(text));
  const complain = vi.spyOn(console, 'error').mockImplementation((text: string) => void complaints.push(text));
  const options = { config, code: [], record: [], all: true, dryRun: false, after };
  await replayDeadLetters('orders', options).catch((error: unknown) => said.push(String(error)));
  log.mockRestore();
  complain.mockRestore();
  process.exitCode = 0;
  const text = said.join('\n');
  return { said: text, after: [...text.matchAll(/--after (\S+)/g)].map(([, place]) => place!) };
}

function interruptBeforeLetter(number: number): void {
  let handled = 0;
  beforeLetter = () => {
    if (handled++ === number) process.emit('SIGINT', 'SIGINT');
  };
}

it('a record with letters on two partitions is replayed once, also where the reading goes on in another order', async () => {
  const letters = upTo(40).map((offset) => letter(offset, offset));
  topic = [
    [0, letters],
    [1, letters],
  ];
  interruptBeforeLetter(30);
  const { after } = await replay();
  expect(after).toEqual(['0/23']);
  topic.reverse();
  await replay(after);
  expect(published).toEqual(upTo(40).map((of) => `r${of}`));
});

it('letters that wait to be published together do not keep the answers alive in which they came', async () => {
  const of = (at: number): KafkaRecord => {
    const { offset, timestampMs, headers } = letter(at, at);
    const answer = Buffer.alloc(1024 * 1024);
    return { offset, timestampMs, key: answer.subarray(0, 1), value: answer.subarray(1, 8_000), headers };
  };
  topic = [[0, upTo(9).map(of)]];
  const kept: number[] = [];
  taken = (_, all) => {
    for (const { key, value } of all as KafkaRecord[]) kept.push(key!.buffer.byteLength, value!.buffer.byteLength);
    return all;
  };
  await replay();
  expect(kept).toHaveLength(18);
  expect(Math.max(...kept)).toBeLessThan(100_000);
});

it('the complete letter of a record is replayed, also where an interrupted replay had left one without its value', async () => {
  topic = [[0, [letter(0, 7, { omitted: true }), ...upTo(20).map((at) => letter(1 + at, 100 + at)), letter(30, 7)]]];
  interruptBeforeLetter(15);
  const { after } = await replay();
  expect(after).toHaveLength(1);
  expect(published).not.toContain('r7');
  await replay(after);
  expect(published.filter((name) => name === 'r7')).toEqual(['r7']);
  expect(new Set(published).size).toBe(published.length);
});

it('a replay that fails says where it goes on: no record is left out, and those that come again are counted', async () => {
  topic = [[0, upTo(40).map((offset) => letter(offset, offset, { from: offset % 2 === 0 ? 'orders' : 'other' }))]];
  // Of the second portion, offsets 8 to 15, the topic `other` does not take offset 9.
  let publications = 0;
  taken = (_, all) => (++publications === 4 ? all.slice(1) : all);
  const { said, after } = await replay();
  expect(said).toContain('1 more may have been replayed to other, from other/0/9 on');
  expect(after).toEqual(['0/8']);
  expect(said).toContain('6 of those that were replayed will be replayed again');
  taken = (_, all) => all;
  await replay(after);
  expect(new Set(published).size).toBe(40);
  expect(published).toHaveLength(46);
});

it.each([
  ['of the same topic', 'orders'],
  ['of another topic', 'other'],
])('no record %s is left out after an error, also where a further letter of it was passed over', async (_, from) => {
  topic = [
    [0, [letter(0, 100), letter(1, 7, { from })]],
    [1, [letter(0, 7, { from }), ...upTo(20).map((at) => letter(1 + at, 200 + at))]],
  ];
  taken = (_, all) =>
    (all as { letter: { source: { offset: number } } }[]).filter(({ letter }) => letter.source.offset !== 7);
  const { said, after } = await replay();
  expect(said).toContain(`1 more may have been replayed to ${from}, from ${from}/0/7 on`);
  expect(after).toEqual(['0/0']);
  expect(said).toMatch(/^\d of those that were replayed will be replayed again/m);
  taken = (_, all) => all;
  await replay(after);
  expect(new Set(published).size).toBe(22);
  expect(published.filter((name) => name === 'r7')).toEqual(['r7']);
});

it('a letter that was passed over before a portion that is published whole does not make its neighbours come again', async () => {
  topic = [
    [0, [letter(0, 0), letter(1, 0), ...upTo(7).map((at) => letter(2 + at, 2 + at)), letter(9, 9), letter(10, 10)]],
  ];
  let publications = 0;
  taken = (_, all) => (++publications === 2 ? [] : all);
  expect((await replay()).after).toEqual(['0/8']);
});

it('a replay that fails with its first letter says to repeat it, and how many records come again then', async () => {
  topic = [[0, upTo(5).map((offset) => letter(offset, offset))]];
  taken = (_, all) => all.slice(1);
  const { said, after } = await replay();
  expect(after).toEqual([]);
  expect(said).toContain(
    'not all was looked at. To go on, repeat the command\n4 of those that were replayed will be replayed again then',
  );
});

it('where a transaction is open, a replay says how it goes on after that, and nothing else', async () => {
  topic = [[0, upTo(3).map((offset) => letter(offset, offset))]];
  isOpenAtEnd = true;
  expect((await replay()).after).toEqual(['0/2']);
  expect(complaints).toEqual([
    expect.stringMatching(/dlq\/0 was read up to offset 3 of 4: a transaction is open there/),
  ]);
  expect(complaints[0]).not.toMatch(/repeat/i);
  isOpenAtEnd = false;
  const { said, after } = await replay();
  expect(said).not.toContain('not all was looked at');
  expect(after).toEqual(['0/2']);
});

it('after a whole replay, the same command with what it says replays later letters of other records only', async () => {
  topic = [[0, [letter(0, 7), letter(1, 8), letter(2, 7)]]];
  const { said, after } = await replay();
  expect(said).toContain('To replay only later dead letters next time');
  topic = [[0, [...topic[0]![1], letter(3, 8), letter(4, 9)]]];
  expect((await replay(after)).after).toEqual(['0/4']);
  expect(published).toEqual(['r7', 'r8', 'r9']);
  expect(await replay(['0/4'])).toMatchObject({ said: 'no such dead letters', after: [] });
});

it('a replay names every other pipeline that gets the records again, also one that reads the topic by a pattern', () => {
  const choice = { topics: ['t'], topicPatterns: [], ownTopics: new Set<string>() };
  const ra = { ...choice, name: 'ra' };
  const rb = { ...choice, name: 'rb' };
  const byPattern = { ...choice, name: 'rc', topics: [], topicPatterns: [/^t$/] };
  const elsewhere = { ...choice, name: 'rd', topics: ['other'] };
  expect(readAgainText('t', ra, [ra, elsewhere])).toEqual([]);
  expect(readAgainText('t', ra, [ra, rb, byPattern, elsewhere])).toEqual([
    'pipeline rb reads t, too, and gets these records again, as new ones',
    'pipeline rc reads t, too, and gets these records again, as new ones',
  ]);
});

it('only where changes count by their offset, a record is replayed with the one that it had at first', async () => {
  const text = readFileSync(config, 'utf8');
  const headers: unknown[] = [];
  taken = (_, all) => {
    headers.push(...all.map((message) => (message as { headers: object }).headers));
    return all;
  };
  for (const version of ['lsn', 'offset']) {
    const changes = `{ topics: [orders], table: changes, envelope: debezium, debezium: { version: ${version} } }`;
    writeFileSync(config, text.replace('pipelines: {', `pipelines: { changes: ${changes},`));
    topic = [[0, [letter(0, 7), letter(1, 8, { from: 'other' })]]];
    await replay();
  }
  writeFileSync(config, text);
  expect(headers).toEqual([{}, {}, { 'ktb.replayed.offset': ['7'] }, {}]);
});
