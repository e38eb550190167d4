// `npm test`: set-up, build, tests; closes with a line that counts them. The projects `chaos`, `deploy`, `docker` and `cluster` run only where
// they are named. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensureInstalled();
run([join(root, 'scripts', 'build.mjs')]);

const directory = mkdtempSync(join(tmpdir(), 'ktb-test-'));
const report = join(directory, 'report.json');
const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
const args = process.argv.slice(2);
const projects = args.some((arg) => arg.startsWith('--project'))
  ? []
  : ['unit', 'simulation', 'workflow', 'system'].map((name) => `--project=${name}`);
const { status } = spawnSync(process.execPath, [vitest, 'run', ...reporters, ...projects, ...args], {
  cwd: root,
  stdio: 'inherit',
});
const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, 'utf8'));
rmSync(directory, { recursive: true });
console.log(`${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
process.exit(status ?? 1);

function run(args) {
  const { status: code } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (code !== 0) process.exit(code ?? 1);
}
