import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join, relative, resolve } from 'node:path';
import { javaCommand } from '../prerequisites.js';
import { commandOutput, runCommand } from '../processes.js';
import { StackError, type PartName } from '../stack.js';
import type { NativeContext } from '../native/context.js';
import { KAFKA_JARS } from '../native/kafka.js';
import { ensureJars } from '../native/maven.js';
import { buildTemporal, findTemporal } from '../native/temporal.js';

const ROOT = resolve(import.meta.dirname, '..', '..');
const NODE_MODULES = join(ROOT, 'node_modules');
/** Parts of a JDK that a running JVM does not need. */
const NOT_FOR_RUNNING = new Set(['jmods', 'include', 'man', 'docs', 'demo', 'legal', 'lib/src.zip', 'lib/ct.sym']);

/** Puts together what an image's Dockerfile copies. */
type Assemble = (directory: string, context: NativeContext) => Promise<void>;

const ASSEMBLE: Readonly<Record<PartName, Assemble>> = {
  kafka: assembleKafka,
  temporal: assembleTemporal,
  clickhouse: assembleClickHouse,
};

/**
 * Builds images of the three parts from what the native flavour of the stack has downloaded and built, for machines whose
 * Docker engine cannot pull the official ones. The base image has to have this machine's C library or a newer one.
 *
 * @param environment for `docker`, over this process's own
 * @returns the names of the images, for KTB_STACK_KAFKA_IMAGE and so on
 * @throws StackError SET_UP
 */
export async function buildLocalImages(
  baseImage: string,
  environment: Readonly<Record<string, string>>,
  context: NativeContext,
): Promise<Readonly<Record<PartName, string>>> {
  const images: Readonly<Record<PartName, string>> = {
    kafka: 'ktb-stack/kafka:local',
    temporal: 'ktb-stack/temporal:local',
    clickhouse: 'ktb-stack/clickhouse:local',
  };
  for (const [name, assemble] of Object.entries(ASSEMBLE) as [PartName, Assemble][]) {
    await context.progress.step(name, `build ${images[name]}`, async () => {
      const directory = await mkdtemp(join(context.dataDir, `${name}-image-`));
      await cp(join(import.meta.dirname, 'images', name), directory, { recursive: true });
      await assemble(directory, context);
      await runCommand(
        {
          command: 'docker',
          args: ['build', '--build-arg', `BASE_IMAGE=${baseImage}`, '--tag', images[name], directory],
          cwd: directory,
          env: environment,
          logFile: join(context.dataDir, `${name}-image.log`),
        },
        context.watchdog,
        context.signal,
      );
      await rm(directory, { recursive: true });
    });
  }
  return images;
}

async function assembleKafka(directory: string, context: NativeContext): Promise<void> {
  await cp(join(await ensureJars(KAFKA_JARS, context), 'jars'), join(directory, 'jars'), { recursive: true });
  const properties = await commandOutput(javaCommand(), ['-XshowSettings:properties', '-version']);
  const home = /^\s*java\.home = (.+)$/m.exec(properties ?? '')?.[1];
  if (home === undefined) throw new StackError('SET_UP', 'This Java does not say where its files are.');
  await cp(home, join(directory, 'java'), {
    recursive: true,
    // Debian keeps its configuration elsewhere, some of it in packages that are not installed.
    dereference: true,
    filter: (path) => !NOT_FOR_RUNNING.has(relative(home, path)) && existsSync(path),
  });
}

async function assembleTemporal(directory: string, context: NativeContext): Promise<void> {
  const command = (await findTemporal(context)) ?? (await buildTemporal(context));
  await cp(onPath(command), join(directory, 'temporal'), { dereference: true });
}

async function assembleClickHouse(directory: string): Promise<void> {
  await cp(process.execPath, join(directory, 'node'), { dereference: true });
  await cp(join(ROOT, 'stack'), join(directory, 'stack'), { recursive: true });
  await mkdir(join(directory, 'node_modules'));
  for (const name of installedWith(['chdb', 'tsx'])) {
    await cp(join(NODE_MODULES, name), join(directory, 'node_modules', name), { recursive: true });
  }
}

/** A command's file. */
function onPath(command: string): string {
  if (command.includes('/')) return command;
  const directories = (process.env['PATH'] ?? '').split(delimiter);
  const path = directories.map((directory) => join(directory, command)).find((file) => existsSync(file));
  if (path === undefined) throw new StackError('SET_UP', `${command} is not on the PATH.`);
  return path;
}

/** Packages, and all installed ones that they depend on. */
function installedWith(names: readonly string[]): Set<string> {
  const found = new Set<string>();
  const add = (name: string): void => {
    const manifest = join(NODE_MODULES, name, 'package.json');
    // Optional ones of other platforms are not installed.
    if (found.has(name) || !existsSync(manifest)) return;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(readFileSync(manifest, 'utf8')) as {
      dependencies?: Record<string, string>;
      optionalDependencies?: Record<string, string>;
    };
    for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) add(dependency);
  };
  for (const name of names) add(name);
  return found;
}
