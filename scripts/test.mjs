// `npm test`: set-up, build, tests; closes with a line that counts them (summary.mjs). The projects `chaos`, `deploy`, `docker` and `cluster`
// run only where they are named. Arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from './install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
ensureInstalled();
run([join(root, 'scripts', 'build.mjs')]);

const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
const reporters = ['--reporter=default', `--reporter=${join(root, 'scripts', 'summary.mjs')}`];
const args = process.argv.slice(2);
const projects = args.some((arg) => arg.startsWith('--project'))
  ? []
  : ['unit', 'simulation', 'workflow', 'system'].map((name) => `--project=${name}`);
run([vitest, 'run', ...reporters, ...projects, ...args]);

function run(args) {
  const { status: code } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
  if (code !== 0) process.exit(code ?? 1);
}
