import { expect, it } from 'vitest';
import { CLAIM_FORMAT } from '../../src/installation/claim.js';
import { Claims, pipelineClaim } from '../../src/installation/claims.js';
import { ktb } from '../support/daemon.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();

it('rewind needs identity columns only in the tables of the chosen partitions', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const [other, plain] = [`${fixture.name}.other`, `${fixture.table}_plain`];
  await fixture.createTopic(other, 1);
  await fixture.clickhouse.command({ query: `CREATE TABLE ${plain} (id Int64) ENGINE = MergeTree ORDER BY id` });
  const config = fixture.config({ topics: [fixture.topic, other], tables: { [other]: plain } });
  const rewind = (...args: string[]) => ktb(config, ['rewind', fixture.name, '--to', 'earliest', '--dry-run', ...args]);
  expect(await rewind('--partition', `${fixture.topic}/0`)).toMatchObject({
    code: 0,
    output: expect.stringContaining(`${fixture.topic}/0: left at no offset`) as string,
  });
  for (const args of [[], ['--partition', `${other}/0`]])
    expect(await rewind(...args)).toMatchObject({
      code: 1,
      output: expect.stringContaining(`table ${plain}`) as string,
    });
});

it('setup says of no table that it is created which ClickHouse refuses to create', async () => {
  // The name of a folder has 255 bytes at most.
  const fixture = await Fixture.create(stack(), { partitions: 1, pipeline: { table: `\`${'t'.repeat(300)}\`` } });
  await fixture.produce(5);
  const { code, output } = await ktb(fixture.config(), ['setup', '--from-sample', '5']);
  expect(code, output).toBe(1);
  expect(output).toContain(`topic ${fixture.topic}: exists`);
  expect(output).toMatch(/table `t+`: .*\b(too long|TOO_LONG|ARGUMENT_OUT_OF_BOUND)/i);
  expect(output).not.toContain('created');
});

it('check looks for workers where the activities of the pipeline’s installation are', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const queues = async (): Promise<string[]> => {
    const { output } = await ktb(fixture.config(), ['check', '--json']);
    const findings = JSON.parse(output) as { level: string; subject: string; message: string }[];
    return findings.flatMap(({ level, subject, message }) =>
      message.startsWith('no worker') ? [`${level} ${subject}`] : [],
    );
  };
  const queue = `warning task queue ${fixture.name}`;
  expect(await queues()).toEqual([queue, `warning pipeline ${fixture.name}`]);
  const installation = { name: 'two', taskQueue: `${fixture.name}@two` };
  const claim = { format: CLAIM_FORMAT, installation, kafka: null, addresses: [], ids: [] } as const;
  await new Claims(fixture.temporal, 10_000).create(pipelineClaim(fixture.name), claim);
  expect(await queues()).toEqual([queue, `${queue}@two`]);
});

it('an answer from long before its record, by the clock of the record’s producer, is found', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const { name, topic, replyTopic, table, producer } = fixture;
  const writtenMs = Date.now() - 60_000;
  await producer.send({ topic, messages: [{ value: '{"id": 1}', timestamp: String(writtenMs) }] });
  await fixture.clickhouse.command({
    query: `INSERT INTO ${table} (id, _topic, _partition, _offset, _epoch, _timestamp)
            VALUES (1, '${topic}', 0, 0, 'e', fromUnixTimestamp64Milli(${writtenMs}))`,
  });
  const ack = { topic, partition: 0, offset: 0, status: 'inserted', batch: 'b' };
  await producer.send({
    topic: replyTopic,
    messages: [{ value: JSON.stringify(ack), timestamp: String(Date.now() - 600_000) }],
  });
  await fixture.admin.setOffsets({ groupId: `ktb-${name}`, topic, partitions: [{ partition: 0, offset: '1' }] });
  const reconciled = await ktb(fixture.config(), ['reconcile', name, '--from', '0', '--json']);
  const [report] = JSON.parse(reconciled.output) as object[];
  expect(report).toMatchObject({ records: 1, inserted: 1, acknowledged: 1, unanswered: [] });
  expect(reconciled.code).toBe(0);
  const found = await ktb(fixture.config(), ['where', `${topic}/0/0`, '--json']);
  expect(JSON.parse(found.output)).toMatchObject([{ acks: [{ status: 'inserted', topic: replyTopic, offset: 0 }] }]);
});

it('reconcile and rewind end with exit code 1 where nobody knows what was read, and say what to do', async () => {
  const fixture = await Fixture.create(stack(), { partitions: 1 });
  const { name, topic } = fixture;
  await fixture.produce(5);
  const run = (...args: string[]) => ktb(fixture.config(), args);
  // No group, no batcher: nothing was read.
  const noOffset = expect.stringContaining(`${topic}/0: nothing was compared. The group has no offset there`) as string;
  expect(await run('reconcile', name)).toMatchObject({ code: 0, output: noOffset });
  expect(await run('reconcile', name, '--from', 'earliest')).toMatchObject({ code: 1, output: noOffset });
  expect(await run('rewind', name, '--to', 'earliest')).toMatchObject({ code: 0 });
  // As after a loss of Temporal's data.
  await fixture.admin.setOffsets({ groupId: `ktb-${name}`, topic, partitions: [{ partition: 0, offset: '3' }] });
  expect(await run('reconcile', name)).toMatchObject({
    code: 1,
    output: expect.stringContaining(`${topic}/0: nothing was compared. The group has committed 3`) as string,
  });
  const compared = await run('reconcile', name, '--from', 'earliest');
  expect(compared).toMatchObject({
    code: 1,
    output: expect.stringContaining('offsets 0 to 2 (3 records) missing') as string,
  });
  // Somebody else has set the offset.
  const rewound = await run('rewind', name, '--to', 'earliest');
  expect(rewound).toMatchObject({ code: 1, output: expect.stringContaining(`${topic}/0: left at 3`) as string });
  expect(rewound.output).toContain('1 of 1 partitions was left for a problem');
  expect(await run('rewind', name, '--to', 'earliest', '--again')).toMatchObject({ code: 0 });
});
