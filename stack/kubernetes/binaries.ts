import { chmod, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { cachedDirectory, fillCache } from '../cache.js';
import { runCommand, type Watchdog } from '../processes.js';
import type { Progress } from '../progress.js';
import { VERSIONS } from '../versions.js';

/** Counts the ways in which the cached directory has been made. */
const RECIPE = 1;

const DIRECTORY = cachedDirectory('kubernetes', [VERSIONS.kubernetes, VERSIONS.kwok, RECIPE].join('-'));

/** The names by which the one binary is called; see main.go. */
const PARTS = ['etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kubectl'] as const;

/** Where everything is once {@link ensureKubernetes} has run. */
export const KUBERNETES = {
  etcd: join(DIRECTORY, 'etcd'),
  apiServer: join(DIRECTORY, 'kube-apiserver'),
  controllerManager: join(DIRECTORY, 'kube-controller-manager'),
  scheduler: join(DIRECTORY, 'kube-scheduler'),
  kubectl: join(DIRECTORY, 'kubectl'),
  kwok: join(DIRECTORY, 'kwok'),
  /** What kwok does with nodes and pods. */
  stages: join(DIRECTORY, 'stages.yaml'),
};

/**
 * Builds the control plane and kwok with Go, where the cache does not have them (some five minutes on two cores).
 *
 * @throws StackError SET_UP
 */
export async function ensureKubernetes({
  progress,
  watchdog,
}: {
  readonly progress: Progress;
  readonly watchdog: Watchdog;
}): Promise<void> {
  await progress.step(
    'kubernetes',
    `have Kubernetes ${VERSIONS.kubernetes}, built with Go (minutes the first time)`,
    () =>
      fillCache(DIRECTORY, watchdog, async (temporary) => {
        const source = join(temporary, 'source');
        await mkdir(source);
        const go = (args: readonly string[], env = {}): Promise<string> => runGo(args, { source, env, watchdog });
        await copyFile(join(import.meta.dirname, 'main.go'), join(source, 'main.go'));
        await writeFile(
          join(source, 'go.mod'),
          await goModOf(await moduleDirectory(`k8s.io/kubernetes@v${VERSIONS.kubernetes}`, go)),
        );
        await go(['mod', 'tidy']);
        await go(['build', '-trimpath', '-ldflags', LINKER_FLAGS, '-o', join(temporary, 'kubernetes'), '.']);
        for (const name of PARTS) await symlink('kubernetes', join(temporary, name));
        const kwok = `sigs.k8s.io/kwok/cmd/kwok@v${VERSIONS.kwok}`;
        await go(['install', '-trimpath', '-ldflags=-s -w', kwok], { GOBIN: temporary });
        await chmod(join(temporary, 'kwok'), 0o755);
        const stages = await moduleDirectory(`sigs.k8s.io/kwok@v${VERSIONS.kwok}`, go);
        await writeFile(join(temporary, 'stages.yaml'), await stagesOf(join(stages, 'kustomize/stage')));
        await rm(source, { recursive: true });
      }),
  );
}

const LINKER_FLAGS = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
  .flatMap((path) => {
    const [major, minor] = VERSIONS.kubernetes.split('.');
    return [`gitVersion=v${VERSIONS.kubernetes}`, `gitMajor=${major}`, `gitMinor=${minor}`].map(
      (value) => `-X ${path}.${value}`,
    );
  })
  .join(' ')
  .replace(/^/, '-s -w ');

async function runGo(
  args: readonly string[],
  deps: { readonly source: string; readonly env: Readonly<Record<string, string>>; readonly watchdog: Watchdog },
): Promise<string> {
  const logFile = join(deps.source, 'go.log');
  await rm(logFile, { force: true });
  await runCommand({ command: 'go', args, cwd: deps.source, env: deps.env, logFile }, deps.watchdog);
  return readFile(logFile, 'utf8');
}

/** Downloads a module by whatever proxies the machine's Go is set up to use. */
async function moduleDirectory(module: string, go: (args: readonly string[]) => Promise<string>): Promise<string> {
  const output = await go(['mod', 'download', '-json', module]);
  return (JSON.parse(output.slice(output.indexOf('{'))) as { Dir: string }).Dir;
}

/**
 * The go.mod of main.go. Kubernetes's own replaces the modules that it consists of by folders of its repository; outside of
 * it they are modules of their own, whose major version is 0.
 */
async function goModOf(kubernetes: string): Promise<string> {
  const own = await readFile(join(kubernetes, 'go.mod'), 'utf8');
  const staged = `v${VERSIONS.kubernetes.replace(/^1/, '0')}`;
  const modules = [...own.matchAll(/^\s*(\S+) => \.\/staging\/\S+$/gm)].map(([, name]) => name ?? '');
  const [, goVersion] = /^go (\S+)$/m.exec(own) ?? [];
  const [, etcd] = /^\s*go\.etcd\.io\/etcd\/server\/v3 (\S+)/m.exec(own) ?? [];
  return [
    'module controlplane',
    `go ${goVersion}`,
    `require go.etcd.io/etcd/server/v3 ${etcd}`,
    `require k8s.io/kubernetes v${VERSIONS.kubernetes}`,
    ...modules.map((name) => `replace ${name} => ${name} ${staged}`),
    '',
  ].join('\n');
}

interface Stage {
  readonly metadata: { readonly name: string };
  readonly spec: { readonly selector: { readonly matchExpressions: readonly object[] } };
}

/** kwok's own stages, and one by which the pod of `helm test` ends: its own one is for the pods of Jobs. */
async function stagesOf(folder: string): Promise<string> {
  const names = [
    'node/fast/node-initialize',
    'node/heartbeat/node-heartbeat',
    'pod/fast/pod-ready',
    'pod/fast/pod-complete',
    'pod/fast/pod-delete',
  ];
  const stages = await Promise.all(
    names.map(async (name) => parse(await readFile(join(folder, `${name}.yaml`), 'utf8')) as Stage),
  );
  const ends = stages.find(({ metadata }) => metadata.name === 'pod-complete');
  if (ends === undefined) throw new Error('kwok has no stage pod-complete');
  const isTest = { key: '.metadata.labels["app.kubernetes.io/component"]', operator: 'In', values: ['test'] };
  const matchExpressions = [...ends.spec.selector.matchExpressions.slice(0, -1), isTest];
  const test = { ...ends, metadata: { name: 'test-complete' }, spec: { ...ends.spec, selector: { matchExpressions } } };
  return [...stages, test].map((stage) => stringify(stage)).join('---\n');
}
