import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cachedDirectory, fillCache, isCached } from '../cache.js';
import { runCommand, type Watchdog } from '../processes.js';
import type { Progress } from '../progress.js';
import { VERSIONS } from '../versions.js';

/** A set of jars from Maven Central with all they depend on. */
export interface JarSet {
  /** Name and version of the directory in the cache. */
  readonly name: string;
  readonly version: string;
  readonly title: string;
  /** `group:artifact:version` */
  readonly artifacts: readonly string[];
}

/** Where a set of jars is kept; it need not be there yet. */
export function jarDirectory(jars: JarSet): string {
  return cachedDirectory(jars.name, jars.version);
}

/** Whether {@link ensureJars} has nothing to do. */
export function hasJars(jars: JarSet): boolean {
  return isCached(jarDirectory(jars));
}

/**
 * Downloads a set of jars with Maven, by whatever repositories and mirrors the machine's Maven is set up to use.
 *
 * @param add more to put into the directory before it counts as complete
 * @throws StackError SET_UP with the end of Maven's output
 */
export async function ensureJars(
  jars: JarSet,
  deps: { readonly progress: Progress; readonly watchdog: Watchdog; readonly signal?: AbortSignal },
  add: (directory: string) => Promise<void> = () => Promise.resolve(),
): Promise<string> {
  const directory = jarDirectory(jars);
  if (isCached(directory)) return directory;
  await deps.progress.step(jars.name, `download ${jars.title} with Maven`, () =>
    fillCache(directory, deps.watchdog, async (temporary) => {
      const plugin = `org.apache.maven.plugins:maven-dependency-plugin:${VERSIONS.mavenDependencyPlugin}:copy-dependencies`;
      const project = join(temporary, 'project');
      const logFile = join(temporary, 'maven.log');
      await writeFile(`${project}.xml`, pom(jars.artifacts));
      await runCommand(
        {
          command: 'mvn',
          args: [
            '-B',
            '-ntp',
            '-f',
            `${project}.xml`,
            plugin,
            '-DincludeScope=runtime',
            `-DoutputDirectory=${project}`,
          ],
          cwd: temporary,
          logFile,
        },
        deps.watchdog,
        deps.signal,
      );
      await rename(project, join(temporary, 'jars'));
      await rm(`${project}.xml`);
      await rm(logFile);
      await add(temporary);
    }),
  );
  return directory;
}

/**
 * Downloads one archive with Maven and unpacks it.
 *
 * @param artifact `group:artifact:version:type:classifier`, the type `tar.gz`
 * @returns the directory with what is in it
 * @throws StackError SET_UP with the end of Maven's output
 */
export async function ensureArchive(
  { name, version, title, artifact }: Omit<JarSet, 'artifacts'> & { readonly artifact: string },
  deps: { readonly progress: Progress; readonly watchdog: Watchdog },
): Promise<string> {
  const directory = cachedDirectory(name, version);
  if (isCached(directory)) return directory;
  await deps.progress.step(name, `download ${title} with Maven`, () =>
    fillCache(directory, deps.watchdog, async (temporary) => {
      const download = join(temporary, 'download');
      const run = (command: string, args: readonly string[]): Promise<void> =>
        runCommand({ command, args, cwd: temporary, logFile: join(temporary, 'set-up.log') }, deps.watchdog);
      const goal = `org.apache.maven.plugins:maven-dependency-plugin:${VERSIONS.mavenDependencyPlugin}:copy`;
      await run('mvn', ['-B', '-ntp', goal, `-Dartifact=${artifact}`, `-DoutputDirectory=${download}`]);
      for (const archive of await readdir(download)) await run('tar', ['-xzf', join(download, archive)]);
      await rm(download, { recursive: true });
    }),
  );
  return directory;
}

/** The class path of a set of jars, relative to its directory. */
export const CLASS_PATH = join('jars', '*');

function pom(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [groupId = '', artifactId = '', version = ''] = artifact.split(':');
    return `<dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>`;
  });
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0">',
    '<modelVersion>4.0.0</modelVersion>',
    '<groupId>local.stack</groupId><artifactId>jars</artifactId><version>1</version>',
    `<dependencies>${dependencies.join('')}</dependencies>`,
    '</project>',
    '',
  ].join('\n');
}
