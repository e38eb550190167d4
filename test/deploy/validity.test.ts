import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parse, parseAllDocuments, stringify } from 'yaml';
import { VERSIONS } from '../../stack/versions.js';
import {
  all,
  CHART,
  CI_VALUES,
  ciFile,
  lint,
  MINIMAL,
  namesOf,
  render,
  renderNotes,
  renderText,
  run,
  type Manifest,
} from './support/chart.js';
import { SCHEMA_LOCATION } from './support/schemas.js';
import { DEPLOY_TOOLS } from './support/tools.js';

interface PodOwner {
  readonly template: { readonly spec: { readonly containers: readonly { readonly image: string }[] } };
}

/** Rejects with what is wrong with any of the objects. A kind without a schema is wrong, not skipped. */
function validate(text: string): Promise<string> {
  return run(
    DEPLOY_TOOLS.kubeconform,
    ['-strict', '-summary', '-schema-location', join(DEPLOY_TOOLS.schemas, SCHEMA_LOCATION), '-'],
    { input: text },
  );
}

describe.each(CI_VALUES)('%s', (name) => {
  it('passes helm lint --strict', async () => {
    await lint({ files: [ciFile(name)] });
  });

  it('renders only what Kubernetes, the Prometheus operator and KEDA know, strictly', async () => {
    const text = await renderText({ files: [ciFile(name)] });
    expect(await validate(text)).toMatch(/ Valid: [1-9]\d*, Invalid: 0, Errors: 0, Skipped: 0/);
  });

  it('also renders for the oldest Kubernetes that the chart admits', async () => {
    const manifests = await render({ files: [ciFile(name)], kubeVersion: '1.27.0' });
    expect(JSON.stringify(manifests)).not.toContain('preStop');
  });
});

it('passes helm lint --strict with its default values, which have no pipeline', async () => {
  await lint({});
});

it('the values that the README shows are valid, one after the other', async () => {
  const readme = readFileSync(join(CHART, 'README.md'), 'utf8');
  const [whole, ...parts] = [...readme.matchAll(/```yaml\n([\s\S]*?)```/g)].map(
    ([, text]) => parse(text ?? '') as object,
  );
  expect(parts.length).toBeGreaterThan(1);
  expect(await validate(await renderText({ values: whole ?? {} }))).toContain('Invalid: 0, Errors: 0, Skipped: 0');
  for (const part of parts)
    expect(await validate(await renderText({ values: { ...whole, ...part } }))).toContain('Invalid: 0');
});

it('the package has a licence, and everything that its README links to', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-package-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await run(DEPLOY_TOOLS.helm, ['package', CHART, '--destination', directory]);
  const [archive = ''] = readdirSync(directory);
  await run('tar', ['-xzf', join(directory, archive), '-C', directory]);
  const unpacked = join(directory, basename(CHART));
  expect(readFileSync(join(unpacked, 'LICENSE'), 'utf8')).toBe(readFileSync(join(CHART, '../../../LICENSE'), 'utf8'));
  const links = [...readFileSync(join(unpacked, 'README.md'), 'utf8').matchAll(/\]\(([^#)][^)]*)\)/g)];
  expect(links.length).toBeGreaterThan(1);
  for (const [, link] of links) expect(existsSync(join(unpacked, link ?? '')), link).toBe(true);
});

it('the services for one machine have the versions of the local stack', () => {
  const text = readFileSync(join(CHART, '../kind/services.yaml'), 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as Manifest);
  const images = all(objects, 'Deployment').flatMap(({ spec }) =>
    (spec as PodOwner).template.spec.containers.map(({ image }) => image),
  );
  expect(images).toEqual([
    `apache/kafka:${VERSIONS.kafka}`,
    `temporalio/temporal:${VERSIONS.temporalCli}`,
    `clickhouse/clickhouse-server:${VERSIONS.clickhouse}`,
  ]);
});

it('names that YAML could take for numbers stay texts', async () => {
  const name = '1234';
  const values = {
    fullnameOverride: 'orders',
    nameOverride: name,
    namespaceOverride: name,
    serviceAccount: { name },
    priorityClassName: name,
    config: { kafka: { sasl: { mechanism: 'plain' } } },
    credentials: {
      kafka: { sasl: { existingSecret: name, usernameKey: name, passwordKey: name } },
      temporal: { apiKey: { existingSecret: name, key: name } },
      clickhouse: { auth: { existingSecret: name, usernameKey: name, passwordKey: name } },
    },
    setup: { enabled: true },
    networkPolicy: { enabled: true },
  };
  for (const monitor of ['serviceMonitor', 'podMonitor']) {
    const text = await renderText({ ...MINIMAL, release: '1e5', values: { ...values, [monitor]: { enabled: true } } });
    expect(await validate(text)).toContain('Invalid: 0, Errors: 0, Skipped: 0');
  }
});

it('the notes name commands that exist', async () => {
  const notes = await renderNotes({ files: [ciFile('split-values.yaml')] });
  const manifests = await render({ files: [ciFile('split-values.yaml')] });
  const names = namesOf(manifests).map((name) => name.toLowerCase());
  const named = [...notes.matchAll(/\b(?:deployment|job)\/\S+/g)].map(([name]) => name);
  expect(named).toHaveLength(3);
  expect(notes).toContain('helm test --namespace apps demo --logs');
  for (const name of named) expect(names).toContain(name);
});

it('the values files under ci/ have every kind of object between them', async () => {
  const manifests = (await Promise.all(CI_VALUES.map((name) => render({ files: [ciFile(name)] })))).flat();
  manifests.push(
    ...(await render({ files: [ciFile('minimal-values.yaml')], values: { serviceMonitor: { enabled: true } } })),
  );
  expect([...new Set(manifests.map(({ kind }) => kind))].sort()).toEqual([
    'ConfigMap',
    'Deployment',
    'HorizontalPodAutoscaler',
    'Job',
    'NetworkPolicy',
    'Pod',
    'PodDisruptionBudget',
    'PodMonitor',
    'PrometheusRule',
    'ScaledObject',
    'Secret',
    'Service',
    'ServiceAccount',
    'ServiceMonitor',
    'TriggerAuthentication',
  ]);
});

describe('the validation refuses', () => {
  const metadata = { name: 'a' };
  const cases: [string, Manifest | object, RegExp][] = [
    [
      'a field that Kubernetes does not know',
      { apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ port: 1, tragetPort: 1 }] } },
      /tragetPort/,
    ],
    [
      'a value of the wrong type',
      { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', metadata, spec: { minAvailable: true } },
      /minAvailable/,
    ],
    [
      'a field that the Prometheus operator does not know',
      {
        apiVersion: 'monitoring.coreos.com/v1',
        kind: 'ServiceMonitor',
        metadata,
        spec: { selector: {}, endpoints: [{ prot: 'http' }] },
      },
      /prot/,
    ],
    [
      'a ScaledObject without a target',
      { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject', metadata, spec: { triggers: [] } },
      /scaleTargetRef/,
    ],
    [
      'unknown metadata of an object of KEDA',
      {
        apiVersion: 'keda.sh/v1alpha1',
        kind: 'TriggerAuthentication',
        metadata: { name: 'a', lables: {} },
        spec: {},
      },
      /lables/,
    ],
    ['a kind that nobody defines', { apiVersion: 'example.com/v1', kind: 'Thing', metadata }, /Thing/],
  ];
  it.each(cases)('%s', async (_, manifest, message) => {
    await expect(validate(stringify(manifest))).rejects.toThrow(message);
  });
});
