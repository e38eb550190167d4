import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { judgeEvidence, judgePipeline } from '../../../../src/commands/check/checkInstallation.js';
import type { Claim, Evidence } from '../../../../src/installation/claim.js';

const HERE: Evidence = { kafka: 'k1', addresses: ['ch1:8123/default'], ids: ['server-1/default'] };
const THERE: Evidence = { kafka: 'k1', addresses: ['ch1:8123/default'], ids: ['server-2/default'] };

function claim(name: string, taskQueue: string, evidence: Evidence): Claim {
  return { format: 'ktb-claim/1', installation: { name, taskQueue }, ...evidence };
}

const NEW = { name: 'orders', claim: null, names: [], configured: null, mine: HERE, own: null, owner: null };

describe('the installation of a pipeline', () => {
  it('is said to be a further one, with the name to set, unless that is set', () => {
    const further = { ...NEW, claim: claim('mine', 'q@mine', HERE) };
    const found = judgePipeline(further);
    expect(found).toMatchObject({ level: 'warning', subject: 'pipeline orders' });
    expect(found.message).toMatch(/not the first one of its task queue; its activities are on task queue q@mine$/);
    expect(found.todo).toMatch(/^set installation: mine,/);
    expect(judgePipeline({ ...further, configured: 'mine' }).level).toBe('ok');
    expect(judgePipeline({ ...NEW, claim: claim('mine', 'q', HERE) }).level).toBe('ok');
  });

  it('that the first worker will choose is said before it starts, with the way to join the first of the task queue', () => {
    expect(judgePipeline(NEW).level).toBe('ok');
    const joining = judgePipeline({ ...NEW, own: { name: 'first', taskQueue: 'q' }, owner: claim('first', 'q', HERE) });
    expect(joining).toMatchObject({ level: 'ok', message: expect.stringMatching(/for installation first$/) as string });
    const apart = judgePipeline({ ...NEW, owner: claim('first', 'q', THERE) });
    expect(apart.level).toBe('warning');
    expect(apart.message).toMatch(
      /Installation first has the task queue: its ClickHouse at ch1:8123\/default had other ids than the one here$/,
    );
    expect(apart.todo).toContain('set installation: first before the first start');
    expect(judgePipeline({ ...NEW, configured: 'mine', owner: claim('first', 'q', THERE) }).level).toBe('ok');
  });

  it('is doubted if only ids are the same, since a clone of a ClickHouse has them, too', () => {
    const owner = claim('first', 'q', { ...HERE, addresses: ['original:8123/default'] });
    const found = judgePipeline({ ...NEW, own: owner.installation, owner });
    expect(found.level).toBe('warning');
    expect(found.message).toMatch(/has the same ids at other addresses: original:8123\/default$/);
    expect(judgePipeline({ ...NEW, configured: 'first', own: owner.installation, owner }).level).toBe('ok');
  });

  it('is doubted if the configured name is that of one with another database or Kafka, but not another replica', () => {
    const elsewhere = [
      { ...HERE, kafka: 'k2' },
      { ...HERE, addresses: ['ch1:8123/other'], ids: ['server-1/other'] },
    ];
    for (const place of elsewhere) {
      const first = claim('first', 'q', place);
      const known = { ...NEW, configured: 'first', own: first.installation };
      for (const found of [judgePipeline({ ...known, owner: first }), judgePipeline({ ...known, claim: first })]) {
        expect(found.level).toBe('warning');
        expect(found.message).toMatch(/^is of installation first by the configured name alone: its (Kafka|database)/);
      }
    }
    const replica = claim('first', 'q', { ...THERE, addresses: ['ch2:8123/default'] });
    expect(judgePipeline({ ...NEW, configured: 'first', own: replica.installation, owner: replica }).level).toBe('ok');
  });

  it('is given no name to set if the configuration has pipelines of others: that would keep these from starting', () => {
    const mixed = { ...NEW, names: ['mine', 'first'] };
    for (const found of [
      judgePipeline({ ...mixed, claim: claim('mine', 'q@mine', HERE) }),
      judgePipeline({ ...mixed, claim: claim('first', 'q', HERE), configured: 'mine' }),
      judgePipeline({ ...mixed, names: ['mine'], owner: claim('first', 'q', THERE) }),
    ]) {
      expect(found.todo).not.toContain('set installation:');
      expect(found.todo).toContain('separate the pipelines of installations first, mine');
    }
    const alone = judgePipeline({
      ...NEW,
      names: ['first', 'first'],
      claim: claim('first', 'q', HERE),
      configured: 'new',
    });
    expect(alone.todo).toContain('set installation: first');
  });

  it('cannot be recognized by others without ids of Kafka and of the database, and that is said, unless it has a name', () => {
    expect(judgeEvidence(null, [HERE])).toEqual([]);
    for (const [evidence, part] of [
      [{ ...HERE, kafka: null }, 'Kafka'],
      [{ ...HERE, ids: ['table'] }, 'ClickHouse'],
    ] as const) {
      const [found, ...more] = judgeEvidence(null, [evidence, evidence]);
      expect(more).toEqual([]);
      expect(found?.level).toBe('warning');
      expect(found?.message).toMatch(new RegExp(`^${part} has no`));
      expect(judgeEvidence('mine', [evidence])).toEqual([]);
    }
  });
});

it('what could not be asked in time is something wrong, not nothing', async () => {
  vi.resetModules();
  vi.doMock('../../../../src/commands/shared/connections.js', () => ({
    withKafka: () => new Promise(() => undefined),
  }));
  onTestFinished(() => {
    vi.doUnmock('../../../../src/commands/shared/connections.js');
  });
  const { checkInstallation } = await import('../../../../src/commands/check/checkInstallation.js');
  const found = await checkInstallation({} as never, 10);
  expect(found).toMatchObject([{ level: 'wrong', subject: 'installations' }]);
});

it.each([
  ['a refused user', { code: '516', message: 'Authentication failed' }, /check clickhouse\.username and/],
  ['a database that is missing', null, /no database absent: create it, or correct clickhouse\.database/],
])('nothing is said of installations because of %s', async (_, refusal, said) => {
  vi.resetModules();
  const { ClickHouseError } = await import('@clickhouse/client');
  const missing = new ClickHouseError({
    code: '81',
    type: 'UNKNOWN_DATABASE',
    message: 'Database absent does not exist',
  });
  const client = {
    ping: () => Promise.resolve(refusal === null ? { success: true } : { success: false, error: refusal }),
    query: () => Promise.reject(missing),
  };
  vi.doMock('../../../../src/commands/shared/connections.js', () => ({
    withKafka: (_config: unknown, work: (kafka: null, admin: null) => unknown) => work(null, null),
    withTables: (_config: unknown, work: (tables: null, client: unknown) => unknown) => work(null, client),
    withTemporal: () => Promise.reject(new Error('Temporal was asked')),
  }));
  onTestFinished(() => {
    vi.doUnmock('../../../../src/commands/shared/connections.js');
  });
  const { checkInstallation } = await import('../../../../src/commands/check/checkInstallation.js');
  const clickhouse = { urls: ['http://127.0.0.1:8123'], username: 'ktb', accessToken: null, tls: null };
  const found = await checkInstallation({ clickhouse } as never, 1_000);
  expect(found).toMatchObject([
    { level: 'wrong', subject: 'installations', message: expect.stringMatching(said) as string },
  ]);
});
