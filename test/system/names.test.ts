import { expect, it } from 'vitest';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';
import { batcherWorkflowId } from '../../src/protocol/batcherId.js';

const stack = useSharedStack();
let fixture: Fixture;

interface Finding {
  readonly level: string;
  readonly subject: string;
  readonly message: string;
  readonly todo: string;
}

async function check(config: string): Promise<{ code: number | null; findings: readonly Finding[] }> {
  const { code, output } = await ktb(config, ['check', '--json']);
  return { code, findings: JSON.parse(output) as Finding[] };
}

const HOSTILE_FIELD = 'x` Int64, CONSTRAINT c CHECK 0, `y';

it('a database, a table and fields of any names: set up, checked, filled once, and reconciled', async () => {
  fixture = await Fixture.create(stack(), { partitions: 2, pipeline: { batchers: 2 } });
  const database = `shop-eu.${fixture.name}`;
  const config = fixture.config({ table: `\`${database}\`.\`größe der "Tabelle"\`` });
  await fixture.clickhouse.command({ query: `CREATE DATABASE \`${database}\`` });
  await fixture.collectAcks();
  const value = (id: number) =>
    JSON.stringify({ id, select: 'x', größe: id, [HOSTILE_FIELD]: id, huge: 0 }).replace('0}', `${2n ** 70n}}`);
  await fixture.produce(50, (id) => ({ value: value(id) }));
  const setup = await ktb(config, ['setup', '--from-sample', '50']);
  expect(setup, setup.output).toMatchObject({ code: 0 });
  const table = `\`${database}\`.\`größe der "Tabelle"\``;
  const proposed = await fixture.query<{ name: string; type: string }>(
    `SELECT name, type FROM system.columns WHERE database = '${database}'`,
  );
  const types = new Map(proposed.map(({ name, type }) => [name, type]));
  expect(types.get(HOSTILE_FIELD)).toBe('Nullable(Int64)');
  expect(types.get('huge')).toBe('Nullable(Int128)');

  await Daemon.start(config);
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(50));
  expect(fixture.acks.filter(({ status }) => status !== 'inserted')).toEqual([]);
  const [counts] = await fixture.query(
    `SELECT toUInt32(count()) AS rows, toUInt32(uniqExact(\`größe\`)) AS sizes,
       toUInt32(countIf(\`x\\\` Int64, CONSTRAINT c CHECK 0, \\\`y\` = id)) AS equal, toString(max(huge)) AS huge FROM ${table}`,
  );
  expect(counts).toEqual({ rows: 50, sizes: 50, equal: 50, huge: String(2n ** 70n) });
  const { findings } = await check(config);
  expect(findings.find(({ subject }) => subject.startsWith('table'))).toMatchObject({ level: 'ok' });
  expect((await ktb(config, ['reconcile', fixture.name])).code).toBe(0);
});

it('check says which identity column is too narrow, and that rows may not be looked up', async () => {
  fixture = await Fixture.create(stack(), { partitions: 1 });
  const made = async (name: string, identity: string, engine: string) => {
    await fixture.clickhouse.command({
      query: `CREATE TABLE ${fixture.table}_${name} (id Int64, _topic String, _epoch String, ${identity}) ENGINE = ${engine}`,
    });
    const { code, findings } = await check(fixture.config({ table: `${fixture.table}_${name}` }));
    expect(code, JSON.stringify(findings)).toBe(1);
    return findings.filter(({ subject }) => subject.startsWith('table'));
  };
  const narrow = await made('narrow', '_partition UInt8, _offset UInt32', 'MergeTree ORDER BY id');
  const wrong = narrow.filter(({ level }) => level === 'wrong').map(({ message }) => message);
  expect(wrong).toEqual([
    expect.stringMatching(/^column _partition is UInt8, which is too narrow/),
    expect.stringMatching(/^column _offset is UInt32, which is too narrow/),
  ]);
  // What is inserted into it, nobody may read.
  const unread = await made('unread', '_partition UInt32, _offset UInt64', 'Set');
  expect(unread.find(({ level }) => level === 'wrong')?.message).toContain('may not be looked up');

  const daemon = Daemon.launch(fixture.config({ table: `${fixture.table}_narrow` }));
  await eventually(() => expect(daemon.output).toContain('column _offset is UInt32, which is too narrow'));
});

it('what is mistyped beside what is right is said, with what there is', async () => {
  fixture = await Fixture.create(stack(), { partitions: 3 });
  const config = fixture.config();
  const { topic, name } = fixture;
  const right = `${topic}/0`;
  const all = `${topic}/0 to ${topic}/2`;
  const mistyped = ['--partition', right, '--partition', `${topic}/3`];
  for (const args of [
    ['reconcile', name, ...mistyped],
    ['rewind', name, '--to', 'earliest', '--again', ...mistyped],
  ])
    expect(await ktb(config, args)).toMatchObject({
      code: 2,
      output: expect.stringContaining(`${topic}/3 is no partition of the pipeline, which has ${all}`) as string,
    });
  expect(await ktb(config, ['where', `${topic}/3/0`])).toMatchObject({
    code: 2,
    output: expect.stringContaining(`no partition 3: it has ${all}`) as string,
  });
  expect(await ktb(config, ['where', `${topic}x/0/0`])).toMatchObject({
    code: 2,
    output: expect.stringContaining(`they read ${topic}`) as string,
  });
  expect(await ktb(config, ['dlq', 'show', name, '--record', 'orders/0'])).toMatchObject({ code: 2 });
  expect(await ktb(config, ['dlq', 'show', name, '--code', 'not_jsom'])).toMatchObject({
    code: 1,
    output: expect.stringContaining('has the code not_jsom') as string,
  });
});

it("an apostrophe in shardBy: what a terminated batcher held is flushed by its heir, and `where` finds the record's batch", async () => {
  const shardBy = "header:customer's";
  fixture = await Fixture.create(stack(), {
    partitions: 1,
    pipeline: { batchers: 1, shardBy, batch: { maxDelay: '10m' } },
  });
  await fixture.collectAcks();
  await Daemon.start(fixture.config());
  await fixture.produce(10, () => ({ headers: { "customer's": 'ada' } }));
  await eventually(async () => expect((await fixture.offsets())[0]).toMatchObject({ committed: 10 }));
  const layout = { batchers: 1, keyFunction: shardBy } as const;
  await fixture.temporal.workflow.getHandle(batcherWorkflowId(fixture.name, layout, 0)).terminate('test');
  await fixture.produce(1, () => ({ headers: { "customer's": 'ada' } }));
  // What the closed run had is flushed at once, the new record waits.
  await eventually(() => expect(acknowledged(fixture.acks)).toBe(10), 60_000);
  const { code, output } = await ktb(fixture.config(), ['where', `${fixture.topic}/0/3`, '--json']);
  expect(code, output).toBe(0);
  expect(JSON.parse(output)).toMatchObject([
    { state: 'inserted', acceptances: [{ batches: [{ reason: 'inherited', id: fixture.acks[3]?.batch }] }] },
  ]);
});
