import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cachedDirectory, cacheRoot, fillCache } from '../../stack/cache.js';
import { Watchdog } from '../../stack/processes.js';

/** Each commit leaves a build of some megabytes behind. */
const BUILD_AGE_MAX_MS = 24 * 60 * 60 * 1000;
const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The commit that daemons are upgraded from, `HEAD~1` unless `KTB_UPGRADE_FROM` says otherwise; null without one. */
export function previousCommit(): string | null {
  const revision = `${process.env['KTB_UPGRADE_FROM'] ?? 'HEAD~1'}^{commit}`;
  const { status, stdout } = spawnSync('git', ['rev-parse', '--verify', '--quiet', revision], { cwd: ROOT });
  return status === 0 ? String(stdout).trim() : null;
}

/** Whether the code of a commit has a word. */
export function hasWord(commit: string, word: string): boolean {
  return spawnSync('git', ['grep', '--quiet', '--word-regexp', word, commit, '--', 'src'], { cwd: ROOT }).status === 0;
}

/**
 * Builds a commit, with the dependencies of this checkout, and keeps it in the user's cache folder.
 *
 * @returns the path of its CLI
 */
export async function buildOf(commit: string): Promise<string> {
  const directory = cachedDirectory('build', commit);
  const watchdog = new Watchdog();
  try {
    await fillCache(directory, watchdog, async (temporary) => {
      const archive = execFileSync('git', ['archive', commit], { cwd: ROOT, maxBuffer: 1e9 });
      execFileSync('tar', ['-x', '-C', temporary], { input: archive });
      shareDependencies(temporary);
      await promisify(execFile)(process.execPath, ['scripts/build.mjs'], { cwd: temporary });
      removeOldBuilds();
    });
  } finally {
    await watchdog.close();
  }
  shareDependencies(directory);
  return join(directory, 'dist', 'cli.js');
}

/** Anew each time: another checkout of the same commit may have made the directory, and be gone. */
function shareDependencies(directory: string): void {
  const link = join(directory, 'node_modules');
  rmSync(link, { force: true });
  symlinkSync(join(ROOT, 'node_modules'), link);
}

function removeOldBuilds(): void {
  for (const name of readdirSync(cacheRoot())) {
    const path = join(cacheRoot(), name);
    if (/^build-[0-9a-f]{40}$/.test(name) && Date.now() - statSync(path).mtimeMs > BUILD_AGE_MAX_MS)
      rmSync(path, { recursive: true });
  }
}
