import { expect, it, onTestFinished } from 'vitest';
import { parse, stringify } from 'yaml';
import type { ConfigInput } from '../../src/config/schema.js';
import { pipelineClaim, taskQueueClaim } from '../../src/installation/claims.js';
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
  onTestFinished(async () => {
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
    await refused.kill();
  }
  const checked = await ktb(sameName, ['check']);
  expect(checked.code).toBe(1);
  expect(checked.output.replace(/[\s│]+/g, ' ')).toContain('belongs to installation');
  // Nothing of it was read.
  expect((await other.offsets()).map(({ committed }) => committed)).toEqual(Array.from({ length: 8 }, () => -1));
  await one.produce(500);
  await expectExactlyOnce(one);
  await first.kill();

  // The same data at another address is said to be the same by the name of the installation.
  const { memo } = await one.temporal.workflow.getHandle(pipelineClaim(one.name)).describe();
  const { installation } = memo?.['claim'] as { installation: { name: string } };
  await Daemon.start(stringify({ installation: installation.name, ...(parse(sameName) as ConfigInput) }));
  await expectExactlyOnce(other);
});
