import { expect, it } from 'vitest';
import type { Finding } from '../../src/commands/check/finding.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { useSharedStack } from '../support/useStack.js';

const stack = useSharedStack();
let fixture: Fixture;
let daemon: Daemon | undefined;

interface Report {
  readonly workflowId: string;
  readonly outcome: string;
  readonly message: string;
}

/** Runs a command with `--json`. */
async function steer(...args: string[]): Promise<{ code: number | null; reports: Report[] }> {
  const { code, output } = await ktb(fixture.config(), [...args, '--reason', 'a test', '--json']);
  return { code, reports: JSON.parse(output) as Report[] };
}

const outcomes = ({ reports }: { reports: Report[] }) => reports.map(({ outcome }) => outcome);
const buffered = async () => {
  const of = await Promise.all([0, 1].map((index) => fixture.batcherStatus(index)));
  return of.reduce((sum, { bufferedRecords }) => sum + bufferedRecords, 0);
};

it('pause, flush, resume and drain reach every batcher once, and say who and why', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batchers: 2, batch: { maxDelay: '10m' } } });
  await fixture.collectAcks();
  expect(await steer('pause')).toMatchObject({ code: 1, reports: [{ outcome: 'failed' }, { outcome: 'failed' }] });
  expect(await steer('flush')).toMatchObject({ code: 0, reports: [{ outcome: 'already' }, { outcome: 'already' }] });

  daemon = await Daemon.start(fixture.config());
  await fixture.produce(100);
  await eventually(async () => expect(await buffered()).toBe(100));
  expect(await steer('pause', '--batcher', '1')).toMatchObject({
    code: 0,
    reports: [{ workflowId: fixture.batcher(1).workflowId, outcome: 'told' }],
  });
  expect((await fixture.batcherStatus(0)).controls).toEqual([]);
  expect((await fixture.batcherStatus(1)).controls).toMatchObject([
    { action: 'pause', actor: expect.stringMatching(/.@./) as string, reason: 'a test' },
  ]);
  expect(outcomes(await steer('pause'))).toEqual(['told', 'already']);
  const flush = await steer('flush', '--pipeline', fixture.name);
  expect(flush.reports[0]?.message).toContain('once it is resumed');
  expect(fixture.acks).toHaveLength(0);
  expect(outcomes(await steer('resume'))).toEqual(['told', 'told']);
  await expectExactlyOnce(fixture, { acksOnce: true });
  expect(outcomes(await steer('resume'))).toEqual(['already', 'already']);

  expect(outcomes(await steer('drain'))).toEqual(['told', 'told']);
  await eventually(async () => expect((await fixture.batcher(0).describe()).status.name).toBe('COMPLETED'));
  await eventually(async () => expect(outcomes(await steer('drain'))).toEqual(['already', 'already']));
});

it('a command that cannot be meant ends with 2, one that cannot be done with 1', async () => {
  fixture = await Fixture.create(stack(), { pipeline: { batchers: 2 } });
  const run = (args: string[], config = fixture.config()) => ktb(config, ['pause', ...args, '--reason', 'a test']);
  expect(await run(['--pipeline', 'nobody'])).toMatchObject({
    code: 2,
    output: expect.stringContaining(`no pipeline nobody; it has ${fixture.name}`) as string,
  });
  expect(await run(['--batcher', '2'])).toMatchObject({
    code: 2,
    output: expect.stringContaining('it has 0 to 1') as string,
  });
  expect(await ktb(fixture.config(), ['pause'])).toMatchObject({ code: 2 });
  expect(await run([], fixture.config().replace(stack().temporal.address, '127.0.0.1:9'))).toMatchObject({
    code: 1,
    output: expect.stringContaining('Temporal at 127.0.0.1:9') as string,
  });
});

it('check finds all parts well, and then each that is not, with what to do', async () => {
  fixture = await Fixture.create(stack());
  const check = async (config = fixture.config()) => {
    const { code, output } = await ktb(config, ['check', '--json']);
    const findings = JSON.parse(output) as Finding[];
    const find = (subject: string) => findings.find((finding) => finding.subject.startsWith(subject));
    return { code, wrong: findings.filter(({ level }) => level === 'wrong'), find };
  };
  daemon = await Daemon.start(fixture.config());
  const well = await check();
  expect(well).toMatchObject({ code: 0, wrong: [] });
  for (const subject of ['Kafka', 'Temporal', 'ClickHouse', `topic ${fixture.topic}`, `table ${fixture.table}`])
    expect(well.find(subject), subject).toMatchObject({ level: 'ok' });
  expect(well.find('task queue')).toMatchObject({ level: 'ok' });
  expect(well.find('group')?.message).toContain('members: 1');
  await daemon.stop();

  await fixture.clickhouse.command({
    query: `ALTER TABLE ${fixture.table} RESET SETTING non_replicated_deduplication_window`,
  });
  await fixture.admin.deleteTopics({ topics: [fixture.deadLetterTopic] });
  const ill = await check(fixture.config({ columns: { customer: '/who' } }));
  expect(ill.code).toBe(1);
  expect(ill.wrong.map(({ subject }) => subject)).toEqual([
    `topic ${fixture.deadLetterTopic}`,
    `table ${fixture.table}`,
  ]);
  expect(ill.wrong[0]?.todo).toContain('ktb setup');

  const away = await check(fixture.config().replace(stack().temporal.address, '127.0.0.1:9'));
  expect(away.code).toBe(1);
  expect(away.find('Temporal')).toMatchObject({ level: 'wrong' });
  expect(away.find('Kafka')).toMatchObject({ level: 'ok' });
  expect(await ktb('pipelines: {}', ['check', '--json'])).toMatchObject({ code: 2 });
});

it('check tells tables that lose what is acknowledged from those that keep it', async () => {
  fixture = await Fixture.create(stack());
  const { table, clickhouse } = fixture;
  const others = ['memory', 'null', 'seen'].map((kind) => `${table}_${kind}`);
  const [memory, nothing, seen] = others as [string, string, string];
  await clickhouse.command({ query: `CREATE TABLE ${memory} AS ${table} ENGINE = Memory` });
  for (const name of [nothing, seen])
    await clickhouse.command({ query: `CREATE TABLE ${name} AS ${table} ENGINE = Null` });
  await clickhouse.command({
    query: `CREATE MATERIALIZED VIEW ${seen}_view TO ${table} AS SELECT * FROM ${seen}`,
  });
  const findingsOf = async (name: string): Promise<{ code: number | null; levels: string[] }> => {
    const { code, output } = await ktb(fixture.config({ table: name }), ['check', '--json']);
    const all = JSON.parse(output) as Finding[];
    return { code, levels: all.flatMap(({ level, subject }) => (subject === `table ${name}` ? [level] : [])) };
  };
  expect(await findingsOf(memory)).toEqual({ code: 1, levels: ['wrong'] });
  expect(await findingsOf(nothing)).toEqual({ code: 1, levels: ['wrong'] });
  expect((await findingsOf(seen)).levels).toEqual(['warning']);
});
