import { spawn } from 'node:child_process';
import { expect } from 'vitest';
import type { PipelineReport } from '../../src/commands/status/statusReport.js';
import { atTestEnd, itBesideOthers as it } from '../support/besideOthers.js';
import { CLI, Daemon, ktb, ktbUntil } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { produceUnreadable } from '../support/unreadable.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

it('status tells members and batchers, and watched it looks again every two seconds until it is ended', async () => {
  const fixture = await Fixture.create(stack(), { pipeline: { batchers: 2 } });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  await fixture.produce(200);
  await expectExactlyOnce(fixture);
  const startedAtMs = Date.now();
  const watched = await ktbUntil(
    fixture.config(),
    ['status', '--watch', '--json'],
    (output) => output.split('\n').length > 3,
  );
  expect(watched.code).toBe(0);
  expect(Date.now() - startedAtMs).toBeGreaterThan(4_000);
  const looks = watched.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as PipelineReport[]);
  expect(looks).toHaveLength(3);
  for (const [report] of looks)
    expect(report).toMatchObject({ pipeline: fixture.name, members: [{ clientId: 'ktb' }] });
  const batchers = looks.at(-1)?.[0]?.batchers as unknown as { status: { counters: { inserted: number } } }[];
  expect(batchers.reduce((sum, { status }) => sum + status.counters.inserted, 0)).toBe(200);
  const { code, output } = await ktb(fixture.config(), ['status']);
  expect(code).toBe(0);
  expect(output).toMatch(/1 member: ktb@\S+ reads 8 partitions/);
});

interface Found {
  readonly state: string;
  readonly acceptances: readonly {
    readonly workflowId: string;
    readonly unflushed: boolean;
    readonly batches: readonly { readonly id: string; readonly token: string | null }[];
  }[];
  readonly rows: readonly { readonly rows: number }[];
  readonly acks: readonly { readonly status: string; readonly batch: string }[];
  readonly deadLetters: readonly { readonly code: string }[];
}

async function where(fixture: Fixture, place: string): Promise<Found & { readonly code: number | null }> {
  const { code, output } = await ktb(fixture.config(), ['where', place, '--json']);
  return { code, ...(JSON.parse(output) as Found[])[0]! };
}

interface Partition {
  readonly partition: number;
  readonly records: number;
  readonly inserted: number;
  readonly rejected: number;
  readonly held: number;
  readonly acknowledged: number;
  readonly epoch: string | null;
  readonly missing: readonly { readonly from: number; readonly to: number }[];
  readonly otherEpochs: readonly { readonly from: number; readonly to: number }[];
}

async function reconcile(
  fixture: Fixture,
  ...args: string[]
): Promise<{ code: number | null; partitions: Partition[] }> {
  const { code, output } = await ktb(fixture.config(), ['reconcile', fixture.name, ...args, '--json']);
  return { code, partitions: JSON.parse(output) as Partition[] };
}

const total = (
  { partitions }: { partitions: readonly Partition[] },
  what: 'records' | 'inserted' | 'rejected' | 'held' | 'acknowledged',
) => partitions.reduce((sum, partition) => sum + partition[what], 0);

it('where finds a record wherever it is, and reconcile names what was lost', async () => {
  const fixture = await Fixture.create(stack(), {
    partitions: 2,
    pipeline: { batchers: 2, batch: { maxDelay: '10m' } },
  });
  await fixture.collectAcks();
  await fixture.produce(100, (id) => ({ partition: id % 2, ...(id === 7 ? { value: 'not json' } : {}) }));
  expect(await where(fixture, `${fixture.topic}/0/0`)).toMatchObject({ code: 0, state: 'waiting' });
  expect(await where(fixture, `${fixture.topic}/0/50`)).toMatchObject({ code: 0, state: 'notWritten' });

  await Daemon.start(fixture.config());
  await eventually(async () => {
    for (const { committed, end } of await fixture.offsets()) expect(committed).toBe(end);
  });
  const held = await where(fixture, `${fixture.topic}/1/3`);
  expect(held).toMatchObject({ code: 0, state: 'accepted', acceptances: [{ unflushed: true }], rows: [] });
  const before = await reconcile(fixture);
  expect(before.code).toBe(0);
  expect([total(before, 'records'), total(before, 'held'), total(before, 'inserted')]).toEqual([100, 100, 0]);

  await ktb(fixture.config(), ['flush', '--reason', 'a test']);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(100));
  await eventually(async () => {
    for (const index of [0, 1]) expect((await fixture.batcherStatus(index)).flushing).toBeNull();
  });
  const inserted = await where(fixture, `${fixture.topic}/0/0`);
  const ack = fixture.acks.find(({ partition, offset }) => partition === 0 && offset === 0);
  expect(inserted).toMatchObject({
    code: 0,
    state: 'inserted',
    acceptances: [
      { unflushed: false, batches: [{ id: ack?.batch, token: expect.stringMatching(/^[0-9a-f]{32}$/) as string }] },
    ],
    rows: [{ rows: 1 }],
    acks: [{ status: 'inserted', batch: ack?.batch }],
    deadLetters: [],
  });
  // Record 7 is the fourth of partition 1.
  expect(await where(fixture, `${fixture.topic}/1/3`)).toMatchObject({
    code: 0,
    state: 'rejected',
    acks: [{ status: 'rejected' }],
    deadLetters: [{ code: 'not_json' }],
  });
  const after = await reconcile(fixture);
  expect(after.code).toBe(0);
  expect([total(after, 'inserted'), total(after, 'rejected'), total(after, 'acknowledged')]).toEqual([99, 1, 100]);

  await fixture.clickhouse.command({
    query: `ALTER TABLE ${fixture.table} DELETE WHERE _partition = 0 AND _offset IN (4, 5, 9) SETTINGS mutations_sync = 2`,
  });
  expect(await where(fixture, `${fixture.topic}/0/4`)).toMatchObject({ code: 1, state: 'missing' });
  const lost = await reconcile(fixture);
  expect(lost.code).toBe(1);
  expect(lost.partitions.find(({ partition }) => partition === 0)?.missing).toMatchObject([
    { from: 4, to: 5 },
    { from: 9, to: 9 },
  ]);
  expect((await reconcile(fixture, '--partition', `${fixture.topic}/1`)).code).toBe(0);
  expect((await reconcile(fixture, '--from', '10')).code).toBe(0);
  const said = await ktb(fixture.config(), ['reconcile', fixture.name]);
  expect(said.output).toContain('offsets 4 to 5 (2 records) missing');
  expect((await ktb(fixture.config(), ['where', 'nobody/0/0'])).code).toBe(2);
});

it('what is left of a recreated topic, or of an earlier reading, hides no record that is missing, held or waits', async () => {
  const hour = 3_600_000;
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { batchers: 1 } });
  const { topic, producer, deadLetterTopic } = fixture;
  await fixture.collectAcks();
  // A dead letter of an offset that is written later. It does not say of which record it is.
  const place = { topic, partition: '0', offset: '10', 'exception.class.name': 'not_json' };
  const headers = Object.fromEntries(Object.entries(place).map(([name, text]) => [`__connect.errors.${name}`, text]));
  const timestamp = String(Date.now() - 24 * hour);
  await producer.send({ topic: deadLetterTopic, messages: [{ value: 'x', headers, timestamp }] });
  const written = (hoursAgo: number) => ({ timestamp: String(Date.now() - hoursAgo * hour) });
  /** The committed epoch, once it is another one, and so much is committed. Rows may be there before that. */
  const epochAfter = async (before: string, committed: number) => {
    let epoch = '';
    await eventually(async () => {
      const [offset] = await fixture.offsets();
      epoch = offset?.metadata?.split(';')[1] ?? '';
      expect(offset).toMatchObject({ committed });
      expect(['', before]).not.toContain(epoch);
    });
    return epoch;
  };
  let daemon = await Daemon.start(fixture.config());
  await fixture.produce(10, (id) => ({ ...written(3), ...(id === 3 ? { value: 'not json' } : {}) }));
  await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(9));
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(10));
  const first = await epochAfter('', 10);
  expect(await reconcile(fixture)).toMatchObject({
    code: 0,
    partitions: [{ epoch: first, inserted: 9, rejected: 1, missing: [], otherEpochs: [] }],
  });

  await daemon.stop();
  await fixture.admin.deleteTopics({ topics: [topic] });
  await eventually(async () => expect(await fixture.admin.listTopics()).not.toContain(topic));
  await eventually(() => fixture.admin.createTopics({ topics: [{ topic, numPartitions: 1 }] }));
  await eventually(() => fixture.produce(10, () => written(2)));
  expect(await where(fixture, `${topic}/0/4`)).toMatchObject({ code: 0, state: 'waiting', rows: [{ rows: 1 }] });
  daemon = await Daemon.start(fixture.config());
  await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(19), 60_000);
  const second = await epochAfter(first, 10);
  const remove = (of: string, ...offsets: number[]) =>
    fixture.clickhouse.command({
      query: `ALTER TABLE ${fixture.table} DELETE WHERE _epoch = '${of}' AND _offset IN (${offsets.join()}) SETTINGS mutations_sync = 2`,
    });
  // The earlier record at offset 3 has a dead letter, those at 4 and 5 have rows.
  await remove(second, 3, 4, 5);
  expect(await where(fixture, `${topic}/0/4`)).toMatchObject({ code: 1, state: 'missing', rows: [{ rows: 1 }] });
  expect(await reconcile(fixture)).toMatchObject({
    code: 1,
    partitions: [{ epoch: second, inserted: 7, rejected: 0, missing: [{ from: 3, to: 5 }], otherEpochs: [] }],
  });

  await ktb(fixture.config(), ['pause', '--reason', 'a test']);
  await fixture.produce(1, () => written(1));
  await eventually(async () => expect((await fixture.offsets())[0]?.committed).toBe(11));
  expect(await where(fixture, `${topic}/0/10`)).toMatchObject({ code: 0, state: 'accepted', deadLetters: [] });
  await ktb(fixture.config(), ['resume', '--reason', 'a test']);
  await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(17));

  await daemon.stop();
  const rewound = await ktb(fixture.config(), ['rewind', fixture.name, '--to', '5', '--again']);
  expect(rewound, rewound.output).toMatchObject({ code: 0 });
  await Daemon.start(fixture.config());
  await eventually(async () => expect((await fixture.rowCounts()).rows).toBe(23), 60_000);
  const third = await epochAfter(second, 11);
  await remove(third, 7);
  expect(await reconcile(fixture)).toMatchObject({
    code: 1,
    partitions: [{ epoch: third, missing: [{ from: 3, to: 4 }], otherEpochs: [{ from: 7, to: 7 }] }],
  });
  const said = await ktb(fixture.config(), ['reconcile', fixture.name]);
  expect(said.output).toContain(
    'offset 7 (1 record) accepted under the committed epoch, with rows of other epochs only',
  );
}, 240_000);

it('what the daemon passes over the commands pass over, too, and say so', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { batchers: 1 } });
  const { producer, topic, deadLetterTopic } = fixture;
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(3);
  await produceUnreadable(producer, topic);
  await producer.send({ topic, messages: [{ value: 'no JSON' }] });
  await fixture.produce(2);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(6));
  await eventually(async () => expect((await fixture.offsets())[0]).toMatchObject({ committed: 7 }));
  await daemon.stop();

  expect(await where(fixture, `${topic}/0/3`)).toMatchObject({ code: 1, state: 'unreadable', rows: [], acks: [] });
  expect(await where(fixture, `${topic}/0/4`)).toMatchObject({ code: 0, state: 'rejected' });
  await produceUnreadable(producer, deadLetterTopic);
  const { code, output } = await ktb(fixture.config(), ['reconcile', fixture.name]);
  expect(code).toBe(1);
  expect(output).toContain(
    `${topic}/0: offset 3 cannot be read and was passed over, as by the daemon: the record at offset 3 of ${topic}/0`,
  );
  expect(output).toContain(`${deadLetterTopic}/0: offset`);
  expect(output).not.toMatch(/missing:|not acknowledged/);
  const letters = await ktb(fixture.config(), ['dlq', 'list', fixture.name]);
  expect(letters).toMatchObject({ code: 1, output: expect.stringMatching(/: 1 dead letters on /) as string });
  expect(letters.output).toContain(`${deadLetterTopic}/0: offset`);
  const created = await ktb(fixture.config({ table: `${fixture.table}_sampled` }), ['setup', '--from-sample', '10']);
  expect(created).toMatchObject({ code: 0, output: expect.stringContaining('created from 5 records') as string });
}, 240_000);

it('the codec server makes the signals and batches of a real history readable', async () => {
  const fixture = await Fixture.create(stack(), { pipeline: { batchers: 1 } });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  await fixture.produce(20);
  await expectExactlyOnce(fixture);
  const env = { ...process.env, KTB_CODEC_TOKEN: 'secret' };
  const server = spawn(process.execPath, [CLI, 'codec-server', '--listen', '127.0.0.1:0'], { env });
  const exited = new Promise((resolve) => server.once('close', resolve));
  atTestEnd(async () => {
    server.kill('SIGKILL');
    await exited;
  });
  let output = '';
  server.stdout.on('data', (text: Buffer) => (output += text.toString()));
  const port = await eventually(() => {
    const found = /port (\d+)/.exec(output)?.[1];
    if (found === undefined) throw new Error(`the codec server does not listen: ${output}`);
    return found;
  });
  const { events } = await fixture.batcher(0).fetchHistory();
  const inputs = (events ?? []).map(
    (event) =>
      event.workflowExecutionSignaledEventAttributes?.input?.payloads ??
      event.activityTaskScheduledEventAttributes?.input?.payloads ??
      [],
  );
  const texts: string[] = [];
  for (const list of inputs.filter(({ length }) => length > 0)) {
    const payloads = list.map(({ metadata, data }) => ({
      metadata: Object.fromEntries(
        Object.entries(metadata ?? {}).map(([name, bytes]) => [name, Buffer.from(bytes).toString('base64')]),
      ),
      data: Buffer.from(data ?? []).toString('base64'),
    }));
    const answer = await fetch(`http://127.0.0.1:${port}/default/decode`, {
      method: 'POST',
      headers: { authorization: 'Bearer secret' },
      body: JSON.stringify({ payloads }),
    });
    expect(answer.status).toBe(200);
    const decoded = (await answer.json()) as { payloads: { data: string }[] };
    texts.push(Buffer.from(decoded.payloads.at(-1)?.data ?? '', 'base64').toString());
  }
  // Each record once in a signal, and once in a batch.
  for (let id = 0; id < 20; id++)
    expect(texts.join('\n').match(new RegExp(`"value":\\{"id":${id},`, 'g')), String(id)).toHaveLength(2);
  server.kill('SIGTERM');
  expect(await exited).toBe(0);
});
