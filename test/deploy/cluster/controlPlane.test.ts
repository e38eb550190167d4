import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { reportProgress } from '../../../stack/progress.js';
import { KUBERNETES } from '../../../stack/kubernetes/binaries.js';
import { VERSIONS } from '../../../stack/versions.js';
import { startControlPlane, type ControlPlane } from '../../../stack/kubernetes/controlPlane.js';
import { CHART, CI_VALUES, ciFile, renderText, run } from '../support/chart.js';
import { CRDS } from '../support/schemas.js';
import { DEPLOY_TOOLS } from '../support/tools.js';

/** Building Kubernetes takes minutes, where no cache has it. */
const START_WITHIN_MS = 1_500_000;
const RELEASE_WITHIN_MS = 240_000;
const RELEASE = 'demo';
const MINIMAL = ['--values', ciFile('minimal-values.yaml')];
const TEST_PODS = ['--selector', 'app.kubernetes.io/component=test', '--output', 'name'];

interface Deployment {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly replicas: number };
  readonly status: { readonly readyReplicas?: number };
}

let controlPlane: ControlPlane;
let directory: string;

const kubectl = (args: readonly string[], input?: string): Promise<string> =>
  run(KUBERNETES.kubectl, ['--kubeconfig', controlPlane.kubeconfig, ...args], input === undefined ? {} : { input });

/** Objects that values name and that have to be there: the API server refuses pods without them. */
const NEEDED = [
  { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: 'gvisor' }, handler: 'runsc' },
  { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'high' }, value: 1000 },
  ...['ingestion', 'monitoring'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })),
];

/** What the restricted standard and a quota leave. */
const RESTRICTED = (name: string): object[] => [
  {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  },
  {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'quota', namespace: name },
    spec: { hard: { 'requests.memory': '4Gi', 'limits.memory': '8Gi', pods: '8' } },
  },
];

const apply = (objects: readonly object[]): Promise<string> =>
  kubectl(['apply', '--filename', '-'], objects.map((object) => stringify(object)).join('---\n'));

/** Sets the number of pods as an autoscaler does. */
const autoscale = (namespace: string, replicas: number): Promise<string> =>
  kubectl([
    ...['patch', 'deployment', 'demo-kafka-temporal-bridge', '--namespace', namespace, '--subresource', 'scale'],
    ...['--field-manager', 'kube-controller-manager', '--type', 'merge'],
    ...['--patch', JSON.stringify({ spec: { replicas } })],
  ]);

async function replicasIn(namespace: string): Promise<number[]> {
  return (await deploymentsOf(namespace)).map(({ spec }) => spec.replicas);
}

async function deploymentsOf(namespace: string): Promise<readonly Deployment[]> {
  const answer = await kubectl(['get', 'deployments', '--namespace', namespace, '--output', 'json']);
  return (JSON.parse(answer) as { items: Deployment[] }).items;
}

/** The state of a socket that listens, as Linux numbers them. */
const LISTENS = '0A';

/** 127.0.0.0/8 as Linux prints it, also as an IPv6 address, and ::1. */
const LOOPBACK = /^(0{16}FFFF0000)?[0-9A-F]{6}7F$|^0{24}01000000$/;

/** Where the processes that work below a folder listen, as /proc/net/tcp prints addresses. */
async function listeningAddresses(folder: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const none = (): string => '';
  const sockets = new Set<string>();
  for (const pid of pids) {
    if (!(await readlink(`/proc/${pid}/cwd`).catch(none)).startsWith(folder)) continue;
    for (const fd of await readdir(`/proc/${pid}/fd`)) sockets.add(await readlink(`/proc/${pid}/fd/${fd}`).catch(none));
  }
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => readFile(`/proc/net/${table}`, 'utf8').catch(none)));
  return tables
    .join('\n')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTENS && sockets.has(`socket:[${inode}]`))
    .map(([, local]) => local?.split(':')[0] ?? '');
}

beforeAll(async () => {
  const reporter = reportProgress();
  try {
    controlPlane = await startControlPlane({ onProgress: reporter.onProgress });
  } finally {
    reporter.close();
  }
  directory = await mkdtemp(join(tmpdir(), 'ktb-control-plane-'));
  await kubectl(['apply', '--server-side', '--filename', join(DEPLOY_TOOLS.schemas, CRDS)]);
  await apply(NEEDED);
  // What a nodeSelector of the values asks for.
  await kubectl(['label', 'nodes', '--all', 'example.com/pool=large']);
}, START_WITHIN_MS);

afterAll(async () => {
  await controlPlane.stop();
  await rm(directory, { recursive: true });
});

describe.each([
  ['3', DEPLOY_TOOLS.helm, '--atomic'],
  ['4', DEPLOY_TOOLS.helm4, '--rollback-on-failure'],
])('Helm %s', (version, executable, rollBack) => {
  const helm = (namespace: string, args: readonly string[]): Promise<string> =>
    run(executable, [...args, '--namespace', namespace, '--kubeconfig', controlPlane.kubeconfig]);
  const namespaceFor = (what: string): string => `helm${version}-${what.replace(/-values\.yaml$/, '')}`;
  const waiting = ['--wait', '--timeout', '120s'];

  it.concurrent.each(CI_VALUES)(
    'installs, upgrades, rolls back, tests and uninstalls: %s',
    async (name) => {
      const namespace = namespaceFor(name);
      const values = ['--values', ciFile(name)];
      const isElsewhere = name === 'full-values.yaml';
      const ready = async (): Promise<void> => {
        const deployments = await deploymentsOf(isElsewhere ? 'ingestion' : namespace);
        expect(deployments.length).toBeGreaterThan(0);
        for (const { status } of deployments) expect(status.readyReplicas).toBeGreaterThan(0);
      };
      await helm(namespace, ['install', RELEASE, CHART, ...values, '--create-namespace', ...waiting]);
      await ready();
      const other = ['--set', 'config.log.level=debug', '--set', 'commonLabels.example=other'];
      await helm(namespace, ['upgrade', RELEASE, CHART, ...values, ...other, ...waiting]);
      await ready();
      await helm(namespace, ['rollback', RELEASE, '1', ...waiting]);
      await ready();
      // Helm looks for the logs in the release's own namespace only.
      const tested = await helm(namespace, ['test', RELEASE, '--timeout', '60s', ...(isElsewhere ? [] : ['--logs'])]);
      expect(tested).toMatch(/Phase:\s+Succeeded/);
      if (!isElsewhere) expect(tested).toMatch(/POD LOGS: [^]*played by kwok/);
      // Helm 3 would remove the pod before it reads the logs.
      const inNamespace = ['--namespace', isElsewhere ? 'ingestion' : namespace];
      const remaining = (await kubectl(['get', 'pods', ...inNamespace, ...TEST_PODS])).trim();
      expect(remaining).toMatch(version === '3' ? /^pod\/\S+$/ : /^$/);
      if (version === '3') await kubectl(['delete', ...remaining.split('\n'), ...inNamespace]);
      await helm(namespace, ['uninstall', RELEASE, ...waiting]);
      expect(await deploymentsOf(isElsewhere ? 'ingestion' : namespace)).toEqual([]);
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent(
    'an installation whose pods never become ready fails, and is taken back where that is asked for',
    async () => {
      const namespace = namespaceFor('never');
      const nowhere = [...MINIMAL, '--set', 'nodeSelector.nowhere=there', '--wait', '--timeout', '15s'];
      const install = ['install', RELEASE, CHART, '--create-namespace', ...nowhere];
      await expect(helm(namespace, install)).rejects.toThrow(/timed out|not ready|deadline exceeded/);
      await helm(namespace, ['uninstall', RELEASE]);
      await expect(helm(namespace, [...install, rollBack])).rejects.toThrow(/timed out|not ready|deadline exceeded/);
      await expect(helm(namespace, ['status', RELEASE])).rejects.toThrow('not found');
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent(
    'two releases live in one restricted namespace with a quota, and setup, check and test beside them',
    async () => {
      const namespace = namespaceFor('restricted');
      await apply(RESTRICTED(namespace));
      const jobs = ['--set', 'setup.enabled=true', '--set', 'check.enabled=true', '--wait-for-jobs'];
      for (const release of ['one', 'two'])
        await helm(namespace, ['install', release, CHART, ...MINIMAL, ...jobs, ...waiting]);
      for (const release of ['one', 'two']) await helm(namespace, ['test', release, '--timeout', '60s']);
      const deployments = await deploymentsOf(namespace);
      expect(deployments.map(({ status }) => status.readyReplicas)).toEqual([1, 1]);
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent(
    'an autoscaler that is turned on finds the pods that there were',
    async () => {
      const namespace = namespaceFor('autoscaler');
      const upgrade = ['upgrade', RELEASE, CHART, ...MINIMAL, ...waiting];
      await helm(namespace, [...upgrade, '--install', '--create-namespace', '--set', 'replicaCount=3']);
      await helm(namespace, [...upgrade, '--set', 'keda.enabled=true']);
      expect(await replicasIn(namespace)).toEqual([3]);
      for (const replicas of [4, 5]) {
        await autoscale(namespace, replicas);
        await helm(namespace, [...upgrade, '--set', 'keda.enabled=true', '--set', `commonLabels.n=n${replicas}`]);
        expect(await replicasIn(namespace)).toEqual([replicas]);
      }
      // A revision has the number that there was, so that a rollback does not go down to one pod. The README says so.
      const rollBackTo3 = ['rollback', RELEASE, '3', ...waiting];
      if (version === '4') {
        await expect(helm(namespace, rollBackTo3)).rejects.toThrow(/conflict.*\.spec\.replicas/s);
        rollBackTo3.push('--force-conflicts');
      }
      await helm(namespace, rollBackTo3);
      expect(await replicasIn(namespace)).toEqual([4]);
      // From one autoscaler to the other: KEDA's own HPA has another name than the chart's.
      await helm(namespace, [...upgrade, '--set', 'autoscaling.enabled=true']);
      expect(await replicasIn(namespace)).toEqual([4]);
      const autoscalers = await kubectl(['get', 'hpa,scaledobject', '--namespace', namespace, '--output', 'name']);
      expect(autoscalers.trim()).toBe('horizontalpodautoscaler.autoscaling/demo-kafka-temporal-bridge');
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent.each(['autoscaling', 'keda'])(
    'a release that was installed with an autoscaler is rolled back without a change of its number of pods: %s',
    async (autoscaler) => {
      const namespace = namespaceFor(`rolled-back-${autoscaler}`);
      const upgrade = ['upgrade', RELEASE, CHART, ...MINIMAL, ...waiting, '--set', `${autoscaler}.enabled=true`];
      await helm(namespace, [...upgrade, '--install', '--create-namespace']);
      await autoscale(namespace, 3);
      await helm(namespace, [...upgrade, '--set', 'config.log.level=debug']);
      expect(await replicasIn(namespace)).toEqual([3]);
      await autoscale(namespace, 4);
      for (const revision of ['1', '2']) {
        await helm(namespace, ['rollback', RELEASE, revision, ...waiting]);
        expect(await replicasIn(namespace)).toEqual([4]);
      }
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent(
    'after `kubectl scale` an upgrade does what the README says',
    async () => {
      const namespace = namespaceFor('scaled');
      const upgrade = ['upgrade', RELEASE, CHART, ...MINIMAL, ...waiting];
      await helm(namespace, [...upgrade, '--install', '--create-namespace']);
      const scale = ['scale', 'deployment/demo-kafka-temporal-bridge', '--replicas', '2', '--namespace', namespace];
      await kubectl(scale);
      const upgraded = helm(namespace, [...upgrade, '--set', 'config.log.level=debug']);
      if (version === '3') {
        await upgraded;
      } else {
        await expect(upgraded).rejects.toThrow(/conflict with "kubectl".*\.spec\.replicas/s);
        await helm(namespace, [...upgrade, '--set', 'config.log.level=debug', '--force-conflicts']);
        expect(await replicasIn(namespace)).toEqual([1]);
      }
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent(
    'whoever may edit one namespace, and knows nothing of KEDA, can install and turn an autoscaler on',
    async () => {
      const namespace = namespaceFor('editor');
      await kubectl(['create', 'namespace', namespace]);
      const rights = ['create', 'rolebinding', 'editor', '--clusterrole', 'edit', '--user', 'editor'];
      await kubectl([...rights, '--namespace', namespace]);
      const upgrade = ['upgrade', RELEASE, CHART, ...MINIMAL, ...waiting, '--kube-as-user', 'editor'];
      await helm(namespace, [...upgrade, '--install', '--set', 'replicaCount=2']);
      for (const level of ['info', 'debug']) {
        await helm(namespace, [...upgrade, '--set', 'autoscaling.enabled=true', '--set', `config.log.level=${level}`]);
        expect(await replicasIn(namespace)).toEqual([2]);
      }
    },
    RELEASE_WITHIN_MS,
  );

  it.concurrent(
    'a strategy of one’s own is followed by the chart’s again',
    async () => {
      const namespace = namespaceFor('strategy');
      const upgrade = ['upgrade', RELEASE, CHART, ...MINIMAL, ...waiting];
      const own = ['--set', 'updateStrategy.type=RollingUpdate'];
      await helm(namespace, [...upgrade, ...own, '--install', '--create-namespace']);
      await helm(namespace, upgrade);
      const type = ['--output', 'jsonpath={.items[*].spec.strategy.type}'];
      expect(await kubectl(['get', 'deployments', '--namespace', namespace, ...type])).toBe('Recreate');
    },
    RELEASE_WITHIN_MS,
  );
});

it.concurrent.each(CI_VALUES)('both Helms render the same: %s', async (name) => {
  const args = ['template', RELEASE, CHART, '--values', ciFile(name), '--kube-version', VERSIONS.kubernetes];
  const [third, fourth] = await Promise.all([DEPLOY_TOOLS.helm, DEPLOY_TOOLS.helm4].map((path) => run(path, args)));
  // Helm 4 sets blank lines between its documents, and may remove the pod of the test.
  const plain = (text = ''): string => text.replaceAll(/\n+/g, '\n').replace(',hook-succeeded', '');
  expect(plain(fourth)).toBe(plain(third));
});

it(
  'what the README shows for one machine can be applied and installed',
  async () => {
    const kind = fileURLToPath(new URL('../../../deploy/helm/kind/', import.meta.url));
    const [namespace, file] = ['kind', join(kind, 'services.yaml')];
    await kubectl(['create', 'namespace', namespace]);
    await kubectl(['apply', '--filename', file, '--namespace', namespace]);
    const release = ['--namespace', namespace, '--kubeconfig', controlPlane.kubeconfig, '--wait', '--timeout', '120s'];
    await run(DEPLOY_TOOLS.helm4, ['install', RELEASE, CHART, '--values', join(kind, 'values.yaml'), ...release]);
    const names = (await deploymentsOf(namespace)).map(({ metadata }) => metadata.name);
    expect(names).toEqual(['clickhouse', 'demo-kafka-temporal-bridge', 'kafka', 'temporal']);
  },
  RELEASE_WITHIN_MS,
);

it.runIf(process.platform === 'linux')('listens on loopback addresses only', async () => {
  const addresses = await listeningAddresses(dirname(controlPlane.kubeconfig));
  expect(addresses.length).toBeGreaterThanOrEqual(6);
  for (const address of addresses) expect(address).toMatch(LOOPBACK);
});

it(
  'one rendering after the other can be applied without Helm',
  async () => {
    const namespace = 'applied';
    const name = 'demo-kafka-temporal-bridge';
    await kubectl(['create', 'namespace', namespace]);
    const readme = await readFile(join(CHART, 'README.md'), 'utf8');
    const kinds = readme.match(/--prune-allowlist=\S+/g) ?? [];
    expect(kinds).toHaveLength(8);
    const prune = [
      '--namespace',
      namespace,
      '--prune',
      '--selector',
      `app.kubernetes.io/instance=${RELEASE}`,
      ...kinds,
    ];
    const on = { enabled: true };
    const applyWith = async (values: object): Promise<string[]> => {
      const file = join(directory, 'applied.yaml');
      const all = { namespaceOverride: namespace, setup: on, check: on, ...values };
      await writeFile(file, await renderText({ files: [ciFile('minimal-values.yaml')], values: all }));
      await kubectl(['apply', '--filename', file, ...prune]);
      const rollout = ['rollout', 'status', `deployment/${name}`, '--timeout', '60s', '--namespace', namespace];
      expect(await kubectl(rollout)).toContain('successfully rolled out');
      const kindsThere = ['get', 'networkpolicies,hpa,configmaps,serviceaccounts', '--namespace', namespace];
      return (await kubectl([...kindsThere, '--output', 'name'])).match(/(?<=\/)demo\S*/g) ?? [];
    };
    const jobs = `${name}-jobs`;
    expect(await applyWith({ replicaCount: 2, networkPolicy: on })).toEqual([name, jobs, name, name]);
    // As the README has it, before an autoscaler is turned on.
    const lastApplied = [
      'apply',
      'view-last-applied',
      `deployment/${name}`,
      '--namespace',
      namespace,
      '--output',
      'yaml',
    ];
    const withoutReplicas = (await kubectl(lastApplied)).replace(/^ {2}replicas:.*\n/m, '');
    await kubectl(['apply', 'set-last-applied', '--namespace', namespace, '--filename', '-'], withoutReplicas);
    expect(await applyWith({ autoscaling: on, config: { log: { level: 'debug' } } })).toEqual([name, name, name]);
    expect(await replicasIn(namespace)).toEqual([2]);
    expect(await applyWith({})).toEqual([name, name]);
  },
  RELEASE_WITHIN_MS,
);
