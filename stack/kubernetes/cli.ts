/** `npm run cluster`: keeps a Kubernetes control plane up for a person until Ctrl-C. */
import { Command } from 'commander';
import { reportProgress } from '../progress.js';
import { StackError } from '../stack.js';
import { KUBERNETES } from './binaries.js';
import { startControlPlane, type ControlPlane } from './controlPlane.js';

new Command('cluster')
  .description(
    'Starts a real Kubernetes control plane whose nodes are played by kwok: objects are checked, scheduled and become ready, but no container runs. Stops it at Ctrl-C.',
  )
  .parse();

const givenUp = new AbortController();
const asked = new Promise<void>((resolve) => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      givenUp.abort(signal);
      resolve();
    });
});
const reporter = reportProgress();
let controlPlane: ControlPlane | undefined;
try {
  controlPlane = await startControlPlane({ onProgress: reporter.onProgress, signal: givenUp.signal });
} catch (error) {
  console.error(error instanceof StackError ? error.message : error);
  process.exitCode = 1;
}
reporter.close();
if (controlPlane !== undefined) {
  console.log(`
export KUBECONFIG=${controlPlane.kubeconfig}
${KUBERNETES.kubectl} get nodes
helm install bridge deploy/helm/kafka-temporal-bridge --values values.yaml --wait

Ctrl-C stops everything and removes its data.`);
  // Nothing else keeps this process alive.
  const keepAlive = setInterval(() => undefined, 60_000);
  await asked;
  clearInterval(keepAlive);
  await controlPlane.stop();
}
