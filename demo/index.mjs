// `npm run demo`: installs and builds what is missing, then starts the demo. Plain Node: it runs before anything is there.
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled } from '../scripts/install.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
/** What the build writes last. */
const BUILT_LAST = join(root, 'dist', 'workflows', 'bundle.js');
const BUILT_FROM = ['src', 'scripts/build.mjs', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];

ensureInstalled();
ensureBuilt();
// In this process, so that Ctrl-C and the exit code need nobody in between.
const { register } = await import('tsx/esm/api');
register();
await import('./demo.ts');

/** Ends the process where the build fails; it has said why. */
function ensureBuilt() {
  const builtAtMs = statSync(BUILT_LAST, { throwIfNoEntry: false })?.mtimeMs;
  if (builtAtMs !== undefined && BUILT_FROM.every((path) => changedAtMs(join(root, path)) < builtAtMs)) return;
  console.log(`Building dist/ (${builtAtMs === undefined ? 'it is missing' : 'src/ is newer'}) ...`);
  const { status } = spawnSync(process.execPath, [join(root, 'scripts', 'build.mjs')], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

/** The latest change below a path; folders count, because a file that was removed changes its folder only. */
function changedAtMs(path) {
  const stats = statSync(path);
  if (!stats.isDirectory()) return stats.mtimeMs;
  return Math.max(stats.mtimeMs, ...readdirSync(path).map((name) => changedAtMs(join(path, name))));
}
