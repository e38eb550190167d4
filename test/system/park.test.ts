import crc32 from 'crc-32';
import { expect, it } from 'vitest';
import { BATCHER } from '../../src/protocol/batcher.js';
import { CHUNK_FORMAT } from '../../src/protocol/chunk.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { useSharedDaemon } from '../support/sharedDaemon.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;
let daemon: Daemon;

const OPTIONS: FixtureOptions = {
  partitions: 1,
  columns: 'id Int64, text String, trace Nullable(String)',
  pipeline: { batchers: 1, batch: { maxDelay: '100ms' } },
};
const LARGE: FixtureOptions = { topicConfig: { 'max.message.bytes': '2000000' } };
const shared = useSharedDaemon(
  stack,
  { parked: OPTIONS, held: OPTIONS, foreign: OPTIONS, byName: LARGE, byPattern: LARGE },
  (fixture, name) => fixture.config(name === 'byPattern' ? { topics: [`/${fixture.topic}/`] } : {}),
);

async function begin(name: Parameters<typeof shared.fixture>[0]): Promise<void> {
  fixture = shared.fixture(name);
  daemon = shared.daemon();
  await fixture.collectAcks();
}

/** A command for the only batcher. */
async function steer(action: string): Promise<{ outcome: string; message: string }> {
  const args = [action, '--pipeline', fixture.name, '--batcher', '0', '--reason', 'a column is gone', '--json'];
  const { output } = await ktb(fixture.config(), args);
  return (JSON.parse(output) as { outcome: string; message: string }[])[0]!;
}

const answered = (count: number) =>
  eventually(() => {
    expect(acknowledged(fixture.acks)).toBe(count);
  }, 90_000);
const run = (query: string) => fixture.clickhouse.command({ query });

it('a batch that is given up, by a worker that dies over it: what is in the table is inserted, all else comes back by a replay', async () => {
  fixture = await Fixture.create(stack(), OPTIONS);
  await fixture.collectAcks();
  daemon = await Daemon.start(fixture.config({ columns: { trace: 'header:trace' } }));
  await fixture.produce(50);
  await answered(50);
  expect(await steer('park')).toMatchObject({ outcome: 'already' });

  await steer('pause');
  await fixture.produce(50);
  await eventually(async () => expect((await fixture.batcherStatus(0)).bufferedRecords).toBe(50));
  await run(`ALTER TABLE ${fixture.table} DROP COLUMN trace`);
  const epoch = (await fixture.offsets())[0]?.metadata?.split(';')[1] ?? '';
  await run(
    `INSERT INTO ${fixture.table} (id, _topic, _partition, _offset, _epoch)
     SELECT number, '${fixture.topic}', 0, number, '${epoch}' FROM numbers(50, 10)`,
  );
  await steer('resume');
  await eventually(async () =>
    expect(await steer('park')).toMatchObject({
      outcome: 'told',
      message: expect.stringMatching(/batch \d+ with 50 records up.* has no column trace/) as string,
    }),
  );
  await daemon.kill();
  daemon = await Daemon.start(fixture.config());
  await answered(100);
  const ofSecond = fixture.acks.filter(({ offset }) => offset >= 50);
  expect(ofSecond.filter(({ status }) => status === 'inserted').every(({ offset }) => offset < 60)).toBe(true);
  const rejected = ofSecond.filter(({ status }) => status === 'rejected');
  expect(rejected.every(({ offset, code }) => offset >= 60 && code === 'parked')).toBe(true);
  expect(rejected[0]?.message).toContain('a column is gone');
  expect(await fixture.rowCounts()).toEqual({ rows: 60, identities: 60, ids: 60 });

  await fixture.produce(10);
  await answered(110);
  const replay = await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--code', 'parked']);
  expect(replay).toMatchObject({ code: 0, output: expect.stringContaining(`replayed to ${fixture.topic}`) as string });
  await eventually(async () => expect((await fixture.rowCounts()).ids).toBe(110), 60_000);
  expect(daemon.output).not.toContain('record number');
});

it('a chunk that nobody can unpack holds its batcher until its batch is given up, and a replay leaves it out', async () => {
  await begin('parked');
  await fixture.produce(5);
  await answered(5);
  await steer('pause');
  await fixture.produce(5);
  await eventually(async () => expect((await fixture.batcherStatus(0)).bufferedRecords).toBe(5));
  const body = Buffer.from('damaged');
  const segment = { topic: fixture.topic, partition: 7, epoch: 'e', from: 9, to: 12, records: 3, bytes: 300 };
  const meta = { format: CHUNK_FORMAT, crc32: crc32.buf(body), records: 3, bytes: 300, segments: [segment] };
  await fixture.batcher(0).signal(BATCHER.signals.records, meta, body);
  await eventually(async () => expect((await fixture.batcherStatus(0)).bufferedRecords).toBe(8));
  await steer('resume');
  await eventually(async () =>
    expect(await steer('park')).toMatchObject({
      outcome: 'told',
      message: expect.stringContaining('cannot be decompressed') as string,
    }),
  );
  await answered(10);
  const ofBatch = fixture.acks.filter(({ offset }) => offset >= 5);
  expect(ofBatch.every(({ status, code }) => status === 'rejected' && code === 'parked')).toBe(true);
  await fixture.produce(5);
  await answered(15);

  const letters = await fixture.deadLetters(6);
  const letter = letters.find(({ headers }) => headers?.['ktb.chunk.segments'] !== undefined);
  expect(letter?.value).toEqual(body);
  expect(JSON.parse(String(letter?.headers?.['ktb.chunk.segments']))).toEqual([segment]);
  expect(await daemon.metric('ktb_dead_letters_total', { code: 'unreadable_chunk' })).toBe(1);
  expect(daemon.output).toContain('"offsets":"10 to 12"');
  const replay = await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--all']);
  expect(replay).toMatchObject({
    code: 1,
    output: expect.stringContaining(`5 replayed to ${fixture.topic}`) as string,
  });
  expect(replay.output).toContain('1 left: a chunk that cannot be unpacked');
  await eventually(async () => expect(await fixture.rowCounts()).toMatchObject({ rows: 15, ids: 15 }));
});

it('records in a chunk that nobody can unpack are held, and the commands say by whom and what to do', async () => {
  await begin('held');
  await fixture.produce(5);
  await answered(5);
  await eventually(async () => expect((await fixture.offsets())[0]?.committed).toBe(5));
  await steer('pause');
  const epoch = (await fixture.offsets())[0]?.metadata?.split(';')[1] ?? '';
  const body = Buffer.from('damaged');
  const segment = { topic: fixture.topic, partition: 0, epoch, from: 4, to: 9, records: 5, bytes: 500 };
  const meta = { format: CHUNK_FORMAT, crc32: crc32.buf(body), records: 5, bytes: 500, segments: [segment] };
  await fixture.batcher(0).signal(BATCHER.signals.records, meta, body);
  await fixture.produce(5);
  await eventually(async () => expect((await fixture.offsets())[0]?.committed).toBe(10));
  const reconciled = await ktb(fixture.config(), ['reconcile', fixture.name]);
  const told = `of offsets 5 to 9, batcher ${fixture.batcher(0).workflowId} holds its records in a chunk that cannot be unpacked`;
  for (const part of [`${fixture.topic}/0: ${told}`, 'ktb park', 'ktb rewind'])
    expect(reconciled).toMatchObject({ code: 1, output: expect.stringContaining(part) as string });
  expect(reconciled.output).not.toContain('neither a row');
  const found = await ktb(fixture.config(), ['where', `${fixture.topic}/0/7`]);
  expect(found).toMatchObject({ code: 1, output: expect.stringContaining('accepted it, and holds it') as string });
  expect(found.output).toContain(told);
});

it('strangers’ signals go to the dead-letter topic, whatever they hold, and stop nothing', async () => {
  await begin('foreign');
  await fixture.produce(1);
  await answered(1);
  const batcher = fixture.batcher(0);
  await batcher.signal('hello', { secret: 4711 });
  await batcher.signal(BATCHER.signals.records, { format: 'ktb-chunk/1', crc32: 0 }, new Uint8Array(0));
  await fixture.temporal.workflowService.signalWorkflowExecution({
    namespace: 'default',
    workflowExecution: { workflowId: batcher.workflowId },
    signalName: 'unreadable',
    input: { payloads: [{ metadata: { encoding: Buffer.from('json/protobuf') }, data: Buffer.from('{"a":1}') }] },
  });
  await batcher.signal('__temporal_reserved', 1);
  await fixture.produce(20);
  await answered(21);

  const letters = await fixture.deadLetters(4);
  expect(letters.map(({ headers }) => String(headers?.['ktb.signal.name']))).toEqual(
    expect.arrayContaining(['hello', 'records', 'unreadable', '__temporal_reserved']) as string[],
  );
  const hello = letters.find(({ headers }) => String(headers?.['ktb.signal.name']) === 'hello');
  expect(hello?.value?.toString()).toBe('[{"secret":4711}]');
  expect(await daemon.metric('ktb_dead_letters_total', { code: 'foreign_signal' })).toBe(4);
  expect((await fixture.batcherStatus(0)).counters.foreignSignals).toBe(4);
  const said = daemon.logs().filter(({ message }) => message.includes('no part of ktb sends'));
  expect(said).toHaveLength(1);
  expect(daemon.output).not.toContain('4711');
  const list = await ktb(fixture.config(), ['dlq', 'list', fixture.name, '--json']);
  expect(JSON.parse(list.output)).toMatchObject({ reasons: [{ code: 'foreign_signal', letters: 4 }] });
  const replay = await ktb(fixture.config(), ['dlq', 'replay', fixture.name, '--all']);
  expect(replay).toEqual({ code: 1, output: '4 left: a signal to a batcher, and no record\n' });
});

it.each([
  ['by name', 'byName'],
  ['by pattern', 'byPattern'],
] as const)(
  'a dead-letter topic that takes less than an input topic %s is warned of at the start, and holds nothing up',
  async (_, name) => {
    await begin(name);
    await fixture.produce(10);
    await answered(10);
    expect(daemon.logs()).toContainEqual(
      expect.objectContaining({
        level: 'warn',
        deadLetterTopic: fixture.deadLetterTopic,
        needed: 2_000_000,
        message: expect.stringContaining('without its value') as string,
      }),
    );
  },
);
