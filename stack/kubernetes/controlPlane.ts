import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { onFreePorts, type NativeContext } from '../native/context.js';
import { NativePart } from '../native/part.js';
import { HOST } from '../ports.js';
import { ensureTools } from '../prerequisites.js';
import { mustAccept } from '../probes.js';
import { commandOutput, Watchdog } from '../processes.js';
import { Progress, type StackEvent } from '../progress.js';
import { StackError } from '../stack.js';
import { ensureKubernetes, KUBERNETES } from './binaries.js';

const START_WITHIN_MS = 120_000;
const STOP_WITHIN_MS = 5_000;
const PROBE_WITHIN_MS = 2_000;
const NODES = 3;

/** A Kubernetes control plane that runs. */
export interface ControlPlane {
  /** Of a user who may do everything. */
  readonly kubeconfig: string;
  /** Ends everything and removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts etcd, API server, controllers and scheduler, and kwok, which plays the nodes: pods become ready, and those of Jobs
 * end, without a container. All of it listens on loopback only.
 *
 * @throws StackError PREREQUISITE, SET_UP, START
 */
export async function startControlPlane({
  onProgress,
  signal = new AbortController().signal,
}: {
  readonly onProgress?: (event: StackEvent) => void;
  readonly signal?: AbortSignal;
} = {}): Promise<ControlPlane> {
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-kubernetes-'));
  watchdog.guardDirectory(dataDir);
  const parts: NativePart[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(parts.map((part) => part.close()));
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    watchdog.releaseDirectory(dataDir);
    await watchdog.close();
  };
  try {
    await ensureTools([{ tool: 'go', reason: 'to build Kubernetes once' }], { progress, watchdog, dataDir });
    await ensureKubernetes({ progress, watchdog });
    const kubeconfig = await startParts({ dataDir, progress, watchdog, signal }, parts);
    return { kubeconfig, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts a part and waits until its probe resolves. */
type Start = (name: string, command: string, args: readonly string[], probe: () => Promise<void>) => Promise<void>;

async function startParts(context: NativeContext, parts: NativePart[]): Promise<string> {
  const { dataDir } = context;
  const start: Start = async (name, command, args, probe) => {
    const cwd = join(dataDir, name);
    await mkdir(cwd, { recursive: true });
    const process = { command, args, cwd, env: { KUBECONFIG: undefined }, logFile: join(cwd, `${name}.log`) };
    const part = new NativePart(
      { name, process, probe, startWithinMs: START_WITHIN_MS, stopWithinMs: STOP_WITHIN_MS },
      context,
    );
    parts.push(part);
    await context.progress.step('kubernetes', `start ${name}`, () => part.start(context.signal));
  };
  const kubeconfig = join(dataDir, 'kubeconfig');
  const keys = await writeKeys(dataDir);
  const etcdUrl = await onFreePorts(2, (ports) => startEtcd(start, ports));
  await onFreePorts(1, ([port]) => startApiServer(start, { port, etcdUrl, kubeconfig, keys, dataDir }));
  const shared = ['--kubeconfig', kubeconfig, `--bind-address=${HOST}`, '--leader-elect=false'];
  await Promise.all([
    onFreePorts(1, ([port]) =>
      start(
        'controller-manager',
        KUBERNETES.controllerManager,
        [
          ...shared,
          `--secure-port=${port}`,
          '--use-service-account-credentials=false',
          `--service-account-private-key-file=${keys.privateKey}`,
        ],
        () => mustAnswer(kubeconfig, ['get', 'serviceaccount', 'default', '--namespace', 'default']),
      ),
    ),
    onFreePorts(1, ([port]) =>
      start('scheduler', KUBERNETES.scheduler, [...shared, `--secure-port=${port}`], () =>
        mustAccept(`${HOST}:${port}`),
      ),
    ),
    onFreePorts(1, ([port]) => startKwok(start, { port, kubeconfig, dataDir })),
  ]);
  await addNodes(kubeconfig, dataDir);
  return kubeconfig;
}

async function startEtcd(start: Start, [port, peerPort]: readonly number[]): Promise<string> {
  const [client, peer] = [`http://${HOST}:${port}`, `http://${HOST}:${peerPort}`];
  const args = [
    '--data-dir=data',
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    // Nothing of it has to outlive the machine.
    '--unsafe-no-fsync',
  ];
  await start('etcd', KUBERNETES.etcd, args, async () => {
    const { ok, status } = await fetch(`${client}/health`, { signal: AbortSignal.timeout(PROBE_WITHIN_MS) });
    if (!ok) throw new Error(`etcd answers ${status}`);
  });
  return client;
}

interface Keys {
  readonly privateKey: string;
  readonly publicKey: string;
}

/** The keys with which tokens of service accounts are signed. */
async function writeKeys(dataDir: string): Promise<Keys> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const files = { privateKey: join(dataDir, 'accounts.key'), publicKey: join(dataDir, 'accounts.pub') };
  await writeFile(files.privateKey, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  await writeFile(files.publicKey, publicKey.export({ type: 'spki', format: 'pem' }));
  return files;
}

async function startApiServer(
  start: Start,
  options: {
    readonly port: number | undefined;
    readonly etcdUrl: string;
    readonly kubeconfig: string;
    readonly keys: Keys;
    readonly dataDir: string;
  },
): Promise<void> {
  const { port, etcdUrl, kubeconfig, keys, dataDir } = options;
  const token = randomBytes(16).toString('hex');
  const tokens = join(dataDir, 'tokens.csv');
  await writeFile(tokens, `${token},admin,admin,system:masters\n`, { mode: 0o600 });
  const cluster = {
    server: `https://${HOST}:${port}`,
    'certificate-authority': join(dataDir, 'api-server', 'certificates', 'apiserver.crt'),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'ktb',
    clusters: [{ name: 'ktb', cluster }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'ktb', context: { cluster: 'ktb', user: 'admin' } }],
  };
  await writeFile(kubeconfig, stringify(config), { mode: 0o600 });
  await start(
    'api-server',
    KUBERNETES.apiServer,
    [
      `--etcd-servers=${etcdUrl}`,
      `--secure-port=${port}`,
      `--bind-address=${HOST}`,
      `--advertise-address=${HOST}`,
      '--endpoint-reconciler-type=none',
      '--cert-dir=certificates',
      '--authorization-mode=RBAC',
      `--token-auth-file=${tokens}`,
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${keys.publicKey}`,
      `--service-account-signing-key-file=${keys.privateKey}`,
      '--service-cluster-ip-range=10.0.0.0/24',
    ],
    () => mustAnswer(kubeconfig, ['get', '--raw', '/readyz']),
  );
}

/** What every container of kwok has logged, as the container runtimes write it. */
const LOG_LINE = '2026-01-01T00:00:00Z stdout F This container is played by kwok.\n';

/** kwok plays the nodes' kubelets, too: the API server asks it for logs, and takes any certificate. */
async function startKwok(
  start: Start,
  options: { readonly port: number | undefined; readonly kubeconfig: string; readonly dataDir: string },
): Promise<void> {
  const { port, kubeconfig, dataDir } = options;
  const logs = { config: join(dataDir, 'logs.yaml'), file: join(dataDir, 'container.log') };
  await writeFile(logs.file, LOG_LINE);
  await writeFile(
    logs.config,
    stringify({
      apiVersion: 'kwok.x-k8s.io/v1alpha1',
      kind: 'ClusterLogs',
      metadata: { name: 'all' },
      spec: { logs: [{ logsFile: logs.file }] },
    }),
  );
  const certificate = join(dataDir, 'api-server', 'certificates', 'apiserver');
  const args = [
    `--kubeconfig=${kubeconfig}`,
    '--manage-all-nodes=true',
    `--config=${KUBERNETES.stages}`,
    `--config=${logs.config}`,
    `--server-address=${HOST}:${port}`,
    `--node-ip=${HOST}`,
    `--node-port=${port}`,
    `--tls-cert-file=${certificate}.crt`,
    `--tls-private-key-file=${certificate}.key`,
  ];
  await start('kwok', KUBERNETES.kwok, args, () => mustAccept(`${HOST}:${port}`));
}

/** Nodes large enough for everything; kwok has them become ready. */
async function addNodes(kubeconfig: string, dataDir: string): Promise<void> {
  const allocatable = { cpu: '64', memory: '256Gi', pods: '500' };
  const nodes = Array.from({ length: NODES }, (_, index) => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `node-${index}`,
      labels: {
        'kubernetes.io/hostname': `node-${index}`,
        'kubernetes.io/os': 'linux',
        'topology.kubernetes.io/zone': `zone-${index}`,
      },
    },
    status: { allocatable, capacity: allocatable },
  }));
  const file = join(dataDir, 'nodes.yaml');
  await writeFile(file, nodes.map((node) => stringify(node)).join('---\n'));
  await mustAnswer(kubeconfig, ['apply', '--filename', file]);
}

async function mustAnswer(kubeconfig: string, args: readonly string[]): Promise<void> {
  const answer = await commandOutput(KUBERNETES.kubectl, ['--kubeconfig', kubeconfig, ...args]);
  if (answer === undefined) throw new StackError('START', `kubectl ${args.join(' ')} does not succeed`);
}
