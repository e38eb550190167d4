import { setTimeout as sleep } from 'node:timers/promises';
import { AssignerProtocol, type PartitionAssigner } from 'kafkajs';
import { expect, it, onTestFinished } from 'vitest';
import { Link } from '../../chaos/link.js';
import { pickPorts } from '../../stack/ports.js';
import { expectCausesToldOnce, toldOf } from '../support/consumerLog.js';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { FaultyProxy } from '../support/faultyProxy.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { together } from '../support/together.js';
import { useStack } from '../support/useStack.js';

/** A member that deals partitions out in a way that nobody else knows: the group takes no other one in. */
const strangeAssigner: PartitionAssigner = () => ({
  name: 'Strange',
  version: 1,
  protocol: ({ topics }) => ({
    name: 'Strange',
    metadata: AssignerProtocol.MemberMetadata.encode({ version: 1, topics, userData: Buffer.alloc(0) }),
  }),
  assign: () => Promise.resolve([]),
});

async function occupyGroup({ kafka, name, topic }: Fixture): Promise<() => Promise<void>> {
  const stranger = kafka.consumer({ groupId: `ktb-${name}`, partitionAssigners: [strangeAssigner] });
  onTestFinished(() => stranger.disconnect());
  await stranger.connect();
  await stranger.subscribe({ topics: [topic] });
  const joined = new Promise((resolve) => stranger.on(stranger.events.GROUP_JOIN, resolve));
  await stranger.run({ autoCommit: false, eachBatch: () => Promise.resolve() });
  await joined;
  return () => stranger.disconnect();
}

const stack = useStack();

it('a pipeline without its topic, and one whose group takes nobody in, stop no other: each is named once, and comes back by itself', async () => {
  const [well, lacking, refused] = [
    await Fixture.create(stack()),
    await Fixture.create(stack()),
    await Fixture.create(stack()),
  ];
  const fixtures = [well, lacking, refused];
  for (const fixture of fixtures) await fixture.collectAcks();
  await lacking.admin.deleteTopics({ topics: [lacking.topic] });
  const freeGroup = await occupyGroup(refused);
  const daemon = Daemon.launch(together(fixtures.map((fixture) => fixture.config())));
  await well.produce(2_000);
  await expectExactlyOnce(well);

  for (const { name } of [lacking, refused])
    await eventually(
      async () => expect(await daemon.metric('ktb_consumer_failures_total', { pipeline: name })).toBeGreaterThan(2),
      120_000,
      500,
    );
  const { status, text } = await daemon.get('/readyz');
  expect(status).toBe(503);
  expect(text).toContain(`Kafka has no topic ${lacking.topic}`);
  for (const { name } of [lacking, refused])
    expect(text).toContain(`the consumer of pipeline ${name} has failed and joins again`);
  expect(text).not.toContain(`pipeline ${well.name}`);
  for (const fixture of [lacking, refused]) expect(toldOf(daemon, fixture)).toHaveLength(1);
  expect(toldOf(daemon, refused)[0]?.message).toContain('INCONSISTENT_GROUP_PROTOCOL');
  expect(toldOf(daemon, lacking)[0]?.message).toContain('UNKNOWN_TOPIC_OR_PARTITION');
  await well.produce(2_000);
  await expectExactlyOnce(well);

  await lacking.createTopic(lacking.topic, 8);
  await freeGroup();
  for (const fixture of [lacking, refused]) await fixture.produce(2_000);
  for (const fixture of fixtures) await expectExactlyOnce(fixture);
  await daemon.untilReady();
});

it('half of all connections to Kafka are reset for 40 s: nothing is lost or doubled, and the daemon goes on', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const address = stack().kafka.brokers[0] ?? '';
  const proxy = await FaultyProxy.start(address, { advertises: true });
  onTestFinished(() => proxy.close());
  const daemon = await Daemon.start(fixture.config().replaceAll(address, `127.0.0.1:${proxy.port}`));
  const load = steadyLoad(fixture, 200);
  await eventually(() => expect(fixture.acks.length).toBeGreaterThan(500));
  proxy.resetHalf(true);
  await sleep(40_000);
  proxy.resetHalf(false);
  expect(proxy.reset).toBeGreaterThan(40);
  await load.stop();
  await expectExactlyOnce(fixture);
  expect(daemon.running).toBe(true);
  await daemon.untilReady();
  expectCausesToldOnce(daemon, fixture);
});

it('a member that does not hear which partitions it has joins again, and reads them', async () => {
  const fixture = await Fixture.create(stack());
  await fixture.collectAcks();
  const address = stack().kafka.brokers[0] ?? '';
  const [port = 0] = await pickPorts(1);
  const link = await Link.open('the first member', address, port, 'kafka');
  link.tellPorts(new Map([[Number(address.split(':')[1]), port]]));
  onTestFinished(() => link.close());
  const first = await Daemon.start(fixture.config().replaceAll(address, link.address));
  await fixture.produce(500);
  await expectExactlyOnce(fixture);

  link.dropAnswers('syncGroup', 1);
  await Daemon.start(fixture.config());
  await eventually(() => expect(link.dropped('syncGroup')).toBe(1), 30_000);
  await fixture.produce(2_000);
  await expectExactlyOnce(fixture);
  expect(await first.metric('ktb_consumer_failures_total', { cause: 'failed' })).toBe(0);
});
