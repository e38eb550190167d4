import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedDirectory, fillCache } from '../../../stack/cache.js';
import { ensureTools, type Need } from '../../../stack/prerequisites.js';
import { runCommand, Watchdog } from '../../../stack/processes.js';
import { Progress, type StackEvent } from '../../../stack/progress.js';
import { VERSIONS } from '../../../stack/versions.js';
import { unpackPackages } from '../../support/debianPackages.js';
import { writeSchemas } from './schemas.js';

/** Counts the ways in which schemas have been made: those in the cache are of one of them. */
const SCHEMA_RECIPE = 2;

interface GoTool {
  readonly name: string;
  readonly version: string;
  readonly package: string;
}

const HELM: GoTool = { name: 'helm', version: VERSIONS.helm, package: 'helm.sh/helm/v3/cmd/helm' };
const HELM_4: GoTool = { name: 'helm', version: VERSIONS.helm4, package: 'helm.sh/helm/v4/cmd/helm' };
const KUBECONFORM: GoTool = {
  name: 'kubeconform',
  version: VERSIONS.kubeconform,
  package: 'github.com/yannh/kubeconform/cmd/kubeconform',
};

const SCHEMAS = cachedDirectory(
  'deploy-schemas',
  [VERSIONS.kubernetes, VERSIONS.prometheusOperator, VERSIONS.keda, SCHEMA_RECIPE].join('-'),
);

/** Debian's package of Prometheus, with promtool. It is unpacked, not installed: no service is started. */
const PROMETHEUS = cachedDirectory('promtool', 'debian');

/** Debian's package of Docker Compose, unpacked too: it reads a file without an engine. */
const COMPOSE = cachedDirectory('docker-compose', 'debian');

/** Where the tools of these tests are kept once {@link ensureDeployTools} has run. */
export const DEPLOY_TOOLS = {
  helm: executable(HELM),
  helm4: executable(HELM_4),
  kubeconform: executable(KUBECONFORM),
  promtool: join(PROMETHEUS, 'usr/bin/promtool'),
  compose: join(COMPOSE, 'usr/bin/docker-compose'),
  prometheus: join(PROMETHEUS, 'usr/bin/prometheus'),
  schemas: SCHEMAS,
};

/**
 * Builds both Helms and kubeconform, unpacks promtool and Docker Compose, and makes the schemas where the cache does not have them (two
 * minutes the first time). Needs openssl, Go, and Debian or Ubuntu for what is unpacked.
 *
 * @throws StackError PREREQUISITE, SET_UP
 */
export async function ensureDeployTools(onProgress?: (event: StackEvent) => void): Promise<void> {
  const isComplete = Object.values(DEPLOY_TOOLS).every((path) => existsSync(path));
  const needs: Need[] = [{ tool: 'openssl', reason: 'to make certificates' }];
  if (!isComplete) needs.push({ tool: 'go', reason: 'to build Helm 3, Helm 4 and kubeconform once' });
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-deploy-tools-'));
  watchdog.guardDirectory(dataDir);
  try {
    await ensureTools(needs, { progress, watchdog, dataDir });
    if (isComplete) return;
    for (const tool of [HELM, HELM_4, KUBECONFORM]) {
      await progress.step(tool.name, `build ${tool.name} ${tool.version} with Go`, () => build(tool, watchdog));
    }
    await progress.step('promtool', 'unpack promtool of Debian’s prometheus', () =>
      fillCache(PROMETHEUS, watchdog, (temporary) => unpackPrometheus(temporary, watchdog)),
    );
    await progress.step('compose', 'unpack Debian’s docker-compose', () =>
      fillCache(COMPOSE, watchdog, (temporary) => unpackPackages(temporary, ['docker-compose'], watchdog)),
    );
    await progress.step('schemas', 'make the schemas of Kubernetes, the Prometheus operator and KEDA', () =>
      fillCache(SCHEMAS, watchdog, async (temporary) => {
        await writeSchemas(temporary, {
          kubernetes: await downloadModule(`k8s.io/kubernetes@v${VERSIONS.kubernetes}`, dataDir, watchdog),
          prometheusOperator: await downloadModule(
            `github.com/prometheus-operator/prometheus-operator@v${VERSIONS.prometheusOperator}`,
            dataDir,
            watchdog,
          ),
          keda: await downloadModule(`github.com/kedacore/keda/v2@v${VERSIONS.keda}`, dataDir, watchdog),
        });
      }),
    );
  } finally {
    await rm(dataDir, { recursive: true, force: true });
    await watchdog.close();
  }
}

/** For {@link DEPLOY_TOOLS.compose}: where its Python modules are. */
export const COMPOSE_ENVIRONMENT = { PYTHONPATH: join(COMPOSE, 'usr/lib/python3/dist-packages') };

function executable({ name, version }: GoTool): string {
  return join(cachedDirectory(name, version), name);
}

async function build({ name, version, package: path }: GoTool, watchdog: Watchdog): Promise<void> {
  await fillCache(cachedDirectory(name, version), watchdog, async (temporary) => {
    const logFile = join(temporary, 'go-install.log');
    const args = ['install', '-trimpath', '-ldflags=-s -w', `${path}@v${version}`];
    await runCommand({ command: 'go', args, cwd: temporary, env: { GOBIN: temporary }, logFile }, watchdog);
    await rm(logFile);
  });
}

async function unpackPrometheus(directory: string, watchdog: Watchdog): Promise<void> {
  const logFile = join(directory, 'apt-get.log');
  const downloaded = { cwd: directory, logFile };
  const download = () => runCommand({ command: 'apt-get', args: ['download', 'prometheus'], ...downloaded }, watchdog);
  // The lists of a fresh image are empty, or name a version that is gone.
  await download().catch(async () => {
    await runCommand({ command: 'apt-get', args: ['update'], ...downloaded }, watchdog);
    await download();
  });
  const archive = (await readdir(directory)).find((name) => name.endsWith('.deb')) ?? 'prometheus.deb';
  await runCommand({ command: 'dpkg', args: ['-x', archive, directory], ...downloaded }, watchdog);
  await Promise.all([logFile, join(directory, archive)].map((file) => rm(file)));
}

/** Downloads a Go module by whatever proxies the machine's Go is set up to use. Returns its directory. */
async function downloadModule(module: string, dataDir: string, watchdog: Watchdog): Promise<string> {
  const logFile = join(dataDir, `${module.replaceAll(/\W/g, '-')}.log`);
  await runCommand({ command: 'go', args: ['mod', 'download', '-json', module], cwd: dataDir, logFile }, watchdog);
  const output = await readFile(logFile, 'utf8');
  const { Dir } = JSON.parse(output.slice(output.indexOf('{'))) as { Dir: string };
  return Dir;
}
