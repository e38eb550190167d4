import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { classOf } from '../../src/config/liveSettings.js';
import { settingPaths } from '../../src/config/reference.js';
import {
  all,
  changedChart,
  CHART,
  CI_VALUES,
  ciFile,
  MINIMAL,
  namesOf,
  one,
  render,
  renderWith,
  run,
  type Manifest,
} from './support/chart.js';

interface Strategy {
  readonly type: string;
  readonly rollingUpdate?: { readonly maxSurge: number; readonly maxUnavailable: number };
}

interface ScaledObjectSpec {
  readonly advanced: { readonly horizontalPodAutoscalerConfig: { readonly name: string } };
}

type Labels = Readonly<Record<string, string>>;

interface Selector {
  readonly matchLabels?: Labels;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: 'In';
    readonly values: readonly string[];
  }[];
}

interface PodTemplate {
  readonly metadata: { readonly labels: Labels; readonly annotations: Labels };
  readonly spec: {
    readonly securityContext: object;
    readonly containers: readonly ContainerSpec[];
    readonly [key: string]: unknown;
  };
}

interface ContainerSpec {
  readonly name: string;
  readonly image: string;
  readonly args: readonly string[];
  readonly securityContext: object;
  readonly [key: string]: unknown;
}

const templateOf = (workload: Manifest): PodTemplate => (workload.spec as { template: PodTemplate }).template;
const containerOf = (workload: Manifest): ContainerSpec => templateOf(workload).spec.containers[0]!;
const containersOf = (pod: Manifest): readonly ContainerSpec[] => (pod.spec as PodTemplate['spec']).containers;
const selectorOf = (workload: Manifest): Labels =>
  (workload.spec as { selector: { matchLabels: Labels } }).selector.matchLabels;

const strategyOf = (deployment: Manifest): Strategy => (deployment.spec as { strategy: Strategy }).strategy;
const rolling = (maxSurge: number, maxUnavailable: number): Strategy => ({
  type: 'RollingUpdate',
  rollingUpdate: { maxSurge, maxUnavailable },
});

function matches({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
  );
}

describe('roles', () => {
  it('combined: one Deployment that does both', async () => {
    const manifests = await render(MINIMAL);
    expect(all(manifests, 'Deployment').map(({ metadata }) => metadata.name)).toEqual(['demo-kafka-temporal-bridge']);
    expect(containerOf(one(manifests, 'Deployment')).args).toEqual(['run', '--role', 'both']);
  });

  it('split: a Deployment for each role, with its own values over the common ones', async () => {
    const manifests = await render({ files: [ciFile('split-values.yaml')] });
    const consumer = one(manifests, 'Deployment', 'demo-kafka-temporal-bridge-consumer');
    const worker = one(manifests, 'Deployment', 'demo-kafka-temporal-bridge-worker');
    expect(containerOf(consumer).args).toEqual(['run', '--role', 'consumer']);
    expect(containerOf(worker).args).toEqual(['run', '--role', 'worker']);
    // Maps are merged: the request stays, the limit is replaced.
    expect(containerOf(consumer)['resources']).toEqual({
      requests: { cpu: '250m', memory: '512Mi' },
      limits: { memory: '512Mi' },
    });
    expect(containerOf(worker)['resources']).toMatchObject({ limits: { memory: '1Gi' } });
    expect(templateOf(worker).spec['nodeSelector']).toEqual({ 'example.com/pool': 'large' });
    expect(templateOf(consumer).spec['nodeSelector']).toBeUndefined();
    expect(consumer.spec).toMatchObject({ replicas: 2 });
    expect(all(manifests, 'HorizontalPodAutoscaler').map(({ metadata }) => metadata.name)).toEqual([
      worker.metadata.name,
    ]);
  });

  it('a role’s value also replaces a common one by false or 0', async () => {
    const manifests = await renderWith({
      deploymentMode: 'split',
      keda: { enabled: true },
      preStopSleepSeconds: 5,
      consumer: { keda: { enabled: false }, replicaCount: 0, preStopSleepSeconds: 0 },
    });
    const consumer = one(manifests, 'Deployment', 'demo-kafka-temporal-bridge-consumer');
    expect(consumer.spec).toMatchObject({ replicas: 0 });
    expect(containerOf(consumer)['lifecycle']).toBeUndefined();
    expect(all(manifests, 'ScaledObject').map(({ metadata }) => metadata.name)).toEqual([
      'demo-kafka-temporal-bridge-worker',
    ]);
  });

  it('a role’s null takes a common value away', async () => {
    const affinity = { nodeAffinity: {} };
    const keys = {
      affinity,
      extraArgs: ['--verbose'],
      podSecurityContext: { runAsUser: 1 },
      resources: { limits: {} },
    };
    const manifests = await renderWith({
      deploymentMode: 'split',
      ...keys,
      keda: { enabled: true },
      consumer: {
        affinity: null,
        extraArgs: null,
        podSecurityContext: { runAsUser: null },
        resources: null,
        preStopSleepSeconds: null,
        livenessProbe: null,
        keda: { fallback: null, behavior: null },
      },
    });
    const nameOf = (role: string): string => `demo-kafka-temporal-bridge-${role}`;
    const consumer = one(manifests, 'Deployment', nameOf('consumer'));
    expect(templateOf(consumer).spec).not.toHaveProperty('affinity');
    expect(templateOf(consumer).spec.securityContext).not.toHaveProperty('runAsUser');
    for (const key of ['resources', 'lifecycle', 'livenessProbe'])
      expect(containerOf(consumer)).not.toHaveProperty(key);
    expect(containerOf(consumer).args).toEqual(['run', '--role', 'consumer']);
    const scaled = one(manifests, 'ScaledObject', nameOf('consumer')).spec as object;
    expect(scaled).not.toHaveProperty('fallback');
    expect(scaled).toMatchObject({
      advanced: { horizontalPodAutoscalerConfig: { name: `${nameOf('consumer')}-keda` } },
    });
    expect(JSON.stringify(scaled)).not.toContain('behavior');
    expect(templateOf(one(manifests, 'Deployment', nameOf('worker'))).spec['affinity']).toEqual(affinity);
    expect(one(manifests, 'ScaledObject', nameOf('worker')).spec).toHaveProperty('fallback');
  });

  it('a role that null has emptied has the values at the top', async () => {
    const roles = await renderWith({ deploymentMode: 'split', consumer: null, worker: null });
    expect(roles).toEqual(await renderWith({ deploymentMode: 'split' }));
  });

  it('an autoscaled Deployment has no number of pods of its own, which an upgrade would set back', async () => {
    for (const autoscaler of ['autoscaling', 'keda']) {
      const manifests = await renderWith({ [autoscaler]: { enabled: true } });
      expect(one(manifests, 'Deployment').spec).not.toHaveProperty('replicas');
    }
  });
});

describe('selectors', () => {
  it.each(CI_VALUES)('every selector finds the pods it is for, and no others: %s', async (name) => {
    const manifests = await render({
      files: [ciFile(name)],
      values: { networkPolicy: { enabled: true }, setup: { enabled: true }, check: { enabled: true } },
    });
    const deployments = all(manifests, 'Deployment');
    const workloads = [...deployments, ...all(manifests, 'Job')].map((workload) => ({
      workload: workload.metadata.name,
      labels: templateOf(workload).metadata.labels,
    }));
    const tests = all(manifests, 'Pod').map(({ metadata }) => ({
      workload: metadata.name,
      labels: metadata.labels ?? {},
    }));
    const pods = [...workloads, ...tests];
    const found = (selector: Selector): string[] =>
      pods.filter(({ labels }) => matches(selector, labels)).map(({ workload }) => workload);
    for (const deployment of deployments) {
      const own = [deployment.metadata.name];
      const spec = (kind: string) => one(manifests, kind, deployment.metadata.name).spec as Record<string, unknown>;
      expect(found({ matchLabels: selectorOf(deployment) })).toEqual(own);
      expect(found({ matchLabels: spec('Service')['selector'] as Labels })).toEqual(own);
      expect(found(spec('PodDisruptionBudget')['selector'] as Selector)).toEqual(own);
      expect(found(spec('NetworkPolicy')['podSelector'] as Selector)).toEqual(own);
      for (const constraint of templateOf(deployment).spec['topologySpreadConstraints'] as {
        labelSelector: Selector;
      }[])
        expect(found(constraint.labelSelector)).toEqual(own);
    }
    const jobs = pods.map(({ workload }) => workload).slice(deployments.length);
    expect(jobs).toHaveLength(3);
    const jobsPolicy = all(manifests, 'NetworkPolicy').find(({ metadata }) => metadata.name.endsWith('-jobs'));
    expect(found((jobsPolicy?.spec as { podSelector: Selector }).podSelector)).toEqual(jobs);
  });

  it.each(['minimal-values.yaml', 'split-values.yaml'])(
    'monitors find the pods of every role, and no Jobs: %s',
    async (name) => {
      const files = [ciFile(name)];
      const byService = await render({
        files,
        values: { serviceMonitor: { enabled: true }, setup: { enabled: true }, check: { enabled: true } },
      });
      const byPod = await render({ files, values: { podMonitor: { enabled: true }, setup: { enabled: true } } });
      const names = all(byPod, 'Deployment').map(({ metadata }) => metadata.name);
      const serviceSelector = (one(byService, 'ServiceMonitor').spec as { selector: Selector }).selector;
      const services = all(byService, 'Service').filter(({ metadata }) =>
        matches(serviceSelector, metadata.labels ?? {}),
      );
      expect(services.map(({ metadata }) => metadata.name)).toEqual(names);
      const podSelector = (one(byPod, 'PodMonitor').spec as { selector: Selector }).selector;
      const workloads = [...all(byPod, 'Deployment'), ...all(byPod, 'Job')];
      const scraped = workloads.filter((workload) => matches(podSelector, templateOf(workload).metadata.labels));
      expect(scraped.map(({ metadata }) => metadata.name)).toEqual(names);
    },
  );

  it('an upgrade of the chart, with other values, keeps the selectors', async () => {
    const chart = await changedChart('Chart.yaml', (text) => text.replace(/^(version|appVersion): .*$/gm, '$1: 9.9.9'));
    const values = {
      image: { tag: 'other' },
      commonLabels: { 'example.com/a': 'b', 'app.kubernetes.io/component': 'other' },
      podLabels: { 'example.com/c': 'd', 'app.kubernetes.io/name': 'other' },
    };
    const before = one(await render(MINIMAL), 'Deployment');
    const after = one(await render({ ...MINIMAL, chart, values }), 'Deployment');
    expect(after.metadata.labels?.['helm.sh/chart']).toBe('kafka-temporal-bridge-9.9.9');
    expect(selectorOf(after)).toEqual(selectorOf(before));
    expect(matches({ matchLabels: selectorOf(after) }, templateOf(after).metadata.labels)).toBe(true);
  });

  it('a new version of the chart alone restarts no pod', async () => {
    const chart = await changedChart('Chart.yaml', (text) => text.replace(/^version: .*$/m, 'version: 9.9.9'));
    const before = one(await render(MINIMAL), 'Deployment');
    const after = one(await render({ ...MINIMAL, chart }), 'Deployment');
    expect(templateOf(after)).toEqual(templateOf(before));
  });
});

describe('pods', () => {
  it('meet the restricted Pod Security Standard, those of Jobs too', async () => {
    const manifests = await renderWith({ setup: { enabled: true }, check: { enabled: true } });
    const workloads = [...all(manifests, 'Deployment'), ...all(manifests, 'Job')].map((workload) =>
      templateOf(workload),
    );
    const pods = [...workloads, ...(all(manifests, 'Pod') as unknown as PodTemplate[])];
    expect(pods).toHaveLength(4);
    for (const { spec } of pods) {
      expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
      for (const key of ['hostNetwork', 'hostPID', 'hostIPC']) expect(spec).not.toHaveProperty(key);
      expect(JSON.stringify(spec)).not.toContain('hostPath');
      expect(spec.containers.map(({ securityContext }) => securityContext)).toEqual([
        { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
      ]);
      expect(spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false });
    }
  });

  it('liveness asks only whether the process answers, readiness whether it works', async () => {
    const container = containerOf(one(await render(MINIMAL), 'Deployment'));
    expect(container['livenessProbe']).toMatchObject({ httpGet: { path: '/livez', port: 'http' } });
    expect(container['startupProbe']).toMatchObject({ httpGet: { path: '/livez', port: 'http' } });
    expect(container['readinessProbe']).toMatchObject({ httpGet: { path: '/readyz', port: 'http' } });
  });

  it('a probe set to null is gone', async () => {
    const container = containerOf(one(await renderWith({ startupProbe: null }), 'Deployment'));
    expect(container).not.toHaveProperty('startupProbe');
    expect(container).toHaveProperty('livenessProbe');
  });

  it.each([
    ['one that nothing scales', {}, { type: 'Recreate' }],
    ['more consumers', { replicaCount: 2 }, rolling(0, 1)],
    ['an autoscaled one', { autoscaling: { enabled: true } }, rolling(1, 0)],
    ['one that KEDA scales', { keda: { enabled: true } }, rolling(1, 0)],
    ['as asked for', { updateStrategy: rolling(2, 0) }, rolling(2, 0)],
    // As Kubernetes does where nothing else is said.
    [
      'as asked for in part',
      { updateStrategy: { rollingUpdate: { maxSurge: 2 } } },
      { type: 'RollingUpdate', rollingUpdate: { maxSurge: 2, maxUnavailable: '25%' } },
    ],
  ])('are replaced so that a rollout ends with a pod that is ready: %s', async (_, values, strategy) => {
    expect(strategyOf(one(await renderWith(values), 'Deployment'))).toEqual(strategy);
  });

  it.each(CI_VALUES)('Helm’s --wait waits for a pod, by its own rule: %s', async (name) => {
    for (const deployment of all(await render({ files: [ciFile(name)] }), 'Deployment')) {
      const { replicas = 1 } = deployment.spec as { replicas?: number };
      const { rollingUpdate } = strategyOf(deployment);
      // Helm's `deploymentReady`: this many pods are enough.
      expect(replicas - (rollingUpdate?.maxUnavailable ?? 0)).toBeGreaterThanOrEqual(1);
    }
  });

  it('a worker’s successor comes before it goes: workers have no rebalances', async () => {
    const manifests = await renderWith({ deploymentMode: 'split' });
    const strategies = all(manifests, 'Deployment').map((deployment) => strategyOf(deployment));
    expect(strategies).toEqual([{ type: 'Recreate' }, rolling(1, 0)]);
  });

  it('a rollout is given more time than setup has', async () => {
    expect(one(await render(MINIMAL), 'Deployment').spec).toMatchObject({ progressDeadlineSeconds: 1200 });
  });

  it('are spread by the labelSelector of a constraint as it stands, else by that of their Deployment', async () => {
    const constraint = { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' };
    const labelSelector = { matchLabels: { 'app.kubernetes.io/part-of': 'kafka-temporal-bridge' } };
    const topologySpreadConstraints = [{ ...constraint, labelSelector }, constraint];
    const deployment = one(await renderWith({ topologySpreadConstraints }), 'Deployment');
    expect(templateOf(deployment).spec['topologySpreadConstraints']).toEqual([
      { ...constraint, labelSelector },
      { ...constraint, labelSelector: { matchLabels: selectorOf(deployment) } },
    ]);
  });

  it('are replaced when the configuration changes, also by a reference to a credential, and only then', async () => {
    const checksum = async (values: object): Promise<string | undefined> =>
      templateOf(one(await renderWith(values), 'Deployment')).metadata.annotations['checksum/config'];
    const before = await checksum({});
    expect(await checksum({ podDisruptionBudget: { enabled: false } })).toBe(before);
    expect(await checksum({ config: { log: { level: 'debug' } } })).not.toBe(before);
    expect(await checksum({ credentials: { clickhouse: { auth: { existingSecret: 'a' } } } })).not.toBe(before);
  });

  it('stay with liveReload where the daemon takes the change by itself, and only there', async () => {
    const pipeline = { topics: ['a'], table: 'a', reply: { topic: 'r' } };
    const checksum = async (changed: object, top: object = {}): Promise<string | undefined> => {
      const config = { ...top, pipelines: { orders: { ...pipeline, ...changed } } };
      const deployment = one(await renderWith({ liveReload: true, config }), 'Deployment');
      return templateOf(deployment).metadata.annotations['checksum/config'];
    };
    const before = await checksum({});
    const live = {
      batch: { maxDelay: '5s' },
      columns: { total: '/sum' },
      insert: { retryFor: '5m' },
      signal: { linger: '1ms' },
      tombstones: 'skip',
      unknownFields: 'reject',
      where: { pointer: '/a', exists: true },
      reply: { topic: 'r', copyHeaders: ['trace'] },
    };
    const keys = settingPaths().flatMap(({ path }) => (classOf(path.split('.')) === 'live' ? path.split('.') : []));
    const named = new Set(keys.filter((_, index) => keys[index - 1] === '<name>' && keys[index - 2] === 'pipelines'));
    expect(Object.keys(live).sort()).toEqual([...named].sort());
    for (const [key, value] of Object.entries(live)) expect(await checksum({ [key]: value }), key).toBe(before);
    expect(await checksum({}, { log: { level: 'debug' } })).toBe(before);
    expect(await checksum({}, { log: { format: 'pretty' } })).not.toBe(before);
    expect(await checksum({ reply: { topic: 'other' } })).not.toBe(before);
    expect(await checksum({ batchers: 3 })).not.toBe(before);
  });

  it('get what extra… and the other usual keys say', async () => {
    const manifests = await render({ files: [ciFile('full-values.yaml')] });
    const { metadata, spec } = templateOf(one(manifests, 'Deployment'));
    const [container, sidecar] = spec.containers;
    expect(metadata.labels).toMatchObject({ 'example.com/team': 'data', 'example.com/cost-center': '42' });
    expect(metadata.annotations).toMatchObject({ 'example.com/rendered': 'demo', 'example.com/owner': 'data' });
    expect(spec).toMatchObject({
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'dedicated' }],
      priorityClassName: 'high',
      runtimeClassName: 'gvisor',
      schedulerName: 'default-scheduler',
      dnsPolicy: 'ClusterFirst',
      dnsConfig: { options: [{ name: 'ndots', value: '2' }] },
      hostAliases: [{ ip: '10.0.0.1' }],
      terminationGracePeriodSeconds: 120,
      initContainers: [{ name: 'wait', args: ['demo-kafka'] }],
    });
    expect(JSON.stringify(spec['affinity'])).toContain('"app.kubernetes.io/instance":"demo"');
    expect(container?.['env']).toContainEqual({ name: 'BATCHERS', value: '16' });
    expect(container?.['envFrom']).toEqual([{ secretRef: { name: 'more', optional: true } }]);
    expect(container?.['volumeMounts']).toContainEqual({ name: 'vault', mountPath: '/var/run/vault', readOnly: true });
    expect(spec['volumes']).toContainEqual({ name: 'vault', emptyDir: { medium: 'Memory' } });
    expect(sidecar?.name).toBe('sidecar');
    expect(one(manifests, 'ConfigMap', 'demo-more').data).toEqual({ key: 'value' });
    expect(one(manifests, 'Secret', 'demo-more')).toMatchObject({ stringData: { key: 'value' } });
  });
});

describe('image', () => {
  const imageOf = async (values: object): Promise<string> =>
    containerOf(one(await renderWith(values), 'Deployment')).image;

  it('has the version of the application, unless a tag or a digest is given', async () => {
    expect(await imageOf({})).toBe('kafka-temporal-bridge:0.2.0');
    expect(await imageOf({ image: { tag: '1' } })).toBe('kafka-temporal-bridge:1');
    const digest = `sha256:${'a'.repeat(64)}`;
    expect(await imageOf({ image: { registry: 'example.com', tag: '1', digest } })).toBe(
      `example.com/kafka-temporal-bridge@${digest}`,
    );
  });

  it('the chart’s version of the application is the package’s', async () => {
    const { version } = JSON.parse(await readFile(join(CHART, '../../../package.json'), 'utf8')) as { version: string };
    expect(await imageOf({})).toBe(`kafka-temporal-bridge:${version}`);
  });
});

describe('Jobs', () => {
  it('setup is off by default, and runs `ktb setup` with what it is told', async () => {
    expect(namesOf(await render(MINIMAL)).filter((name) => name.includes('setup'))).toEqual([]);
    const job = async (setup: object): Promise<Manifest> => {
      const jobs = all(await renderWith({ setup: { enabled: true, ...setup } }), 'Job');
      return jobs.find(({ metadata }) => metadata.name.includes('setup'))!;
    };
    expect(containerOf(await job({})).args).toEqual(['setup', '--partitions', '8']);
    const told = await job({ partitions: 12, fromSample: 1000, dryRun: true });
    expect(containerOf(told).args).toEqual(['setup', '--partitions', '12', '--from-sample', '1000', '--dry-run']);
    // A hook after the installation would wait for pods that wait for their topics.
    expect(told.metadata.annotations).toBeUndefined();
  });

  it('setup is another Job when anything of it changes, since a Job cannot be changed', async () => {
    const nameOf = async (values: object): Promise<string> => {
      const manifests = await renderWith({ setup: { enabled: true }, ...values });
      return all(manifests, 'Job').find(({ metadata }) => metadata.name.includes('setup'))!.metadata.name;
    };
    const names = await Promise.all(
      [
        {},
        { config: { log: { level: 'debug' } } },
        { image: { tag: '2' } },
        { setup: { enabled: true, partitions: 3 } },
        { setup: { enabled: true, backoffLimit: 3 } },
        { setup: { enabled: true, podLabels: { 'example.com/a': 'b' } } },
        { commonLabels: { 'example.com/c': 'd' } },
        { setup: { enabled: true, podAnnotations: { 'example.com/e': 'f' } } },
        { setup: { enabled: true, ttlSecondsAfterFinished: null } },
      ].map(nameOf),
    );
    expect(new Set(names).size).toBe(names.length);
    for (const values of [{ replicaCount: 5 }, { podLabels: { a: 'b' } }, { podAnnotations: { c: 'd' } }])
      expect(await nameOf(values)).toBe(names[0]);
  });

  it('go away by themselves, unless they are told to stay', async () => {
    const job = async (setup: object): Promise<Manifest> =>
      one(await renderWith({ setup: { enabled: true, ...setup } }), 'Job');
    expect((await job({})).spec).toMatchObject({ ttlSecondsAfterFinished: 86_400 });
    expect((await job({ ttlSecondsAfterFinished: null })).spec).not.toHaveProperty('ttlSecondsAfterFinished');
  });

  it('setup may have credentials of its own, which the daemon does not get', async () => {
    const credentials = (name: string): object => ({
      clickhouse: { auth: { existingSecret: name } },
      kafka: { tls: { client: { existingSecret: name } } },
    });
    const values = { credentials: credentials('daemon'), config: { clickhouse: { url: 'https://clickhouse:8443' } } };
    const manifests = await renderWith({ ...values, setup: { enabled: true, credentials: credentials('admin') } });
    const daemon = JSON.stringify(one(manifests, 'Deployment'));
    const setup = JSON.stringify(one(manifests, 'Job'));
    expect(daemon).not.toContain('"admin"');
    expect(setup).not.toContain('"daemon"');
    const inConfigMap = one(manifests, 'ConfigMap').data;
    expect(inConfigMap).toEqual(one(await renderWith(values), 'ConfigMap').data);
    expect(setup.match(/"name":"admin"/g)).toHaveLength(3);
  });

  it('setup may have a CA of its own in a ConfigMap where the daemon’s is in a Secret, and the other way round', async () => {
    const ca = (existingSecret: string, existingConfigMap: string): object => ({
      kafka: { tls: { ca: { existingSecret, existingConfigMap } } },
    });
    const secret = { secret: { name: 'a', items: [{ key: 'ca.crt', path: 'ca.crt' }] } };
    const configMap = { configMap: { name: 'b', items: [{ key: 'ca.crt', path: 'ca.crt' }] } };
    const sourceOf = (workload: Manifest): unknown =>
      (templateOf(workload).spec['volumes'] as { name: string; projected?: { sources: object[] } }[]).find(
        ({ name }) => name === 'kafka-tls',
      )?.projected?.sources;
    for (const [top, own, expected] of [
      [ca('a', ''), { kafka: { tls: { ca: { existingConfigMap: 'b' } } } }, [secret, configMap]],
      [ca('', 'b'), { kafka: { tls: { ca: { existingSecret: 'a' } } } }, [configMap, secret]],
    ] as const) {
      const manifests = await renderWith({ credentials: top, setup: { enabled: true, credentials: own } });
      const workloads = [one(manifests, 'Deployment'), one(manifests, 'Job')];
      expect(workloads.map((workload) => sourceOf(workload))).toEqual(expected.map((source) => [source]));
    }
  });

  it('check is off by default, and runs `ktb check` anew for each configuration', async () => {
    expect(namesOf(await render(MINIMAL)).filter((name) => name.includes('check'))).toEqual([]);
    const job = async (values: object): Promise<Manifest> => {
      const jobs = all(await renderWith({ check: { enabled: true }, ...values }), 'Job');
      return jobs.find(({ metadata }) => metadata.name.includes('check'))!;
    };
    const usual = await job({});
    expect(containerOf(usual).args).toEqual(['check']);
    expect(usual.metadata.annotations).toBeUndefined();
    expect(usual.spec).toMatchObject({ backoffLimit: 6, activeDeadlineSeconds: 900 });
    expect((await job({ config: { log: { level: 'debug' } } })).metadata.name).not.toBe(usual.metadata.name);
    expect((await job({ replicaCount: 5 })).metadata.name).toBe(usual.metadata.name);
  });

  it('helm test is a pod that runs `ktb status`', async () => {
    const pod = one(await render(MINIMAL), 'Pod');
    expect(pod.metadata.annotations).toEqual({
      'helm.sh/hook': 'test',
      'helm.sh/hook-delete-policy': 'before-hook-creation',
    });
    expect(containersOf(pod)[0]?.args).toEqual(['status']);
    expect(pod.spec).toMatchObject({ restartPolicy: 'Never', activeDeadlineSeconds: 120 });
    expect(all(await renderWith({ tests: { enabled: false } }), 'Pod')).toEqual([]);
  });

  it('nothing that cannot be changed keeps its name when it changes: `kubectl apply` of another rendering works', async () => {
    const on = { enabled: true };
    const images = ['1', '2'].map((tag) => ({ setup: on, check: on, image: { tag } }));
    const [before = [], after = []] = await Promise.all(images.map((values) => renderWith(values)));
    const unchangeable = (manifests: readonly Manifest[]): string[] =>
      namesOf([...all(manifests, 'Job'), ...all(manifests, 'Pod')]);
    expect(unchangeable(before)).toHaveLength(3);
    expect(unchangeable(after).filter((name) => unchangeable(before).includes(name))).toEqual([]);
  });
});

describe('as a subchart', () => {
  it('takes its own values from its name, and shares those of global', async () => {
    const parent = await mkdtemp(join(tmpdir(), 'ktb-parent-'));
    onTestFinished(() => rm(parent, { recursive: true }));
    await cp(CHART, join(parent, 'charts/kafka-temporal-bridge'), { recursive: true });
    const chart = {
      apiVersion: 'v2',
      name: 'parent',
      version: '1.0.0',
      dependencies: [{ name: 'kafka-temporal-bridge', version: '0.2.0', condition: 'kafka-temporal-bridge.enabled' }],
    };
    await writeFile(join(parent, 'Chart.yaml'), JSON.stringify(chart));
    const values = {
      global: { imageRegistry: 'registry.example.com', imagePullSecrets: ['a', { name: 'b' }], storageClass: 'fast' },
      'kafka-temporal-bridge': {
        enabled: true,
        imagePullSecrets: ['b'],
        config: {
          kafka: { brokers: ['{{ .Release.Name }}-kafka:9092'] },
          temporal: { address: 'temporal:7233' },
          clickhouse: { url: 'http://clickhouse:8123' },
          pipelines: { orders: { topics: ['orders'], table: 'orders' } },
        },
      },
    };
    const manifests = await render({ chart: parent, values });
    const deployment = one(manifests, 'Deployment');
    expect(containerOf(deployment).image).toBe('registry.example.com/kafka-temporal-bridge:0.2.0');
    expect(templateOf(deployment).spec['imagePullSecrets']).toEqual([{ name: 'a' }, { name: 'b' }]);
    expect(one(manifests, 'ConfigMap').data?.['ktb.yaml']).toContain('demo-kafka:9092');
    const off = { ...values, 'kafka-temporal-bridge': { ...values['kafka-temporal-bridge'], enabled: false } };
    expect(await render({ chart: parent, values: off })).toEqual([]);
  });
});

it('every workload gives a command and options that the daemon’s command line has', async () => {
  const setup = { enabled: true, fromSample: 1000, dryRun: true };
  const manifests = (
    await Promise.all(['combined', 'split'].map((deploymentMode) => renderWith({ deploymentMode, setup })))
  ).flat();
  const containers = [
    ...[...all(manifests, 'Deployment'), ...all(manifests, 'Job')].map((workload) => containerOf(workload)),
    ...all(manifests, 'Pod').flatMap((pod) => containersOf(pod)),
  ];
  const commands = containers.map(({ args }) => args);
  const distinct = [...new Map(commands.map((args) => [args.join(' '), args])).values()];
  expect(distinct).toHaveLength(5);
  const cli = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
  for (const args of distinct) {
    // It reads its configuration once it has understood its command line.
    const ended = run(process.execPath, ['--import', 'tsx', cli, ...args], {
      env: { KTB_CONFIG: '/nowhere/ktb.yaml' },
    });
    await expect(ended).rejects.toThrow('the configuration file /nowhere/ktb.yaml does not exist');
  }
});

it('a service account of one’s own is used and not made', async () => {
  const manifests = await renderWith({ serviceAccount: { create: false, name: 'mine' } });
  expect(all(manifests, 'ServiceAccount')).toEqual([]);
  expect(templateOf(one(manifests, 'Deployment')).spec['serviceAccountName']).toBe('mine');
});

it.each(['a'.repeat(53), 'orders.v2'])(
  'names of any release stay within what Kubernetes allows: %s',
  async (release) => {
    const enabled = { enabled: true };
    const values = { deploymentMode: 'split', setup: enabled, check: enabled, networkPolicy: enabled, keda: enabled };
    const manifests = await render({ ...MINIMAL, values, release });
    for (const { metadata } of manifests) expect(metadata.name).toMatch(/^[a-z][-a-z0-9]{0,62}$/);
    const scaled = all(manifests, 'ScaledObject').map(({ spec }) => spec as ScaledObjectSpec);
    expect(scaled).toHaveLength(2);
    for (const { advanced } of scaled)
      expect(advanced.horizontalPodAutoscalerConfig.name).toMatch(/^[a-z][-a-z0-9]{0,62}$/);
  },
);

it('two long names that begin alike stay two', async () => {
  const nameOf = async (release: string): Promise<string> =>
    one(await render({ ...MINIMAL, release }), 'Deployment').metadata.name;
  const long = 'a'.repeat(50);
  expect(await nameOf(`${long}-b`)).not.toBe(await nameOf(`${long}-c`));
});

it('names that YAML takes for something else stay names', async () => {
  const values = { fullnameOverride: 'null', autoscaling: { enabled: true } };
  const scaler = one(await renderWith(values), 'HorizontalPodAutoscaler').spec as { scaleTargetRef: object };
  expect(scaler.scaleTargetRef).toMatchObject({ name: 'null' });
  const scaled = one(await renderWith({ fullnameOverride: 'true', keda: { enabled: true } }), 'ScaledObject');
  expect(scaled.spec).toMatchObject({ scaleTargetRef: { name: 'true' } });
});

it('a version with a + in it is a tag and a label all the same', async () => {
  const chart = await changedChart('Chart.yaml', (text) =>
    text.replace(/^(version|appVersion): .*$/gm, '$1: 1.2.3+build.4'),
  );
  const deployment = one(await render({ ...MINIMAL, chart }), 'Deployment');
  expect(containerOf(deployment).image).toBe('kafka-temporal-bridge:1.2.3_build.4');
  expect(deployment.metadata.labels?.['app.kubernetes.io/version']).toBe('1.2.3_build.4');
});

it('a volume of one’s own called tmp takes the place of the chart’s', async () => {
  const tmp = { name: 'tmp', emptyDir: { medium: 'Memory' } };
  const { spec } = templateOf(one(await renderWith({ extraVolumes: [tmp] }), 'Deployment'));
  expect((spec['volumes'] as { name: string }[]).filter(({ name }) => name === 'tmp')).toEqual([tmp]);
  const mounts = spec.containers[0]?.['volumeMounts'] as { mountPath: string }[];
  expect(mounts.filter(({ mountPath }) => mountPath === '/tmp')).toHaveLength(1);
});

it.each(['autoscaling', 'keda', 'podDisruptionBudget'])(
  'a section that null takes away is off: %s',
  async (section) => {
    const rendered = await renderWith({ [section]: null });
    expect(rendered).toEqual(await renderWith({ [section]: { enabled: false } }));
  },
);

it('a configuration from a ConfigMap of one’s own is mounted in the place of the chart’s', async () => {
  const config = { kafka: null, temporal: null, clickhouse: null, pipelines: null };
  const manifests = await renderWith({ config, existingConfigMap: 'mine', existingConfigMapKey: 'bridge.yaml' });
  expect(all(manifests, 'ConfigMap')).toEqual([]);
  expect(templateOf(one(manifests, 'Deployment')).spec['volumes']).toContainEqual({
    name: 'config',
    configMap: { name: 'mine', items: [{ key: 'bridge.yaml', path: 'ktb.yaml' }] },
  });
});

it('arguments, lifecycle, families of addresses and more of a monitor are taken as they are given', async () => {
  const lifecycle = { preStop: { exec: { command: ['true'] } } };
  const extraSpec = { sampleLimit: 5_000, targetLabels: ['team'] };
  const manifests = await renderWith({
    args: ['status', '--watch'],
    lifecycle,
    service: { ipFamilyPolicy: 'PreferDualStack', ipFamilies: ['IPv6', 'IPv4'] },
    serviceMonitor: { enabled: true, extraSpec, extraEndpoint: { honorLabels: true } },
  });
  expect(containerOf(one(manifests, 'Deployment'))).toMatchObject({ args: ['status', '--watch'], lifecycle });
  expect(one(manifests, 'Service').spec).toMatchObject({
    ipFamilies: ['IPv6', 'IPv4'],
    ipFamilyPolicy: 'PreferDualStack',
  });
  expect(one(manifests, 'ServiceMonitor').spec).toMatchObject({
    ...extraSpec,
    targetLabels: ['app.kubernetes.io/instance', 'team'],
    endpoints: [{ honorLabels: true }],
  });
});

it('two releases can have rules, monitors and dashboards in one namespace', async () => {
  const shared = { enabled: true, namespace: 'monitoring' };
  const values = { podMonitor: shared, prometheusRule: shared, dashboard: shared };
  const [one, other] = await Promise.all(
    ['apps', 'others'].map(async (namespaceOverride) => {
      const manifests = await renderWith({ ...values, namespaceOverride });
      return manifests.filter(({ metadata }) => metadata.namespace === 'monitoring');
    }),
  );
  expect(one).toHaveLength(3);
  expect(namesOf(one ?? []).filter((name) => namesOf(other ?? []).includes(name))).toEqual([]);
  const dashboardOf = (manifests: readonly Manifest[]): [string, { uid: string; title: string }] => {
    const [[key, text] = ['', '{}']] = Object.entries(manifests.find(({ kind }) => kind === 'ConfigMap')?.data ?? {});
    return [key, JSON.parse(text) as { uid: string; title: string }];
  };
  const [[key, { uid, title }], [otherKey, otherDashboard]] = [dashboardOf(one ?? []), dashboardOf(other ?? [])];
  expect(otherKey).not.toBe(key);
  expect(otherDashboard.uid).not.toBe(uid);
  expect(otherDashboard.title).not.toBe(title);
});
