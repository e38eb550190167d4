import { expect, it, onTestFinished, vi } from 'vitest';
import type { Config } from '../../../src/config/config.js';
import { completeClaim, type Claim } from '../../../src/installation/claim.js';
import { gatherEvidence } from '../../../src/installation/evidence.js';
import { settings } from '../../support/chunks.js';

const CONFIG = {
  clickhouse: { url: 'http://ch:8123', database: 'default' },
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
    const identities = () => Promise.resolve(Array.from({ length: 30 }, (_, index) => `${replica}-${index}/default`));
    const admin = { describeTopics: () => Promise.resolve({ clusterId: 'k1' }) };
    return (await gatherEvidence(CONFIG, admin, { identities })).get('orders')!;
  };
  let claim: Claim = { format: 'ktb-claim/1', installation: null, kafka: null, addresses: [], ids: [] };
  for (let replica = 0; replica < 12; replica++) claim = completeClaim(claim, null, await evidenceOf(replica));
  for (let replica = 0; replica < 12; replica++)
    expect(completeClaim(claim, null, await evidenceOf(replica))).toBe(claim);
});
