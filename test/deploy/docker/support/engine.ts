import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cachedDirectory, fillCache } from '../../../../stack/cache.js';
import { commandOutput, logTail, OwnedProcess, type Watchdog } from '../../../../stack/processes.js';
import type { Progress } from '../../../../stack/progress.js';
import { StackError } from '../../../../stack/stack.js';
import { pathBelow, unpackPackages } from '../../../support/debianPackages.js';
import { dockerClient, type Docker } from './dockerClient.js';

const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 30_000;
const BRIDGE = 'docker0';

/** Debian's engine, unpacked. */
const ENGINE = cachedDirectory('docker-engine', 'debian');

/** A Docker engine. */
export interface Engine {
  /** Whether it was started for these tests; it then has no images and reaches no registry. */
  readonly started: boolean;
  /** What a process that talks to it needs in its environment, over its own: PATH with `docker`, DOCKER_HOST and so on. */
  readonly environment: Readonly<Record<string, string>>;
  /** Ends an engine that was started, with all containers and images; leaves another one alone. */
  stop(): Promise<void>;
}

/**
 * The Docker engine of this machine, or, where none answers, one of Debian's packages with its data in a temporary directory.
 * It listens on a socket of its own, so that nobody else finds it, and leaves the machine's firewall and routing as they are.
 *
 * @throws StackError PREREQUISITE, SET_UP, START
 */
export async function useEngine(deps: { readonly progress: Progress; readonly watchdog: Watchdog }): Promise<Engine> {
  if ((await commandOutput('docker', ['version'])) !== undefined) {
    return { started: false, environment: {}, stop: () => Promise.resolve() };
  }
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/etc/debian_version')) {
    throw new StackError(
      'PREREQUISITE',
      'These tests need a Docker engine, and none answers. As root on Debian they bring their own; elsewhere start one first.',
    );
  }
  const { progress, watchdog } = deps;
  await progress.step('docker', 'unpack Debian’s Docker engine', () =>
    fillCache(ENGINE, watchdog, (temporary) =>
      unpackPackages(temporary, ['docker.io', 'libdevmapper1.02.1'], watchdog),
    ),
  );
  return progress.step('docker', 'start a Docker engine', () => startEngine(watchdog));
}

async function startEngine(watchdog: Watchdog): Promise<Engine> {
  const directory = await mkdtemp(join(tmpdir(), 'ktb-docker-'));
  watchdog.guardDirectory(directory);
  const hadBridge = existsSync(`/sys/class/net/${BRIDGE}`);
  const host = `unix://${join(directory, 'docker.sock')}`;
  const environment = {
    PATH: pathBelow(ENGINE, ['usr/bin', 'usr/sbin'], process.env['PATH']),
    LD_LIBRARY_PATH: pathBelow(ENGINE, [`usr/lib/${libraryFolder()}`], process.env['LD_LIBRARY_PATH']),
    DOCKER_HOST: host,
    DOCKER_CONFIG: join(directory, 'client'),
    // It has the builder within, where newer clients look for a plugin.
    DOCKER_BUILDKIT: '1',
  };
  await mkdir(environment.DOCKER_CONFIG);
  const logFile = join(directory, 'dockerd.log');
  const args = [
    ...['--host', host, '--data-root', join(directory, 'data'), '--exec-root', join(directory, 'exec')],
    ...['--pidfile', join(directory, 'docker.pid'), '--log-level', 'warn'],
    ...['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'],
  ];
  const command = join(ENGINE, 'usr/sbin/dockerd');
  const daemon = await OwnedProcess.spawn({ command, args, cwd: directory, env: environment, logFile }, watchdog);
  const docker = dockerClient({ ...process.env, ...environment });
  const stop = async (): Promise<void> => {
    const containers = (await docker('ps', '--all', '--quiet').catch(() => '')).split('\n').filter(Boolean);
    if (containers.length > 0) await docker('rm', '--force', '--volumes', ...containers).catch(() => undefined);
    await daemon.end(STOP_WITHIN_MS);
    if (!hadBridge) await commandOutput('ip', ['link', 'delete', BRIDGE]);
    // It leaves the network of containers that had the machine's own.
    for (const mount of mountsBelow(directory)) await commandOutput('umount', [mount]);
    await rm(directory, { recursive: true, force: true, maxRetries: 5 });
    watchdog.releaseDirectory(directory);
  };
  try {
    await untilReady(docker, daemon, logFile);
  } catch (error) {
    await stop();
    throw error;
  }
  return { started: true, environment, stop };
}

async function untilReady(docker: Docker, daemon: OwnedProcess, logFile: string): Promise<void> {
  const deadline = Date.now() + START_WITHIN_MS;
  for (;;) {
    try {
      await docker('version');
      return;
    } catch (error) {
      if (!daemon.running || Date.now() > deadline)
        throw new StackError('START', `The Docker engine did not start:\n${await logTail(logFile)}`, { cause: error });
    }
    await sleep(100);
  }
}

function mountsBelow(directory: string): string[] {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  return mounts.map((line) => line.split(' ')[1] ?? '').filter((path) => path.startsWith(`${directory}/`));
}

/** Debian's name of the folder for libraries of this processor. */
function libraryFolder(): string {
  return process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
}
