import { expect, it, onTestFinished } from 'vitest';
import { createClient } from '@clickhouse/client';
import { startStack } from '../../stack/index.js';
import { CuttingProxy } from '../support/cuttingProxy.js';
import { Daemon, ktb } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { acknowledged, expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';

const stack = useStack();

const RECORDS_PER_SECOND = 500;

async function gate(): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start(stack().clickhouse.url);
  onTestFinished(() => proxy.close());
  return proxy;
}

const acknowledgedMoreThan = (fixture: Fixture, records: number) =>
  eventually(() => expect(acknowledged(fixture.acks)).toBeGreaterThan(records), 120_000);

it('servers with the same table: one that goes away in the middle of an insert is replaced by the next one, and nothing is lost or doubled', async () => {
  // Two ways to one table: the replicas of a shared table, for clients.
  const [first, second] = [await gate(), await gate()];
  const fixture = await Fixture.create(stack(), { config: { clickhouse: { urls: [first.url, second.url] } } });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  const load = steadyLoad(fixture, RECORDS_PER_SECOND);
  await acknowledgedMoreThan(fixture, 1_000);
  expect(daemon.output).not.toContain('the next one is used');
  // The rows are there, and the answer is not.
  first.cutNext = 'beforeAnswer';
  await eventually(() => expect(first.cuts).toBe(1));
  await first.close();
  await acknowledgedMoreThan(fixture, fixture.produced);
  await daemon.untilReady();
  const changes = () => daemon.logs().filter(({ message }) => message.includes('the next one is used'));
  const message = `ClickHouse at ${first.url} does not answer; the next one is used: ${second.url}`;
  expect(changes()).toMatchObject([{ level: 'warn', message }]);
  // It stays there, although the first one may be back.
  await acknowledgedMoreThan(fixture, fixture.produced);
  expect(changes()).toHaveLength(1);
  await load.stop();
  await expectExactlyOnce(fixture);
});

it('while no server answers, batches wait, and go in when one is back', async () => {
  const [first, second] = [await gate(), await gate()];
  const fixture = await Fixture.create(stack(), { config: { clickhouse: { urls: [first.url, second.url] } } });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  await fixture.produce(500);
  await acknowledgedMoreThan(fixture, 499);
  await Promise.all([first.close(), second.close()]);
  await fixture.produce(500);
  await eventually(async () => expect((await daemon.get('/readyz')).text).toMatch(/clickhouse: .*one of 2 servers/));
  await second.reopen();
  await daemon.untilReady();
  await expectExactlyOnce(fixture);
});

it('servers with a table of their own each: the rows go to the next one when one is stopped, and none is lost', async () => {
  const other = await startStack({ shortLived: true, only: ['clickhouse'] });
  onTestFinished(() => other.stop());
  const urls = [other.clickhouse.url, stack().clickhouse.url];
  const fixture = await Fixture.create(stack(), { config: { clickhouse: { urls } } });
  const client = createClient({ url: other.clickhouse.url });
  onTestFinished(() => client.close());
  const [{ statement } = { statement: '' }] = await fixture.query<{ statement: string }>(
    `SELECT create_table_query AS statement FROM system.tables WHERE name = '${fixture.table}'`,
  );
  await client.command({ query: statement });
  await fixture.collectAcks();
  const daemon = await Daemon.start(fixture.config());
  const load = steadyLoad(fixture, RECORDS_PER_SECOND);
  await acknowledgedMoreThan(fixture, 2_000);
  await load.stop();
  await acknowledgedMoreThan(fixture, fixture.produced - 1);
  expect(await fixture.rowCounts()).toMatchObject({ rows: 0 });
  const before = fixture.produced;
  const check = await ktb(fixture.config(), ['check', '--json']);
  expect(check.code, check.output).toBe(0);
  const of = (output: string) =>
    (JSON.parse(output) as { level: string; subject: string }[]).flatMap(({ level, subject }) =>
      urls.map((url) => `ClickHouse at ${url}`).includes(subject) ? [level] : [],
    );
  expect(of(check.output)).toEqual(['ok', 'ok']);
  await other.parts.clickhouse.kill();
  const without = await ktb(fixture.config(), ['check', '--json']);
  expect([without.code, of(without.output)], without.output).toEqual([0, ['warning', 'ok']]);
  await fixture.produce(2_000);
  await acknowledgedMoreThan(fixture, fixture.produced - 1);
  expect(await fixture.rowCounts()).toEqual({ rows: 2_000, identities: 2_000, ids: 2_000 });
  await daemon.untilReady();
  // A daemon that finds only the other server is one of the same installation.
  expect(await daemon.stop()).toBe(0);
  const again = await Daemon.start(fixture.config());
  await fixture.produce(100);
  await acknowledgedMoreThan(fixture, before + 2_000 + 99);
  expect(again.output).not.toContain('another installation');
});
