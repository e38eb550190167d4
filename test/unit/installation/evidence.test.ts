import { expect, it, onTestFinished, vi } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { completeClaim, type Claim } from '../../../src/installation/claim.js';
import { gatherEvidence } from '../../../src/installation/evidence.js';
import { settings } from '../../support/chunks.js';

const CONFIG = {
  clickhouse: { urls: ['http://ch:8123'], database: 'default' },
  pipelines: [{ name: 'orders', topics: ['orders'], settings: settings() }],
} as unknown as Config;

it('a cluster id that Kafka does not tell while it starts is not taken for none', async () => {
  vi.resetModules();
  vi.doMock('node:timers/promises', () => ({ setTimeout: () => Promise.resolve() }));
  onTestFinished(() => {
    vi.doUnmock('node:timers/promises');
  });
  const fresh = await import('../../../src/installation/evidence.js');
  const told: (string | null)[] = [null, '', 'k1'];
  const admin = { describeTopics: () => Promise.resolve({ clusterId: told.shift() ?? null }) };
  expect((await fresh.gatherEvidence(CONFIG, admin, null)).get('orders')?.kafka).toBe('k1');
  // A Kafka without one is known by the rest.
  expect((await fresh.gatherEvidence(CONFIG, admin, null)).get('orders')?.kafka).toBeNull();
});

it('a claim has room for the ids of many replicas, so members do not replace it for ever', async () => {
  const evidenceOf = async (replica: number) => {
    const places = Array.from({ length: 30 }, (_, index) => `${replica}-${index}/default`);
    const identities = () => Promise.resolve({ places, ofTables: new Map<string, string>() });
    const admin = { describeTopics: () => Promise.resolve({ clusterId: 'k1' }) };
    return (await gatherEvidence(CONFIG, admin, { identities })).get('orders')!;
  };
  let claim: Claim = { format: 'ktb-claim/1', installation: null, kafka: null, addresses: [], ids: [] };
  for (let replica = 0; replica < 12; replica++) claim = completeClaim(claim, null, await evidenceOf(replica));
  for (let replica = 0; replica < 12; replica++)
    expect(completeClaim(claim, null, await evidenceOf(replica))).toBe(claim);
});

it('ClickHouse is asked once about all pipelines: its user may be allowed only few queries at the same time', async () => {
  const pipelines = Array.from({ length: 20 }, (_, index) => ({
    name: `p${index}`,
    topics: ['orders'],
    settings: { destination: { table: `t${index % 10}` } },
  }));
  const admin = { describeTopics: () => Promise.resolve({ clusterId: 'k1' }) };
  const asked: (readonly string[])[] = [];
  const identities = (tables: readonly string[]) => {
    asked.push(tables);
    const ofTables = new Map(tables.map((table) => [table, `id of ${table}`]));
    return Promise.resolve({ places: ['server/default'], ofTables });
  };
  const found = await gatherEvidence({ ...CONFIG, pipelines } as unknown as Config, admin, { identities });
  expect(asked).toEqual([pipelines.slice(0, 10).map((_, index) => `t${index}`)]);
  expect(found.get('p13')!.ids).toEqual(['server/default', 'id of t3']);
});
