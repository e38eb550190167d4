import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { cachedDirectory, cacheRoot, fillCache } from '../../../stack/cache.js';
import { Watchdog } from '../../../stack/processes.js';

let scratch: string;
let watchdog: Watchdog;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), 'stack-cache-'));
  vi.stubEnv('XDG_CACHE_HOME', scratch);
  watchdog = new Watchdog();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await watchdog.close();
  rmSync(scratch, { recursive: true, force: true });
});

test('of two set-ups at once both succeed, and one result is left', async () => {
  const directory = cachedDirectory('thing', '1');
  await Promise.all([
    fillCache(directory, watchdog, (temporary) => writeFile(join(temporary, 'file'), 'first')),
    fillCache(directory, watchdog, (temporary) => writeFile(join(temporary, 'file'), 'second')),
  ]);
  expect(readdirSync(directory)).toEqual(['file']);
  expect(readdirSync(cacheRoot())).toEqual(['thing-1']);
});

test('a set-up that fails leaves nothing, and the next one begins anew', async () => {
  const directory = cachedDirectory('thing', '1');
  const failing = fillCache(directory, watchdog, async (temporary) => {
    await writeFile(join(temporary, 'half'), '');
    throw new Error('no network');
  });
  await expect(failing).rejects.toThrow('no network');
  expect(readdirSync(cacheRoot())).toEqual([]);
  await fillCache(directory, watchdog, () => Promise.resolve());
  expect(existsSync(directory)).toBe(true);
});
