import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { Progress } from './progress.js';
import { StackError, type Flavour, type PartName } from './stack.js';

const FLAVOURS: readonly Flavour[] = ['native', 'docker'];

/**
 * Settles `auto`: the environment's KTB_STACK_FLAVOUR, else docker where an engine answers and has the images or can pull
 * them, else native.
 */
export async function chooseFlavour(
  wanted: Flavour | 'auto',
  names: ReadonlySet<PartName>,
  progress: Progress,
): Promise<Flavour> {
  if (wanted !== 'auto') return wanted;
  const fromEnvironment = process.env['KTB_STACK_FLAVOUR'];
  if (fromEnvironment && fromEnvironment !== 'auto') {
    const flavour = FLAVOURS.find((known) => known === fromEnvironment);
    if (flavour) return flavour;
    throw new StackError(
      'PREREQUISITE',
      `KTB_STACK_FLAVOUR is '${fromEnvironment}'; it can be native, docker or auto.`,
    );
  }
  if (!mayHaveEngine()) return 'native';
  const { ensureImages } = await import('./docker/images.js');
  const reason = await ensureImages(names, progress);
  if (reason === undefined) return 'docker';
  progress.note('stack', `without Docker: ${reason}`);
  return 'native';
}

/** A cheap look before a client library is loaded and asked: most machines without an engine have none of these. */
function mayHaveEngine(): boolean {
  const sockets = [
    '/var/run/docker.sock',
    join(homedir(), '.docker', 'run', 'docker.sock'),
    join(process.env['XDG_RUNTIME_DIR'] ?? '/nonexistent', 'docker.sock'),
    join(homedir(), '.testcontainers.properties'),
  ];
  return Boolean(process.env['DOCKER_HOST']) || sockets.some((path) => existsSync(path));
}
