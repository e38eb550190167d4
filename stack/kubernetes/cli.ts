/** `npm run cluster`: keeps a Kubernetes control plane up for a person until Ctrl-C. */
import { Command } from 'commander';
import { reportProgress } from '../progress.js';
import { StackError } from '../stack.js';
import { untilAsked } from '../untilAsked.js';
import { KUBERNETES } from './binaries.js';
import { startControlPlane, type ControlPlane } from './controlPlane.js';

new Command('cluster')
  .description(
    'Starts a real Kubernetes control plane whose nodes are played by kwok: objects are checked, scheduled and become ready, but no container runs. Stops it at Ctrl-C.',
  )
  .parse();

const { signal, asked } = untilAsked();
const reporter = reportProgress();
let controlPlane: ControlPlane | undefined;
try {
  controlPlane = await startControlPlane({ onProgress: reporter.onProgress, signal });
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
  await asked();
  await controlPlane.stop();
}
