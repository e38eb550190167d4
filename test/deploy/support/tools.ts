import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedDirectory, fillCache } from '../../../stack/cache.js';
import { ensureTools } from '../../../stack/prerequisites.js';
import { runCommand, Watchdog } from '../../../stack/processes.js';
import { Progress, type StackEvent } from '../../../stack/progress.js';
import { VERSIONS } from '../../../stack/versions.js';
import { writeSchemas } from './schemas.js';

/** Counts the ways in which schemas have been made: those in the cache are of one of them. */
const SCHEMA_RECIPE = 1;

interface GoTool {
  readonly name: string;
  readonly version: string;
  readonly package: string;
}

const HELM: GoTool = { name: 'helm', version: VERSIONS.helm, package: 'helm.sh/helm/v3/cmd/helm' };
const KUBECONFORM: GoTool = {
  name: 'kubeconform',
  version: VERSIONS.kubeconform,
  package: 'github.com/yannh/kubeconform/cmd/kubeconform',
};

const SCHEMAS = cachedDirectory(
  'deploy-schemas',
  [VERSIONS.kubernetes, VERSIONS.prometheusOperator, VERSIONS.keda, SCHEMA_RECIPE].join('-'),
);

/** Where the tools of these tests are kept once {@link ensureDeployTools} has run. */
export const DEPLOY_TOOLS = { helm: executable(HELM), kubeconform: executable(KUBECONFORM), schemas: SCHEMAS };

/**
 * Builds Helm and kubeconform and makes the schemas where the cache does not have them (two minutes the first time). Needs Go.
 *
 * @throws StackError PREREQUISITE, SET_UP
 */
export async function ensureDeployTools(onProgress?: (event: StackEvent) => void): Promise<void> {
  if (Object.values(DEPLOY_TOOLS).every((path) => existsSync(path))) return;
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-deploy-tools-'));
  watchdog.guardDirectory(dataDir);
  try {
    await ensureTools([{ tool: 'go', reason: 'to build Helm and kubeconform once' }], { progress, watchdog, dataDir });
    for (const tool of [HELM, KUBECONFORM]) {
      await progress.step(tool.name, `build ${tool.name} ${tool.version} with Go`, () => build(tool, watchdog));
    }
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

/** Downloads a Go module by whatever proxies the machine's Go is set up to use. Returns its directory. */
async function downloadModule(module: string, dataDir: string, watchdog: Watchdog): Promise<string> {
  const logFile = join(dataDir, `${module.replaceAll(/\W/g, '-')}.log`);
  await runCommand({ command: 'go', args: ['mod', 'download', '-json', module], cwd: dataDir, logFile }, watchdog);
  const output = await readFile(logFile, 'utf8');
  const { Dir } = JSON.parse(output.slice(output.indexOf('{'))) as { Dir: string };
  return Dir;
}
