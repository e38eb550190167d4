import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedDirectory, fillCache, isCached } from './cache.js';
import { ensureTools, pythonVersion } from './prerequisites.js';
import { runCommand, Watchdog } from './processes.js';
import { Progress, type StackEvent } from './progress.js';

/**
 * The command of a Python with a package of PyPI, in a virtual environment in the cache.
 *
 * @param further packages beside it, as `name==version`
 */
export async function pythonWith(
  name: string,
  version: string,
  onProgress?: (event: StackEvent) => void,
  further: readonly string[] = [],
): Promise<string> {
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-python-'));
  watchdog.guardDirectory(dataDir);
  try {
    const reason = `to run a client that is made with ${name}`;
    await ensureTools([{ tool: 'python', reason }], { progress, watchdog, dataDir });
    // The environment is of the Python that made it.
    const all = [version, ...further.map((one) => one.replace('==', '-'))].join('-');
    const directory = cachedDirectory(name, `${all}-python-${await pythonVersion()}`);
    if (!isCached(directory)) {
      const title = `install ${name} ${version} with pip`;
      await progress.step(name, title, () =>
        fillCache(directory, watchdog, async (temporary) => {
          const run = (command: string, args: readonly string[]) =>
            runCommand({ command, args, cwd: temporary, logFile: join(dataDir, 'pip.log') }, watchdog);
          await run('python3', ['-m', 'venv', temporary]);
          const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input'];
          await run(join(temporary, 'bin', 'python'), [...pip, `${name}==${version}`, ...further]);
        }),
      );
    }
    return join(directory, 'bin', 'python');
  } finally {
    await rm(dataDir, { recursive: true, force: true });
    await watchdog.close();
  }
}
