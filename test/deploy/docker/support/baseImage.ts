import { chmod, copyFile, mkdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedDirectory, fillCache } from '../../../../stack/cache.js';
import { runCommand, type Watchdog } from '../../../../stack/processes.js';
import type { Progress } from '../../../../stack/progress.js';
import { VERSIONS } from '../../../../stack/versions.js';
import { unpackPackages } from '../../../support/debianPackages.js';
import type { Docker } from './dockerClient.js';

const BASE = cachedDirectory('docker-base', `debian-node-${VERSIONS.node}`);
const DEBIAN_TAR = join(BASE, 'debian.tar');
const NODE_TAR = join(BASE, 'node.tar');

/** Images that a machine without a registry begins with. */
export interface BaseImages {
  /** Debian and nothing else, for `debian:…-slim`. */
  readonly debian: string;
  /** The same with Node and npm, for `node:24-…-slim`. */
  readonly node: string;
}

/**
 * Makes, of Debian's minimal system and of npm's packages of Node and npm, what the official images hold, and imports it into
 * an engine. The archives are kept in the cache (a minute the first time). Needs root.
 *
 * @throws StackError SET_UP
 */
export async function importBaseImages(
  docker: Docker,
  { progress, watchdog }: { readonly progress: Progress; readonly watchdog: Watchdog },
): Promise<BaseImages> {
  await progress.step('docker', `make a base image of Debian and Node ${VERSIONS.node}`, () =>
    fillCache(BASE, watchdog, (temporary) => makeArchives(temporary, watchdog)),
  );
  const images: BaseImages = { debian: 'ktb-base/debian:local', node: `ktb-base/node:${VERSIONS.node}` };
  await docker('import', DEBIAN_TAR, images.debian);
  await docker('import', NODE_TAR, images.node);
  return images;
}

async function makeArchives(directory: string, watchdog: Watchdog): Promise<void> {
  const root = join(directory, 'root');
  const tools = join(directory, 'tools');
  const logFile = join(directory, 'base.log');
  const run = (command: string, args: readonly string[], env: Record<string, string> = {}) =>
    runCommand({ command, args, cwd: directory, env, logFile }, watchdog);
  const archive = (name: string) => run('tar', ['--numeric-owner', '-C', root, '-cf', join(directory, name), '.']);

  await mkdir(tools);
  await unpackPackages(tools, ['debootstrap'], watchdog);
  await run(join(tools, 'usr/sbin/debootstrap'), ['--variant=minbase', await codename(), root], {
    DEBOOTSTRAP_DIR: join(tools, 'usr/share/debootstrap'),
  });
  // What Debian's own slim images leave out.
  for (const path of [
    'usr/share/doc',
    'usr/share/man',
    'usr/share/locale',
    'usr/share/info',
    'var/cache',
    'var/lib/apt/lists',
  ]) {
    await rm(join(root, path), { recursive: true, force: true });
  }
  await archive('debian.tar');

  await addNode(root, directory, run);
  await archive('node.tar');
  await rm(root, { recursive: true });
  await rm(tools, { recursive: true });
  await rm(logFile);
}

/** As in the official image: below /usr/local. */
async function addNode(
  root: string,
  directory: string,
  run: (command: string, args: readonly string[]) => Promise<void>,
): Promise<void> {
  const local = join(root, 'usr/local');
  const prefix = join(directory, 'npm');
  await run('npm', [
    ...['install', '--prefix', prefix, '--no-audit', '--no-fund', '--no-save', '--ignore-scripts'],
    ...[`node-linux-${process.arch}@${VERSIONS.node}`, `npm@${VERSIONS.npm}`],
  ]);
  await copyFile(join(prefix, 'node_modules', `node-linux-${process.arch}`, 'bin/node'), join(local, 'bin/node'));
  await chmod(join(local, 'bin/node'), 0o755);
  await mkdir(join(local, 'lib/node_modules'), { recursive: true });
  await rename(join(prefix, 'node_modules/npm'), join(local, 'lib/node_modules/npm'));
  for (const name of ['npm', 'npx'])
    await symlink(`../lib/node_modules/npm/bin/${name}-cli.js`, join(local, 'bin', name));
  await rm(prefix, { recursive: true });
}

/** This machine's own release, so that what is built here runs there. */
async function codename(): Promise<string> {
  const name = /^VERSION_CODENAME=(\w+)$/m.exec(await readFile('/etc/os-release', 'utf8'))?.[1];
  return name ?? 'stable';
}
