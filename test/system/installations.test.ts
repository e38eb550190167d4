import { expect } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { parseConfig } from '../../src/config/load.js';
import type { Claim } from '../../src/installation/claim.js';
import { Claims, pipelineClaim, taskQueueClaim } from '../../src/installation/claims.js';
import { BATCHER_FORMAT, BATCHER } from '../../src/protocol/batcher.js';
import { batcherWorkflowId } from '../../src/protocol/batcherId.js';
import { findBatcherRuns } from '../../src/temporal/batcherRuns.js';
import { atTestEnd, itBesideOthers as it } from '../support/besideOthers.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack, useStack } from '../support/useStack.js';

// Two set-ups, each with a Kafka and a ClickHouse of its own, in one namespace of Temporal and on one task queue.
const stack = useSharedStack();
const otherParts = useStack({ only: ['kafka', 'clickhouse'] });

/** A pipeline in each set-up. Each set-up has the other's table and topics, too: a batch that crosses over would leave rows there. */
async function twoSetUps(): Promise<{ one: Fixture; other: Fixture; configOf: (fixture: Fixture) => string }> {
  const { kafka, clickhouse } = otherParts();
  const addresses = [stack(), { kafka, clickhouse, temporal: stack().temporal }];
  const [one, other] = await Promise.all(addresses.map((parts) => Fixture.create(parts)));
  if (one === undefined || other === undefined) throw new Error('no fixtures');
  for (const [here, there] of [
    [one, other],
    [other, one],
  ] as const) {
    await here.clickhouse.command({ query: `CREATE TABLE ${there.table} AS ${here.table}` });
    for (const topic of [there.replyTopic, there.deadLetterTopic]) await here.createTopic(topic, 1);
  }
  const taskQueue = `${one.name}-shared`;
  atTestEnd(async () => {
    for (const name of [pipelineClaim(one.name), pipelineClaim(other.name), taskQueueClaim(taskQueue)]) {
      await one.temporal.workflow
        .getHandle(name)
        .terminate()
        .catch(() => undefined);
    }
  });
  const configOf = (fixture: Fixture): string => {
    const config = parse(fixture.config()) as ConfigInput;
    return stringify({ ...config, temporal: { ...config.temporal, taskQueue } });
  };
  return { one, other, configOf };
}

async function expectNothingOf(there: Fixture, here: Fixture): Promise<void> {
  const [count] = await here.query<{ rows: string }>(`SELECT count() AS rows FROM ${there.table}`);
  expect(Number(count?.rows)).toBe(0);
  for (const topic of [there.replyTopic, there.deadLetterTopic]) {
    const ends = await here.admin.fetchTopicOffsets(topic);
    expect(ends.reduce((sum, { high }) => sum + Number(high), 0)).toBe(0);
  }
}

it('batches of two installations on one task queue never cross over, also while one of them has no worker', async () => {
  const { one, other, configOf } = await twoSetUps();
  await Promise.all([one.collectAcks(), other.collectAcks()]);
  const first = await Daemon.start(configOf(one));
  const second = await Daemon.start(configOf(other));
  for (let round = 0; round < 2; round++) {
    await Promise.all([one.produce(1_000), other.produce(1_000)]);
    await Promise.all([expectExactlyOnce(one), expectExactlyOnce(other)]);
  }

  // Of each in turn only the consumer is left.
  await second.kill();
  const consumer = await Daemon.start(configOf(other), ['--role', 'consumer']);
  await Promise.all([one.produce(1_000), other.produce(1_000)]);
  await expectExactlyOnce(one);
  await eventually(async () =>
    expect((await other.offsets()).every(({ committed, end }) => committed === end)).toBe(true),
  );
  await expectNothingOf(other, one);
  await consumer.kill();
  await first.kill();
  const back = await Daemon.start(configOf(other));
  await expectExactlyOnce(other);
  await Daemon.start(configOf(one), ['--role', 'consumer']);
  await Promise.all([one.produce(1_000), other.produce(1_000)]);
  await expectExactlyOnce(other);
  await eventually(async () =>
    expect((await one.offsets()).every(({ committed, end }) => committed === end)).toBe(true),
  );
  await expectNothingOf(one, other);
  await Daemon.start(configOf(one), ['--role', 'worker']);
  await expectExactlyOnce(one);

  await expectNothingOf(one, other);
  await expectNothingOf(other, one);
  expect(back.output).not.toContain('"level":"error"');
  // Its queue is not the one that KEDA knows.
  expect(back.output).toContain('have a task queue of their own: set installation');
  expect(first.output).not.toContain('have a task queue of their own');
  const { output } = await ktb(configOf(other), ['check', '--json']);
  expect(output).toContain('which is not the first one of its task queue');
});

it('a pipeline of a name that another installation has is refused at start, in words; with its name configured it goes on', async () => {
  const { one, other, configOf } = await twoSetUps();
  await Promise.all([one.collectAcks(), other.collectAcks()]);
  const first = await Daemon.start(configOf(one));
  await one.produce(500);
  await expectExactlyOnce(one);

  const config = parse(configOf(other)) as ConfigInput;
  const [pipeline] = Object.values(config.pipelines);
  const sameName = stringify({
    ...config,
    pipelines: { [one.name]: { ...pipeline, groupId: `ktb-${other.name}` } },
  });
  await other.produce(500);
  for (const role of ['both', 'consumer', 'worker']) {
    const refused = Daemon.launch(sameName, ['--role', role]);
    await eventually(async () => {
      const { status, text } = await refused.get('/readyz');
      expect(status).toBe(503);
      expect(text).toMatch(
        new RegExp(`pipeline ${one.name} belongs to installation \\w+ in this namespace.*its Kafka cluster is`),
      );
    });
    expect((await refused.get('/metrics')).text).toMatch(/^ktb_running 0$/m);
    await refused.kill();
  }
  const checked = await ktb(sameName, ['check']);
  expect(checked.code).toBe(1);
  expect(checked.output.replace(/[\s│]+/g, ' ')).toContain('belongs to installation');
  // Nothing of it was read.
  expect((await other.offsets()).map(({ committed }) => committed)).toEqual(Array.from({ length: 8 }, () => -1));
  await one.produce(500);
  await expectExactlyOnce(one);
  expect((await first.get('/metrics')).text).toMatch(/^ktb_running 1$/m);
  await first.kill();

  // The same data at another address is said to be the same by the name of the installation.
  const { memo } = await one.temporal.workflow.getHandle(pipelineClaim(one.name)).describe();
  const { installation } = memo?.['claim'] as { installation: { name: string } };
  await Daemon.start(stringify({ installation: installation.name, ...(parse(sameName) as ConfigInput) }));
  await expectExactlyOnce(other);
});

it('batchers without a claim are not taken from who reads them: a daemon of version 0.1.0, or another installation', async () => {
  const { one, other, configOf } = await twoSetUps();
  await one.collectAcks();
  const config = parse(configOf(other)) as ConfigInput;
  const sameName = stringify({ ...config, pipelines: { [one.name]: Object.values(config.pipelines)[0]! } });
  const expectRefused = async (why: string): Promise<void> => {
    const refused = Daemon.launch(sameName);
    await eventually(async () => expect((await refused.get('/readyz')).text).toContain(why));
    await refused.kill();
    const { code, output } = await ktb(sameName, ['check', '--json']);
    expect(code).toBe(1);
    expect(output).toContain(why);
  };
  const remove = (workflowId: string): Promise<unknown> =>
    one.temporal.workflowService.deleteWorkflowExecution({ namespace: 'default', workflowExecution: { workflowId } });

  // Version 0.1.0 names no installation in its batchers.
  const { layout, settings } = parseConfig(configOf(one), 'one', {}).pipelines[0]!;
  const workflowId = batcherWorkflowId(one.name, layout, 0);
  await one.temporal.workflow.start(BATCHER.workflowType, {
    workflowId,
    taskQueue: `${one.name}-shared`,
    args: [{ format: BATCHER_FORMAT, settings }, new Uint8Array(0)],
  });
  await eventually(async () => expect(await findBatcherRuns(one.temporal, one.name)).toHaveLength(1));
  await expectRefused(`pipeline ${one.name} has batchers in this namespace of Temporal, but no claim`);
  await remove(workflowId);
  await eventually(async () => expect(await findBatcherRuns(one.temporal, one.name)).toEqual([]));

  const prod = await Daemon.start(configOf(one));
  await one.produce(500);
  await expectExactlyOnce(one);
  await remove(pipelineClaim(one.name));
  await expectRefused(`pipeline ${one.name} has batchers of installation`);
  await one.produce(500);
  await expectExactlyOnce(one);
  expect((await prod.get('/metrics')).text).toMatch(/^ktb_running 1$/m);
});

it('a daemon whose pipeline turns out to be another installation’s sends nothing more, and goes on when it is its own again', async () => {
  const { one, configOf } = await twoSetUps();
  await one.collectAcks();
  const prod = await Daemon.start(configOf(one));
  await one.produce(500);
  await expectExactlyOnce(one);
  const committed = async (): Promise<number[]> => (await one.offsets()).map((of) => of.committed);
  await eventually(async () => expect((await one.offsets()).every((of) => of.committed === of.end)).toBe(true));
  const before = await committed();

  const claims = new Claims(one.temporal, 5_000);
  const name = pipelineClaim(one.name);
  const own = (await claims.read(name))!;
  const installation = { name: 'another', taskQueue: 'elsewhere' };
  expect(await claims.replace(name, own, { ...own.claim, kafka: 'another', installation })).toBe(true);
  await eventually(
    async () => expect((await prod.get('/readyz')).text).toContain('belongs to installation another'),
    90_000,
  );
  await one.produce(500);
  await eventually(() => expect(prod.output).toContain('belongs to another installation now'));
  expect(await committed()).toEqual(before);
  expect(await claims.replace(name, (await claims.read(name))!, own.claim)).toBe(true);
  await expectExactlyOnce(one);
});

it('all configurations with one Kafka and one ClickHouse are one installation, also those that start together', async () => {
  const [one, other, third] = await Promise.all([0, 1, 2].map(() => Fixture.create(stack())));
  if (one === undefined || other === undefined || third === undefined) throw new Error('no fixtures');
  const taskQueue = `${one.name}-shared`;
  const configOf = (fixture: Fixture): string => {
    const config = parse(fixture.config()) as ConfigInput;
    return stringify({ ...config, temporal: { ...config.temporal, taskQueue } });
  };
  const fixtures = [one, other, third];
  const installationOf = async ({ name }: Fixture): Promise<unknown> => {
    const { memo } = await one.temporal.workflow.getHandle(pipelineClaim(name)).describe();
    return (memo?.['claim'] as Claim).installation;
  };
  await Promise.all(fixtures.map((fixture) => fixture.collectAcks()));
  const daemons = await Promise.all([one, other].map((fixture) => Daemon.start(configOf(fixture))));
  const checked = await ktb(configOf(third), ['check', '--json']);
  const installation = await installationOf(one);
  expect(installation).toMatchObject({ taskQueue });
  expect(checked.output).toContain(
    `the first worker claims it for installation ${(installation as { name: string }).name}`,
  );
  daemons.push(await Daemon.start(configOf(third)));
  for (const fixture of fixtures) expect(await installationOf(fixture)).toEqual(installation);
  for (const fixture of fixtures) await fixture.produce(500);
  for (const fixture of fixtures) await expectExactlyOnce(fixture);
  for (const { output } of daemons) expect(output).not.toContain('have a task queue of their own');
});

it('a pipeline whose group an installation with another namespace reads is refused at start, in words; another groupId, or its own by name, lets it go on', async () => {
  const one = await Fixture.create(stack());
  await one.collectAcks();
  const first = await Daemon.start(one.config());
  const elsewhere = `${one.name}-staging`;
  await one.temporal.workflowService.registerNamespace({
    namespace: elsewhere,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  const database = elsewhere.replaceAll('-', '_');
  await one.clickhouse.command({ query: `CREATE DATABASE ${database}` });
  await one.clickhouse.command({ query: `CREATE TABLE ${database}.${one.table} AS ${one.table}` });
  const config = parse(one.config()) as ConfigInput;
  const [[name, pipeline] = ['', undefined]] = Object.entries(config.pipelines);
  const other = { ...config, temporal: { ...config.temporal, namespace: elsewhere } };
  // Without acknowledgements: the fixture counts those of the first installation.
  const { reply: _, ...unanswered } = pipeline!;
  const staging = { ...other, clickhouse: { ...config.clickhouse, database }, pipelines: { [name]: unanswered } };
  const inGroup = (base: typeof other, groupId: string): string =>
    stringify({
      ...base,
      pipelines: Object.fromEntries(Object.entries(base.pipelines).map(([of, its]) => [of, { ...its, groupId }])),
    });

  const expectRefused = async (use: string, roles: readonly string[]): Promise<void> => {
    for (const role of roles) {
      const refused = Daemon.launch(stringify(staging), ['--role', role]);
      await eventually(async () => {
        const { status, text } = await refused.get('/readyz');
        expect(status).toBe(503);
        expect(text).toContain(
          `group ktb-${name} is used already (${use}), but pipeline ${name} has no batcher and no`,
        );
        expect(text).toContain('set another groupId');
      });
      await refused.kill();
    }
    const checked = await ktb(stringify(staging), ['check']);
    expect(checked.code).toBe(1);
    expect(checked.output.replace(/[\s│]+/g, ' ')).toContain(`set groupId: ktb-${name}`);
  };
  // Nothing is committed yet.
  await expectRefused('it has 1 member', ['consumer']);
  await one.produce(500);
  await expectExactlyOnce(one);
  expect(await first.stop()).toBe(0);
  await expectRefused('ktb has committed offsets to it', ['both', 'worker']);

  // A group of its own: each gets every record.
  await Daemon.start(inGroup(staging, `ktb-${elsewhere}`));
  const back = await Daemon.start(one.config());
  await one.produce(500);
  await expectExactlyOnce(one);
  await eventually(async () => {
    const [count] = await one.query<{ rows: string }>(`SELECT count() AS rows FROM ${database}.${one.table}`);
    expect(Number(count?.rows)).toBe(1_000);
  });

  // The same installation in another namespace goes on in its group.
  expect(await back.stop()).toBe(0);
  await one.temporal.workflowService.registerNamespace({
    namespace: `${one.name}-moved`,
    workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
  });
  await Daemon.start(
    inGroup({ ...other, temporal: { ...config.temporal, namespace: `${one.name}-moved` } }, `ktb-${name}`),
  );
  await one.produce(500);
  await expectExactlyOnce(one);
});
