import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { seriesNames } from '../../scripts/metrics.js';
import { parseConfig } from '../../src/config/load.js';
import { zeroMetrics } from '../../src/daemon/zeroMetrics.js';
import { createMetrics } from '../../src/telemetry/metrics.js';
import { ALERT_CASES } from './support/alertCases.js';
import { CHART, MINIMAL, one, render, run } from './support/chart.js';
import { DEPLOY_TOOLS } from './support/tools.js';

// promtool evaluates every rule each minute over up to a day.
vi.setConfig({ testTimeout: 240_000 });

const RULES = join(CHART, 'files/rules.yaml');

interface Rule {
  readonly alert: string;
  readonly expr: string;
}
const rules = (parse(readFileSync(RULES, 'utf8')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);

/** Runs promtool's tests: whether an alert fires under the series of its case. */
async function testRules(
  cases: readonly { alert: string; at: string; series: object; fires: boolean | number }[],
  files = [RULES],
) {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-rules-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  const file = join(directory, 'test.yaml');
  const tests = cases.map(({ alert, at, series, fires }) => ({
    name: `${alert} ${fires ? 'fires' : 'does not fire'} ${stringify(series)}`,
    interval: '1m',
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values: values as string })),
    promql_expr_test: [
      {
        expr: `count(ALERTS{alertname="${alert}", alertstate="firing"}) or vector(0)`,
        eval_time: at,
        exp_samples: [{ labels: '{}', value: Number(fires) }],
      },
    ],
  }));
  await writeFile(file, stringify({ rule_files: files, evaluation_interval: '1m', tests }));
  return run(DEPLOY_TOOLS.promtool, ['test', 'rules', file]);
}

it('each alert fires where it has to, and does not where it looks alike', async () => {
  expect(Object.keys(ALERT_CASES).sort()).toEqual(rules.map(({ alert }) => alert).sort());
  const cases = Object.entries(ALERT_CASES).flatMap(
    ([alert, { at, firing, alsoFiring = [], quiet, alsoQuiet = [] }]) => [
      ...[firing, ...alsoFiring].map((series) => ({ alert, at, series, fires: true })),
      ...[quiet, ...alsoQuiet].map((series) => ({ alert, at, series, fires: false })),
    ],
  );
  expect(await testRules(cases)).toContain('SUCCESS');
});

const ofRelease = (series: object, release: string): object =>
  Object.fromEntries(
    Object.entries(series).map(([name, values]) => [
      name.replace('{', `{app_kubernetes_io_instance="${release}",`).replace('pod="', `pod="${release}-`),
      values as string,
    ]),
  );

it('each alert fires for one of two releases in a namespace, whatever the other one does', async () => {
  const cases = Object.entries(ALERT_CASES).map(([alert, { at, firing, quiet }]) => {
    return { alert, at, series: { ...ofRelease(firing, 'one'), ...ofRelease(quiet, 'other') }, fires: true };
  });
  expect(await testRules(cases)).toContain('SUCCESS');
});

it('the rules of a release are about its own series, and those that name no release', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-rules-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  // As a regular expression the first name matches the second one, too.
  const releases = ['orders.v2', 'orders-v2'];
  const files = await Promise.all(
    releases.map(async (release) => {
      // Prometheus counts an alert that two releases give the same labels once.
      const values = { prometheusRule: { enabled: true, ruleLabels: { team: release } } };
      const manifests = await render({ ...MINIMAL, release, values });
      const file = join(directory, `${release}.yaml`);
      await writeFile(file, stringify(one(manifests, 'PrometheusRule').spec));
      return file;
    }),
  );
  const cases = Object.entries(ALERT_CASES).flatMap(([alert, { at, firing }]) => {
    const own = ofRelease(firing, 'orders-v2');
    const elsewhere = Object.fromEntries(
      Object.entries(own).map(([name, values]) => [
        name.replace('namespace="apps"', 'namespace="x"'),
        values as string,
      ]),
    );
    return [
      { alert, at, series: { ...own, ...elsewhere }, fires: 1 },
      // No label says whose they are, as where another monitor has them scraped: both releases tell of them.
      { alert, at, series: firing, fires: 2 },
    ];
  });
  expect(await testRules(cases, files)).toContain('SUCCESS');
});

it('no alert fires for the series of another application', async () => {
  const stranger = 'namespace="apps",pod="shop-0",job="shop"';
  const bad: Partial<Record<string, string>> = { seconds: '1000x180', bytes: '1e12x180', total: '0+1000x180' };
  const series = Object.fromEntries(
    [...seriesNames()]
      .filter((name) => !name.startsWith('ktb_'))
      .map((name) => [`${name}{${stranger}}`, bad[name.split('_').at(-1) ?? ''] ?? '1000x180']),
  );
  expect(Object.keys(series).length).toBeGreaterThan(10);
  const cases = Object.entries(ALERT_CASES).map(([alert, { at }]) => ({ alert, at, series, fires: false }));
  expect(await testRules(cases)).toContain('SUCCESS');
});

it('the cases use only series that the daemon has', () => {
  const known = seriesNames();
  for (const { firing, alsoFiring, quiet } of Object.values(ALERT_CASES))
    for (const series of [firing, quiet, ...(alsoFiring ?? [])].flatMap((of) => Object.keys(of)))
      expect(known).toContain(series.split('{')[0]);
});

it('each alert has its section among the runbooks, and there is none without an alert', () => {
  const runbooks = readFileSync(new URL('../../docs/runbooks.md', import.meta.url), 'utf8');
  const sections = [...runbooks.matchAll(/^## (\S+)$/gm)].map(([, name]) => name);
  expect(sections).toEqual(rules.map(({ alert }) => alert));
  for (const [, anchor] of runbooks.matchAll(/\(#(\w+)\)/g))
    expect(sections.map((name) => name?.toLowerCase())).toContain(anchor);
});

it('promtool has nothing to say against the metrics, those of Node included', async () => {
  const metrics = createMetrics();
  const { pipelines } = parseConfig('pipelines: { orders: { topics: [orders], table: orders } }', 'ktb.yaml', {});
  zeroMetrics(metrics, pipelines, 'both');
  expect(await run(DEPLOY_TOOLS.promtool, ['check', 'metrics'], { input: await metrics.registry.metrics() })).toBe('');
});
