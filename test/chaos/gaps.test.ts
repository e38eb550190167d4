import { expect, it } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture, type FixtureOptions } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

/** Offsets of a partition that the log lost before they were read, ends included. */
interface Gap {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

const stack = useStack();
let fixture: Fixture;

async function create(options: FixtureOptions = {}): Promise<void> {
  fixture = await Fixture.create(stack(), { partitions: 2, ...options });
  await fixture.collectAcks();
}

function start(args: readonly string[] = []): Promise<Daemon> {
  return Daemon.start(fixture.config(), args);
}

async function partitionZero(): Promise<{ committed: number; end: number }> {
  const offsets = await fixture.offsets();
  return offsets.find(({ partition }) => partition === 0) ?? { committed: -1, end: 0 };
}

/** A group that has read 1,000 records and is stopped, with 1,000 more behind them. What it had committed of partition 0. */
async function stoppedWithBacklog(options: FixtureOptions = {}): Promise<{ committed: number }> {
  await create(options);
  const daemon = await start();
  await fixture.produce(1_000);
  await expectExactlyOnce(fixture);
  await daemon.stop();
  const stopped = await partitionZero();
  await fixture.produce(1_000);
  return stopped;
}

const loggedGaps = (daemon: Daemon): Gap[] =>
  daemon
    .logs()
    .filter(({ message }) => message.startsWith('Offsets are missing from the log'))
    .map(({ partition, from, to }) => ({ partition, from, to }) as Gap);

/** The gap is counted and told with its range; every other record is there once. */
async function expectGap(daemon: Daemon, gap: Gap): Promise<void> {
  await expectExactlyOnce(fixture, { records: fixture.produced - (gap.to - gap.from + 1) });
  expect(loggedGaps(daemon)).toEqual([gap]);
  expect(await daemon.metric('ktb_offset_gaps_total')).toBe(1);
  const [inserted] = await fixture.query<{ rows: string }>(
    `SELECT count() AS rows FROM ${fixture.table} WHERE _partition = 0 AND _offset BETWEEN ${gap.from} AND ${gap.to}`,
  );
  expect(Number(inserted?.rows)).toBe(0);
}

it('records removed while the group was stopped are counted as a gap, and the rest is ingested', async () => {
  const stopped = await stoppedWithBacklog();
  const to = stopped.committed + 99;
  await fixture.removeBefore(to + 1);
  const daemon = await start();
  await expectGap(daemon, { partition: 0, from: stopped.committed, to });
});

it('a rewind of another partition leaves what is committed before a gap as it is', async () => {
  const stopped = await stoppedWithBacklog();
  await fixture.removeBefore(stopped.committed + 100);
  const committed = async () => {
    const topics = await fixture.admin.fetchOffsets({ groupId: `ktb-${fixture.name}`, topics: [fixture.topic] });
    return topics[0]?.partitions.find(({ partition }) => partition === 0);
  };
  const before = await committed();
  expect(before).toMatchObject({ offset: String(stopped.committed) });
  const args = ['rewind', fixture.name, '--to', 'earliest', '--partition', `${fixture.topic}/1`];
  const rewind = await ktb(fixture.config(), args);
  expect(rewind, rewind.output).toMatchObject({ code: 0 });
  expect(await committed()).toEqual(before);
});

it('with onGap: halt the partition waits for a person, and the others are read', async () => {
  const stopped = await stoppedWithBacklog({ pipeline: { onGap: 'halt' } });
  const end = (await partitionZero()).end;
  const to = stopped.committed + 99;
  await fixture.removeBefore(to + 1);
  const halted = Daemon.launch(fixture.config());
  // What partition 0 still has waits; the other partition's records are in.
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(2_000 - (end - stopped.committed)));
  expect((await halted.get('/readyz')).status).toBe(503);
  expect(loggedGaps(halted)).toEqual([{ partition: 0, from: stopped.committed, to }]);
  expect(halted.output).toContain('Set `onGap: continue`');
  expect(await partitionZero()).toMatchObject({ committed: stopped.committed, end });
  await halted.stop();
  await Daemon.start(fixture.config({ onGap: 'continue' }));
  await expectExactlyOnce(fixture, { records: fixture.produced - 100 });
});

it('all of a log removed while the group was stopped is a gap up to its end, and what comes then is ingested', async () => {
  const stopped = await stoppedWithBacklog();
  const log = await partitionZero();
  await fixture.removeBefore(log.end);
  const daemon = await start();
  await fixture.produce(1_000);
  await expectGap(daemon, { partition: 0, from: stopped.committed, to: log.end - 1 });
});

it('records removed while the group runs and waits are counted as a gap, and the rest is ingested', async () => {
  await create({
    pipeline: {
      batchers: 1,
      maxBuffered: '4MiB',
      flow: { maxHistory: '1MiB', checkEvery: '64KiB' },
      signal: { maxBytes: '64KiB' },
    },
  });
  // Without a worker the history fills, then the consumer's buffer; what comes after that stays unread in the log.
  const consumer = await start(['--role', 'consumer']);
  const noise = () => Array.from({ length: 100 }, () => Math.random().toString(36)).join('');
  await fixture.produce(10_000, (id) => ({ value: JSON.stringify({ id, text: noise() }) }));
  await eventually(async () => {
    expect(await consumer.metric('ktb_stopped_lanes', { cause: 'history' })).toBe(1);
    expect(await consumer.metric('ktb_paused_partitions')).toBe(2);
  });
  expect(await consumer.metric('ktb_consumed_records_total')).toBeLessThan(8_000);
  const log = await partitionZero();
  const to = log.end - 100;
  await fixture.removeBefore(to + 1);
  await start(['--role', 'worker']);
  const gap = await eventually(() => {
    const [found] = loggedGaps(consumer);
    if (found === undefined) throw new Error('no gap was found');
    return found;
  });
  expect(gap).toMatchObject({ partition: 0, to });
  await expectGap(consumer, gap);
});
