import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Watchdog } from './processes.js';

const PARTIAL_PREFIX = '.partial-';
/** A partial directory this old belongs to nobody: the longest set-up takes minutes. */
const PARTIAL_AGE_MAX_MS = 24 * 60 * 60 * 1000;

/** `$XDG_CACHE_HOME` (or `~/.cache`) `/kafka-temporal-bridge`. */
export function cacheRoot(): string {
  const base = process.env['XDG_CACHE_HOME'];
  return join(base?.startsWith('/') ? base : join(homedir(), '.cache'), 'kafka-temporal-bridge');
}

/** Where one version of one part is kept. The directory exists only when it is complete. */
export function cachedDirectory(part: string, version: string): string {
  return join(cacheRoot(), `${part}-${version}`);
}

/** Whether {@link fillCache} would find it there. */
export function isCached(directory: string): boolean {
  return existsSync(directory);
}

/**
 * Makes a cached directory, unless it is there: `fill` works in a directory of its own, which is renamed at the end, so
 * that an interrupted set-up leaves no half result and of two at once one wins.
 */
export async function fillCache(
  directory: string,
  watchdog: Watchdog,
  fill: (temporary: string) => Promise<void>,
): Promise<void> {
  if (isCached(directory)) return;
  const root = cacheRoot();
  await mkdir(root, { recursive: true });
  await removeOldPartials(root);
  const temporary = await mkdtemp(join(root, PARTIAL_PREFIX));
  watchdog.guardDirectory(temporary);
  try {
    await fill(temporary);
    await rename(temporary, directory).catch((error: unknown) => {
      if (!isCached(directory)) throw error; // Otherwise another set-up was quicker, with the same result.
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
    watchdog.releaseDirectory(temporary);
  }
}

async function removeOldPartials(root: string): Promise<void> {
  for (const name of await readdir(root)) {
    if (!name.startsWith(PARTIAL_PREFIX)) continue;
    const path = join(root, name);
    const modifiedAt = await stat(path).then(
      (entry) => entry.mtimeMs,
      () => undefined, // Its owner has just renamed or removed it.
    );
    if (modifiedAt !== undefined && Date.now() - modifiedAt > PARTIAL_AGE_MAX_MS) {
      await rm(path, { recursive: true, force: true });
    }
  }
}
