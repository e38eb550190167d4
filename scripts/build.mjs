// Builds dist/: the compiled sources and the workflow bundle, so that a running worker needs no bundler.
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}dist`;

rmSync(dist, { recursive: true, force: true });
execFileSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, '-p', 'tsconfig.build.json'], {
  cwd: root,
  stdio: 'inherit',
});

const quiet = { trace() {}, debug() {}, info() {}, warn: console.warn, error: console.error, log() {} };
const { code } = await bundleWorkflowCode({
  workflowsPath: `${dist}/workflows/batcher.js`,
  payloadConverterPath: `${dist}/workflows/payloadConverter.js`,
  workflowInterceptorModules: [`${dist}/workflows/reservedSignals.js`],
  preloadModules: [`${dist}/workflows/noStackTraces.js`],
  logger: quiet,
});
mkdirSync(`${dist}/workflows`, { recursive: true });
writeFileSync(`${dist}/workflows/bundle.js`, code);
for (const name of ['failureConverter', 'activityConverter'])
  copyFileSync(`${root}src/temporal/${name}.cjs`, `${dist}/temporal/${name}.cjs`);
chmodSync(`${dist}/cli.js`, 0o755);
