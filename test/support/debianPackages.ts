import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand, type Watchdog } from '../../stack/processes.js';

/**
 * Downloads Debian packages, with what they depend on and the machine lacks, and unpacks them below an empty directory. Nothing
 * is installed, and no service is started.
 *
 * @throws StackError SET_UP with the end of what apt-get says
 */
export async function unpackPackages(
  directory: string,
  packages: readonly string[],
  watchdog: Watchdog,
): Promise<void> {
  const archives = join(directory, 'archives');
  const logFile = join(directory, 'apt-get.log');
  await mkdir(join(archives, 'partial'), { recursive: true });
  const run = (command: string, args: readonly string[]) =>
    runCommand({ command, args, cwd: directory, env: { DEBIAN_FRONTEND: 'noninteractive' }, logFile }, watchdog);
  const options = ['-y', '--no-install-recommends', '--reinstall', '-o', `Dir::Cache::archives=${archives}`];
  const download = () => run('apt-get', ['install', '--download-only', ...options, ...packages]);
  // The lists of a fresh image are empty, or name versions that are gone.
  await download().catch(async () => {
    await run('apt-get', ['update']);
    await download();
  });
  for (const name of await readdir(archives)) {
    if (name.endsWith('.deb')) await run('dpkg', ['-x', join(archives, name), directory]);
  }
  await rm(archives, { recursive: true });
  await rm(logFile);
}

/** A search path (PATH, LD_LIBRARY_PATH) that begins with directories of unpacked packages. */
export function pathBelow(directory: string, folders: readonly string[], rest: string | undefined): string {
  return [...folders.map((folder) => join(directory, folder)), ...(rest ? [rest] : [])].join(':');
}
