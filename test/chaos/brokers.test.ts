import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { expectCommitsForward } from '../support/commitLog.js';
import { coordinatorOf, keepOnOneBroker, moveLeaders, untilInSync } from '../support/cluster.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';

/** Every topic is on three brokers, and two have to agree; a member has a fetcher for each broker. */
const stack = useStack({ brokers: 3 });
/** Three brokers on few cores take their time to come back. */
const SLOW_MS = 480_000;
let fixture: Fixture;

afterEach(async () => {
  await Promise.all(stack().parts.kafka.map((broker) => broker.start()));
});

async function create(topicConfig: Readonly<Record<string, string>> = {}): Promise<void> {
  fixture = await Fixture.create(stack(), { partitions: 12, producer: 'repeating', topicConfig });
  await fixture.collectAcks();
}

function start(args: readonly string[] = []): Promise<Daemon> {
  return Daemon.start(fixture.config(), args);
}

const untilAcknowledged = (more: number) => {
  const from = acknowledged(fixture.acks);
  return eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(from + more), 120_000, 500);
};

async function expectAllWell(): Promise<void> {
  const records = (await fixture.offsets()).reduce((sum, { end }) => sum + end, 0);
  await expectExactlyOnce(fixture, { records, ids: fixture.produced });
  await expectCommitsForward(fixture);
}

it(
  'leaders move under load, by a kill and by a stop',
  async () => {
    await create();
    await start();
    await start();
    const load = steadyLoad(fixture, 500);
    await untilAcknowledged(1_000);
    for (const [index, broker] of stack().parts.kafka.entries()) {
      if (index % 2 === 0) await broker.kill();
      else await broker.stop();
      await untilAcknowledged(2_000);
      await broker.start();
      await untilInSync(fixture);
    }
    await untilAcknowledged(1_000);
    await load.stop();
    await expectAllWell();
  },
  SLOW_MS,
);

it(
  'leaders move while no broker is away: the members learn of it at once',
  async () => {
    await create();
    const daemon = await start();
    const load = steadyLoad(fixture, 500);
    await untilAcknowledged(1_000);
    await moveLeaders(fixture, fixture.topic);
    await untilAcknowledged(5_000);
    await load.stop();
    await expectAllWell();
    const warnings = daemon.logs().filter(({ level }) => level === 'warn' || level === 'error');
    expect(warnings).toEqual([]);
  },
  SLOW_MS,
);

it(
  'a member wakes up late, with what the fetchers of several brokers had brought',
  async () => {
    await create();
    const sleeper = await start();
    const other = await start();
    const load = steadyLoad(fixture, 700);
    for (let round = 0; round < 2; round++) {
      await untilAcknowledged(2_000);
      sleeper.signal('SIGSTOP');
      // Its session ends after ten seconds, and all its partitions go to the other member.
      await eventually(async () => expect(await other.metric('ktb_assigned_partitions')).toBe(12), 30_000);
      await untilAcknowledged(2_000);
      sleeper.signal('SIGCONT');
      await eventually(async () => expect(await sleeper.metric('ktb_assigned_partitions')).toBe(6), 30_000);
    }
    await load.stop();
    await expectAllWell();
  },
  SLOW_MS,
);

it('members join and leave under load', async () => {
  await create();
  const first = await start();
  const load = steadyLoad(fixture, 500);
  for (let round = 0; round < 4; round++) {
    await untilAcknowledged(1_000);
    const joining = [await start(['--role', 'consumer']), await start(['--role', 'consumer'])];
    await untilAcknowledged(1_000);
    // One says goodbye, the other one does not.
    await joining[0]?.stop();
    await joining[1]?.kill();
  }
  await untilAcknowledged(1_000);
  await load.stop();
  await expectAllWell();
  expect(await first.metric('ktb_rebalances_total')).toBeGreaterThan(8);
});

it(
  'commits hit a dying broker while the partitions change hands',
  async () => {
    await create();
    await start();
    await start();
    const load = steadyLoad(fixture, 500);
    for (let round = 0; round < 3; round++) {
      await untilAcknowledged(1_000);
      const coordinator = stack().parts.kafka[await coordinatorOf(fixture)];
      // First it takes commits and does not answer, then their connections break.
      await coordinator?.suspend();
      const joining = start(['--role', 'consumer']);
      await sleep(3_000);
      await coordinator?.kill();
      const third = await joining;
      await untilAcknowledged(1_000);
      await third.kill();
      await coordinator?.start();
      await untilInSync(fixture);
    }
    await load.stop();
    await expectAllWell();
  },
  SLOW_MS,
);

it(
  'partitions without a leader, of strangers and of the pipeline, stop no other: they are named, and read once they have one',
  async () => {
    // The copy that is alone is enough to be elected again.
    const alone = { 'min.insync.replicas': '1' };
    await create(alone);
    const last = stack().parts.kafka.length;
    const broker = stack().parts.kafka[last - 1];
    const stranger = `${fixture.name}.stranger`;
    await fixture.createTopic(stranger, 1, alone);
    await keepOnOneBroker(fixture, stranger, 0, last);
    await keepOnOneBroker(fixture, fixture.topic, 0, last);
    const running = await start();
    await broker?.stop();
    await eventually(async () => {
      const { topics } = await fixture.admin.describeTopics([stranger, fixture.topic]);
      expect([...topics.values()].map(({ partitions }) => partitions[0]?.leader)).toEqual([null, null]);
    }, 60_000);

    let sent = 0;
    const send = async (partitions: readonly number[]): Promise<void> => {
      for (const partition of partitions) {
        const messages = Array.from({ length: 20 }, () => ({
          partition,
          value: JSON.stringify({ id: sent++, text: '' }),
        }));
        await eventually(() => fixture.producer.send({ topic: fixture.topic, messages }), 60_000);
      }
    };
    const others = Array.from({ length: 11 }, (_, index) => index + 1);
    const untilAllAcknowledged = () => eventually(() => expect(acknowledged(fixture.acks)).toBe(sent), 120_000, 500);
    await send(others);
    await untilAllAcknowledged();

    // A member that begins now, and one that has to open its partitions anew.
    const started = Daemon.launch(fixture.config());
    await eventually(async () => expect(await started.metric('ktb_assigned_partitions')).toBe(6), 60_000);
    await send(others);
    await untilAllAcknowledged();
    const name = `${fixture.topic}/0`;
    for (const daemon of [running, started]) {
      const { status, text } = await daemon.get('/readyz');
      expect({ status, text }).toEqual({
        status: 503,
        text: expect.stringContaining(`${name}: it has no leader`) as string,
      });
      expect(daemon.output).toContain(`Kafka cannot serve ${name}: it has no leader`);
    }
    expect(running.output + started.output).toContain(`cannot find out where to start: ${name}: it has no leader`);
    const checked = await ktb(fixture.config(), ['check']);
    expect(checked.output).toContain('has no leader');

    await broker?.start();
    await send([0]);
    // Once it has a leader, and not when kafkajs next asks for its metadata: after a minute.
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(sent), 20_000, 500);
    await expectExactlyOnce(fixture, { records: sent });
    for (const daemon of [running, started]) await daemon.untilReady();
  },
  SLOW_MS,
);

it(
  'startFrom latest: a partition without a leader at the first start is read from what was written since, though the daemon was restarted meanwhile',
  async () => {
    const alone = { 'min.insync.replicas': '1' };
    fixture = await Fixture.create(stack(), {
      partitions: 3,
      producer: 'repeating',
      topicConfig: alone,
      pipeline: { startFrom: 'latest' },
    });
    await fixture.collectAcks();
    const last = stack().parts.kafka.length;
    const broker = stack().parts.kafka[last - 1];
    let sent = 0;
    const send = async (partitions: readonly number[]): Promise<void> => {
      for (const partition of partitions) {
        const messages = Array.from({ length: 20 }, () => ({
          partition,
          value: JSON.stringify({ id: sent++, text: '' }),
        }));
        await eventually(() => fixture.producer.send({ topic: fixture.topic, messages }), 60_000);
      }
    };
    await send([0, 1, 2]);
    const before = sent;
    await keepOnOneBroker(fixture, fixture.topic, 0, last);
    await broker?.stop();
    await eventually(async () => {
      const { topics } = await fixture.admin.describeTopics([fixture.topic]);
      expect(topics.get(fixture.topic)?.partitions[0]?.leader).toBeNull();
    }, 60_000);

    const untilWaiting = (daemon: Daemon) =>
      eventually(async () => {
        expect((await daemon.get('/readyz')).text).toContain(`it does not read ${fixture.topic}/0: it has no leader`);
      }, 60_000);
    const first = Daemon.launch(fixture.config());
    await untilWaiting(first);
    await send([1, 2]);
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(sent - before), 60_000, 500);
    await first.stop();
    const second = Daemon.launch(fixture.config());
    await untilWaiting(second);
    await second.stop();

    await broker?.start();
    await send([0]);
    const third = await start();
    await send([0, 1, 2]);
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(sent - before), 60_000, 500);
    await third.untilReady();
    const ids = fixture.acks.map(({ offset, partition }) => `${partition}/${offset}`);
    expect(ids.filter((id) => /^[012]\/(1?\d)$/.test(id))).toEqual([]);
    expect(acknowledged(fixture.acks)).toBe(sent - before);
  },
  SLOW_MS,
);
