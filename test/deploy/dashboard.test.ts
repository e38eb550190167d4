import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { stringify } from 'yaml';
import { dashboard } from '../../scripts/dashboard.js';
import { metricFacts, seriesNames } from '../../scripts/metrics.js';
import { all, CHART, one, MINIMAL, render, renderWith, run } from './support/chart.js';
import { DEPLOY_TOOLS } from './support/tools.js';

interface Panel {
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}
const { panels, templating } = dashboard() as {
  panels: Panel[];
  templating: { list: { name: string }[] };
};
const queries = panels.flatMap(({ title, targets = [] }) => targets.map((target) => ({ title, ...target })));

it('the dashboard in the chart is what the script makes (else: npm run docs)', () => {
  expect(JSON.parse(readFileSync(join(CHART, 'files/dashboard.json'), 'utf8'))).toEqual(dashboard());
});

it('its queries ask only for metrics and labels that the daemon has, and for each of its own at least once', () => {
  const known = seriesNames();
  const labels = new Set([
    'namespace',
    'job',
    'instance',
    'pod',
    'app_kubernetes_io_instance',
    'le',
    ...metricFacts().flatMap(({ labelNames }) => labelNames),
  ]);
  const asked = new Set<string>();
  for (const { title, expr, legendFormat } of queries) {
    const names = expr.match(/\b(ktb|nodejs|process)_\w+/g) ?? [];
    expect(names.length, title).toBeGreaterThan(0);
    for (const name of names) {
      expect(known, title).toContain(name);
      asked.add(name.replace(/_bucket$/, ''));
    }
    const used = [
      ...[...expr.matchAll(/(?:by|on) \(([^)]*)\)/g)].flatMap(([, list]) => (list ?? '').split(/,\s*/)),
      ...[...expr.matchAll(/(\w+)(?:=|!=|=~)"/g)].map(([, label]) => label ?? ''),
      ...[...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label ?? ''),
    ];
    for (const label of used) expect(labels, title).toContain(label);
  }
  expect([...asked]).toEqual(expect.arrayContaining(metricFacts().map(({ name }) => name)));
});

it('Prometheus understands its queries', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-dashboard-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, 'queries.yaml');
  const rules = queries.map(({ expr }, index) => ({
    record: `query:${index}`,
    expr: expr.replaceAll('$__rate_interval', '5m'),
  }));
  await writeFile(file, stringify({ groups: [{ name: 'dashboard', rules }] }));
  expect(await run(DEPLOY_TOOLS.promtool, ['check', 'rules', file])).toContain(`${queries.length} rules found`);
});

it('comes as a ConfigMap that Grafana’s sidecar finds, where it is asked for', async () => {
  const named =
    (name: string) =>
    ({ metadata }: { metadata: { name: string } }) =>
      metadata.name.endsWith(name);
  expect(all(await render(MINIMAL), 'ConfigMap').filter(named('-dashboard'))).toEqual([]);
  const manifests = await renderWith({ dashboard: { enabled: true } });
  const configMap = one(manifests, 'ConfigMap', 'demo-kafka-temporal-bridge-dashboard');
  expect(configMap.metadata.labels).toMatchObject({ grafana_dashboard: '1' });
  const { uid, title, ...made } = JSON.parse(configMap.data?.['apps-demo-kafka-temporal-bridge.json'] ?? '{}') as {
    uid: string;
    title: string;
  };
  // It opens with the release that its title names; the others can be chosen.
  const chosen: Record<string, string> = { namespace: 'apps', release: 'demo' };
  const variables = templating.list.map((variable) => {
    const value = chosen[variable.name];
    return value === undefined ? variable : { ...variable, current: { text: [value], value: [value] } };
  });
  expect({ ...dashboard(), ...made }).toEqual({ ...dashboard(), templating: { list: variables } });
  expect(Object.keys(made)).toContain('templating');
  expect(title).toBe('Kafka-Temporal Bridge: apps/demo-kafka-temporal-bridge');
  // Grafana takes up to 40 characters.
  expect(uid).toMatch(/^ktb-[0-9a-f]{16}$/);
});
