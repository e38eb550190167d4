import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Daemon } from '../support/daemon.js';
import { eventually } from '../support/eventually.js';
import { expectExactlyOnce } from '../support/exactlyOnce.js';
import { Fixture } from '../support/fixture.js';
import { steadyLoad } from '../support/load.js';
import { useStack } from '../support/useStack.js';
import { CHART } from './support/chart.js';
import { Prometheus, type Alert } from './support/prometheus.js';

const stack = useStack();

/** The shipped rules, but that they look at seconds instead of minutes. */
function hastyRules(): string {
  const rules = readFileSync(join(CHART, 'files/rules.yaml'), 'utf8');
  return rules.replace(/for: \d+[mh]/g, 'for: 2s').replace(/\[(\d+)m\]/g, '[15s]');
}

/** A minute of ClickHouse's absence, with time for the stack and for what has to be noticed. */
const TEST_MS = 240_000;

it(
  'alerts of the shipped rules fire while ClickHouse is away, name what they are about, and resolve after it',
  async () => {
    const fixture = await Fixture.create(stack());
    await fixture.collectAcks();
    const daemons = [await Daemon.start(fixture.config()), await Daemon.start(fixture.config())];
    const targets = daemons.map(({ url }, index) => ({ url, labels: { namespace: 'apps', pod: `ktb-${index}` } }));
    const prometheus = await Prometheus.start(targets, hastyRules());
    const firing = async (name: string): Promise<readonly Alert[]> =>
      (await prometheus.alerts()).filter(({ state, labels }) => state === 'firing' && labels['alertname'] === name);

    const load = steadyLoad(fixture, 300);
    await eventually(async () => expect(await prometheus.targetsUp()).toBe(2));
    await eventually(() => expect(fixture.acks.length).toBeGreaterThan(1_000));
    await eventually(async () => {
      const rules = await prometheus.rules();
      expect(rules.length).toBeGreaterThan(0);
      expect(rules.filter(({ health }) => health !== 'ok')).toEqual([]);
    });
    for (const name of ['KtbDependencyDown', 'KtbFlushFailing']) expect(await firing(name), name).toEqual([]);

    await stack().parts.clickhouse.kill();
    await eventually(async () => {
      const down = await firing('KtbDependencyDown');
      expect(down.map(({ labels }) => `${labels['pod']} ${labels['dependency']}`).sort()).toEqual([
        'ktb-0 clickhouse',
        'ktb-1 clickhouse',
      ]);
      const failing = await firing('KtbFlushFailing');
      expect(new Set(failing.map(({ labels }) => labels['pipeline']))).toEqual(new Set([fixture.name]));
      expect(failing[0]?.annotations['summary']).toContain(`${fixture.name} cannot flush`);
    }, 90_000);

    await stack().parts.clickhouse.start();
    await eventually(async () => {
      for (const name of ['KtbDependencyDown', 'KtbFlushFailing']) expect(await firing(name), name).toEqual([]);
    }, 90_000);
    await load.stop();
    await expectExactlyOnce(fixture);
  },
  TEST_MS,
);
