import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { CI_VALUES, ciFile, lint, render, renderText, run, type Manifest } from './support/chart.js';
import { SCHEMA_LOCATION } from './support/schemas.js';
import { DEPLOY_TOOLS } from './support/tools.js';

/** Rejects with what is wrong with any of the objects. A kind without a schema is wrong, not skipped. */
function validate(text: string): Promise<string> {
  return run(
    DEPLOY_TOOLS.kubeconform,
    ['-strict', '-summary', '-schema-location', join(DEPLOY_TOOLS.schemas, SCHEMA_LOCATION), '-'],
    text,
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

it('the values files under ci/ have every kind of object between them', async () => {
  const manifests = (await Promise.all(CI_VALUES.map((name) => render({ files: [ciFile(name)] })))).flat();
  manifests.push(...(await render({ files: [ciFile('minimal-values.yaml')], values: { serviceMonitor: { enabled: true } } })));
  expect([...new Set(manifests.map(({ kind }) => kind))].sort()).toEqual([
    'ConfigMap',
    'Deployment',
    'HorizontalPodAutoscaler',
    'Job',
    'NetworkPolicy',
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
