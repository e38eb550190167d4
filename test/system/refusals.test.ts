import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs';
import { expect } from 'vitest';
import { itBesideOthers as it } from '../support/besideOthers.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useStack } from '../support/useStack.js';

/** What no rule is about is open to all. */
const stack = useStack({
  kafkaConfig: {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'allow.everyone.if.no.acl.found': 'true',
  },
});
const SOON_MS = 90_000;

/** Takes a right on a topic away from everybody. Resolves when the broker knows it, with a function that gives it back. */
async function deny(fixture: Fixture, topic: string, operation: AclOperationTypes): Promise<() => Promise<void>> {
  const resource = {
    resourceType: AclResourceTypes.TOPIC,
    resourceName: topic,
    resourcePatternType: ResourcePatternTypes.LITERAL,
  };
  const rule = { principal: 'User:*', host: '*' };
  const others = { ...rule, operation: AclOperationTypes.ALL, permissionType: AclPermissionTypes.ALLOW };
  const denied = { ...rule, operation, permissionType: AclPermissionTypes.DENY };
  await fixture.admin.createAcls({ acl: [others, denied].map((acl) => ({ ...resource, ...acl })) });
  await eventually(async () => {
    const filter = { ...resource, operation, permissionType: AclPermissionTypes.ANY };
    const { resources } = await fixture.admin.describeAcls(filter);
    expect(resources).toHaveLength(1);
  });
  return async () => {
    await fixture.admin.deleteAcls({ filters: [{ ...resource, ...denied }] });
  };
}

for (const [rights, operation] of [
  ['the right to read it', AclOperationTypes.READ],
  ['every right on it', AclOperationTypes.ALL],
] as const)
  it(`a topic of two goes on while ${rights} of the other one is taken away; that one is named, and read by itself once it is given back`, async () => {
    const fixture = await Fixture.create(stack(), { partitions: 2 });
    await fixture.collectAcks();
    const other = `${fixture.name}.other`;
    await fixture.createTopic(other, 2);
    const daemon = await Daemon.start(fixture.config({ topics: [fixture.topic, other] }));
    let sent = 0;
    const send = async (topic: string, records: number): Promise<void> => {
      const messages = Array.from({ length: records }, () => {
        const id = sent++;
        return { partition: id % 2, value: JSON.stringify({ id, text: '' }) };
      });
      await fixture.producer.send({ topic, messages });
    };
    const untilAcknowledged = (records: number) =>
      eventually(() => expect(acknowledged(fixture.acks)).toBe(records), SOON_MS);
    await send(fixture.topic, 10);
    await send(other, 10);
    await untilAcknowledged(20);

    const allow = await deny(fixture, other, operation);
    const name = new RegExp(`${other}.*TOPIC_AUTHORIZATION_FAILED`);
    await eventually(async () => {
      const { status, text } = await daemon.get('/readyz');
      expect({ status, text }).toEqual({ status: 503, text: expect.stringMatching(name) as string });
    }, SOON_MS);
    await eventually(() => expect(daemon.output).toMatch(name), SOON_MS);
    await send(fixture.topic, 10);
    await untilAcknowledged(30);
    await eventually(async () => {
      const read = (await fixture.offsets()).reduce((sum, { committed }) => sum + committed, 0);
      expect(read).toBe(20);
    }, SOON_MS);
    expect((await daemon.get('/readyz')).status).toBe(503);
    expect(await daemon.metric('ktb_consumer_failures_total')).toBe(0);

    await allow();
    // Also with rules it takes a moment until the broker has heard of them.
    await eventually(() => send(other, 10), SOON_MS);
    await eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThanOrEqual(40), SOON_MS);
    await daemon.untilReady();
    expect(await daemon.metric('ktb_consumer_failures_total')).toBe(0);
  }, 240_000);

for (const [does, topicsOf] of [
  ['names', (topics: string[]) => topics],
  ['matches', (topics: string[]) => [`/${topics.join('|')}/`]],
] as const)
  it(`a topic that a pipeline ${does} and may not read at its first start keeps no other from beginning at its end, and is read from what was written since`, async () => {
    const fixture = await Fixture.create(stack(), { partitions: 2 });
    await fixture.collectAcks();
    const other = `${fixture.name}.other`;
    await fixture.createTopic(other, 2);
    const topics = [fixture.topic, other];
    let sent = 0;
    const send = async (): Promise<void> => {
      for (const topic of topics) {
        const messages = Array.from({ length: 10 }, () => {
          const id = sent++;
          return { partition: id % 2, value: JSON.stringify({ id, text: '' }) };
        });
        await fixture.producer.send({ topic, messages });
      }
    };
    await send();
    const allow = await deny(fixture, other, AclOperationTypes.READ);
    const daemon = Daemon.launch(fixture.config({ topics: topicsOf(topics), startFrom: 'latest' }));
    await eventually(() => expect(daemon.output).toContain(`topic ${other}: Kafka refuses it to this user`), SOON_MS);
    await send();
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(10), SOON_MS);
    await eventually(async () => {
      const { status, text } = await daemon.get('/readyz');
      const name = expect.stringMatching(new RegExp(`${other}.*TOPIC_AUTHORIZATION_FAILED`)) as string;
      expect({ status, text }).toEqual({ status: 503, text: name });
    }, SOON_MS);

    await allow();
    await eventually(() => expect(acknowledged(fixture.acks)).toBe(20), SOON_MS);
    await daemon.untilReady();
    expect(await fixture.rowCounts()).toEqual({ rows: 20, identities: 20, ids: 20 });
  }, 240_000);

it('a rewind of which Kafka refuses a part says what has gone back, and goes on where it is repeated', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const other = `${fixture.name}.other`;
  await fixture.createTopic(other, 1);
  for (const topic of [fixture.topic, other]) {
    await fixture.producer.send({ topic, messages: [{ value: '{}' }, { value: '{}' }] });
    await fixture.admin.setOffsets({
      groupId: `ktb-${fixture.name}`,
      topic,
      partitions: [{ partition: 0, offset: '2' }],
    });
  }
  const allow = await deny(fixture, other, AclOperationTypes.READ);
  const config = fixture.config({ topics: [fixture.topic, other] });
  const rewind = () => ktb(config, ['rewind', fixture.name, '--to', 'earliest', '--again']);
  const refused = await rewind();
  expect(refused.code).not.toBe(0);
  expect(refused.output).toContain(`${fixture.topic}/0: went back to 0\n`);
  expect(refused.output).toContain(`${other}/0: not gone back, still at 2\n`);
  expect(refused.output).toContain('1 of 2 partitions have gone back');
  await allow();
  await eventually(async () => {
    expect(await rewind()).toMatchObject({
      code: 0,
      output: expect.stringContaining(`${other}/0: went back from 2 to 0`) as string,
    });
  }, SOON_MS);
});
