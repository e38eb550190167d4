import {
  AclOperationTypes,
  AclPermissionTypes,
  AclResourceTypes,
  Kafka,
  logLevel,
  ResourcePatternTypes,
} from 'kafkajs';
import { expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { READ_GROUPS } from '../../src/kafka/readRanges.js';
import { Daemon, ktb } from '../support/daemon.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { eventually } from '../support/eventually.js';
import { Fixture } from '../support/fixture.js';
import { saslConfig } from '../support/saslConfig.js';
import { useStack } from '../support/useStack.js';

const TEST_MS = 240_000;

/** A cluster that refuses what is not allowed. The test's own clients, and the broker itself, come without a login. */
const stack = useStack({
  tls: true,
  kafkaConfig: {
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:ANONYMOUS',
  },
});

const { READ, WRITE, DESCRIBE, CREATE, DELETE, DESCRIBE_CONFIGS } = AclOperationTypes;
const { TOPIC, GROUP } = AclResourceTypes;
type Right = readonly [AclResourceTypes, string, AclOperationTypes];

async function allow(rights: readonly Right[], pattern: ResourcePatternTypes): Promise<void> {
  const admin = new Kafka({ brokers: [...stack().kafka.brokers], logLevel: logLevel.NOTHING }).admin();
  onTestFinished(() => admin.disconnect());
  await admin.connect();
  await admin.createAcls({
    acl: rights.map(([resourceType, resourceName, operation]) => ({
      resourceType,
      resourceName,
      resourcePatternType: pattern,
      principal: `User:${stack().tls?.username ?? ''}`,
      host: '*',
      operation,
      permissionType: AclPermissionTypes.ALLOW,
    })),
  });
}

/** What the documentation of the chart lists for the daemon: nothing on the cluster, no settings of topics. */
function rightsOf({ topic, replyTopic, deadLetterTopic, name }: Fixture): Right[] {
  return [
    [TOPIC, topic, READ],
    [TOPIC, topic, DESCRIBE],
    [TOPIC, replyTopic, WRITE],
    [TOPIC, replyTopic, DESCRIBE],
    [TOPIC, deadLetterTopic, WRITE],
    [TOPIC, deadLetterTopic, DESCRIBE],
    [GROUP, `ktb-${name}`, READ],
  ];
}

function configOf(fixture: Fixture): string {
  return stringify(configInputOf(fixture));
}

function configInputOf(fixture: Fixture): ConfigInput {
  return saslConfig(fixture, stack().tls, ({ username, passwordFile }) => {
    return { mechanism: 'scram-sha-512', username, password: `\${file:${passwordFile}}` };
  });
}

/** What the same page lists for the groups of commands that read. */
async function allowReadGroups(): Promise<void> {
  const rights: Right[] = [READ, DELETE].map((operation) => [GROUP, READ_GROUPS, operation]);
  await allow(rights, ResourcePatternTypes.PREFIXED);
}

async function readGroups(fixture: Fixture): Promise<string[]> {
  const { groups } = await fixture.admin.listGroups();
  return groups.map(({ groupId }) => groupId).filter((groupId) => groupId.startsWith(READ_GROUPS));
}

interface Finding {
  readonly level: string;
  readonly subject: string;
  readonly message: string;
  readonly todo: string;
}

async function check(fixture: Fixture): Promise<{ code: number | null; kafka: Finding[] }> {
  const { code, output } = await ktb(configOf(fixture), ['check', '--json']);
  const findings = JSON.parse(output) as Finding[];
  return { code, kafka: findings.filter(({ subject }) => /^(Kafka|topic|group) /.test(subject)) };
}

it.each<[string, ResourcePatternTypes]>([
  ['exactly these names', ResourcePatternTypes.LITERAL],
  ['prefixes', ResourcePatternTypes.PREFIXED],
])(
  'with the rights that are documented, of %s, each record is a row or a dead letter and acknowledged once',
  async (_, pattern) => {
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    await allow(rightsOf(fixture), pattern);
    const daemon = await Daemon.start(configOf(fixture));
    await fixture.produce(2_000);
    await expectExactlyOnce(fixture, { acksOnce: true });
    await fixture.producer.send({ topic: fixture.topic, messages: [{ key: 'bad', value: 'no JSON' }] });
    await eventually(() => expect(fixture.acks.filter(({ status }) => status === 'rejected')).toHaveLength(1));
    expect(daemon.logs().filter(({ level }) => level === 'error')).toEqual([]);
    const { code, kafka } = await check(fixture);
    expect(kafka.filter(({ level }) => level === 'wrong')).toEqual([]);
    expect(code).toBe(0);
    expect(kafka.filter(({ level }) => level === 'warning').map(({ todo }) => todo)).toEqual(
      expect.arrayContaining(['grant DescribeConfigs on it to have them checked']),
    );
  },
  TEST_MS,
);

it(
  'with the rights that are documented for a user of its own, setup creates topics and a table, and leaves no group',
  async () => {
    const fixture = await Fixture.create(stack());
    await fixture.produce(100);
    const config = configInputOf(fixture);
    const [name = '', pipeline] = Object.entries(config.pipelines)[0] ?? [];
    const deadLetterTopic = `${fixture.name}.new`;
    const table = `${fixture.table}_new`;
    const changed = { ...pipeline, topics: [fixture.topic], table, deadLetter: { topic: deadLetterTopic } };
    const topics = [fixture.topic, fixture.replyTopic, deadLetterTopic];
    await allow(
      [
        [TOPIC, fixture.topic, READ],
        ...topics.flatMap((topic) => [CREATE, DESCRIBE, DESCRIBE_CONFIGS].map((right): Right => [TOPIC, topic, right])),
      ],
      ResourcePatternTypes.LITERAL,
    );
    await allowReadGroups();
    const { code, output } = await ktb(stringify({ ...config, pipelines: { [name]: changed } }), [
      'setup',
      '--from-sample',
      '50',
    ]);
    expect(output).toMatch(new RegExp(`topic ${deadLetterTopic}: created`));
    expect(output).toMatch(new RegExp(`table ${table}: created from 50 records`));
    expect(code).toBe(0);
    expect(await readGroups(fixture)).toEqual([]);
  },
  TEST_MS,
);

it(
  'with the rights that are documented for them, where and dlq read, and a replay writes',
  async () => {
    const fixture = await Fixture.create(stack());
    const { topic, replyTopic, deadLetterTopic, name } = fixture;
    await fixture.collectAcks();
    await allow(
      [...rightsOf(fixture), [TOPIC, replyTopic, READ], [TOPIC, deadLetterTopic, READ], [TOPIC, topic, WRITE]],
      ResourcePatternTypes.LITERAL,
    );
    await allowReadGroups();
    await Daemon.start(configOf(fixture));
    await fixture.producer.send({ topic, messages: [{ key: 'bad', value: 'no JSON', partition: 0 }] });
    await eventually(() => expect(fixture.acks).toHaveLength(1));
    const command = (...args: string[]) => ktb(configOf(fixture), args);
    expect(await command('where', `${topic}/0/0`)).toMatchObject({
      output: expect.stringContaining('not_json') as string,
    });
    expect(await command('reconcile', name)).toMatchObject({ code: 0 });
    expect(await command('dlq', 'replay', name, '--all')).toMatchObject({
      code: 0,
      output: expect.stringContaining(`1 replayed to ${topic}`) as string,
    });
    expect(await readGroups(fixture)).toEqual([]);
  },
  TEST_MS,
);

it(
  'check names the topics and the group on which a right is missing',
  async () => {
    const fixture = await Fixture.create(stack());
    const { topic, replyTopic, name } = fixture;
    const wrong = async (): Promise<string> =>
      JSON.stringify((await check(fixture)).kafka.filter(({ level }) => level === 'wrong'));
    const none = await wrong();
    for (const missing of [topic, replyTopic, `ktb-${name}`]) expect(none).toContain(missing);
    await allow(
      rightsOf(fixture).filter(([type]) => type === TOPIC),
      ResourcePatternTypes.LITERAL,
    );
    const noGroup = await wrong();
    expect(noGroup).toContain(`group ktb-${name}`);
    expect(noGroup).toMatch(/grant Read/);
    await allow(rightsOf(fixture), ResourcePatternTypes.LITERAL);
    expect(await wrong()).toBe('[]');
  },
  TEST_MS,
);
