import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedDirectory, fillCache, isCached } from '../cache.js';
import { HOST } from '../ports.js';
import { ensureTools, javaCommand, javaVersion, SHORT_LIFE } from '../prerequisites.js';
import { mustAccept } from '../probes.js';
import { Watchdog } from '../processes.js';
import { Progress } from '../progress.js';
import { StackError } from '../stack.js';
import { VERSIONS } from '../versions.js';
import { onFreePorts, type NativeContext } from './context.js';
import { CLASS_PATH, ensureJars, hasJars, type JarSet } from './maven.js';
import { NativePart } from './part.js';

const WRAPPER = 'temporal-test-server';
const CLASS_ARCHIVE = 'classes.jsa';
const MAIN_CLASS = 'io.temporal.testserver.TestServer';
const START_WITHIN_MS = 60_000;
const STOP_WITHIN_MS = 30_000;
const JVM_ARGUMENTS = ['-Xmx256m', ...SHORT_LIFE];

const JARS: JarSet = {
  name: 'temporal-test-server',
  version: VERSIONS.temporalTestServer,
  title: `Temporal's test server ${VERSIONS.temporalTestServer}`,
  artifacts: [
    `io.temporal:temporal-test-server:${VERSIONS.temporalTestServer}`,
    // Otherwise it complains at each start that it has nowhere to log to.
    `org.slf4j:slf4j-nop:${VERSIONS.slf4j}`,
  ],
};

/**
 * The executable of Temporal's time-skipping test server, from Maven Central, for
 * `TestWorkflowEnvironment.createTimeSkipping({ server: { executable: { type: 'existing-path', path } } })`. The first call
 * on a machine downloads it (some seconds). Needs Java, and Maven for the download.
 *
 * @throws StackError PREREQUISITE, SET_UP
 */
export async function timeSkippingServerPath(): Promise<string> {
  const prepared = classesDirectory(await javaVersion());
  if (hasJars(JARS) && isCached(prepared)) return join(prepared, WRAPPER);
  const progress = new Progress(undefined);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-test-server-'));
  watchdog.guardDirectory(dataDir);
  try {
    await ensureTools(
      [
        { tool: 'java', reason: "to run Temporal's test server" },
        ...(hasJars(JARS) ? [] : [{ tool: 'maven', reason: 'to download it once' } as const]),
      ],
      { progress, watchdog, dataDir },
    );
    const jars = await ensureJars(JARS, { progress, watchdog }, (directory) =>
      writeWrapper(directory, '-cp "$directory/jars/*"'),
    );
    return await prepareClasses(jars, { progress, watchdog, dataDir });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
    await watchdog.close();
  }
}

/**
 * A JVM that finds its classes parsed and checked in an archive starts a server in a third of the time, and a test starts
 * one. The archive is written by a server that is started and stopped for it, once for each version of the server and of
 * Java. Without it all works, slower.
 *
 * @returns the executable that uses the archive, or the one without
 */
async function prepareClasses(
  jars: string,
  { progress, watchdog, dataDir }: Pick<NativeContext, 'progress' | 'watchdog' | 'dataDir'>,
): Promise<string> {
  const java = await javaVersion();
  const directory = classesDirectory(java);
  const classPath = join(jars, CLASS_PATH);
  const prepare = (temporary: string): Promise<void> =>
    onFreePorts(1, async ([port]) => {
      const archive = join(temporary, CLASS_ARCHIVE);
      const server = new NativePart(
        {
          name: JARS.name,
          process: {
            command: javaCommand(),
            args: [`-XX:ArchiveClassesAtExit=${archive}`, ...JVM_ARGUMENTS, '-cp', classPath, MAIN_CLASS, String(port)],
            cwd: dataDir,
            logFile: join(dataDir, 'server.log'),
          },
          probe: () => mustAccept(`${HOST}:${port}`),
          startWithinMs: START_WITHIN_MS,
          stopWithinMs: STOP_WITHIN_MS,
        },
        { progress, watchdog },
      );
      await server.start();
      await server.stop();
      if (!existsSync(archive)) throw new StackError('SET_UP', 'This JVM wrote no archive of classes.');
      await writeWrapper(temporary, `-XX:SharedArchiveFile="$directory/${CLASS_ARCHIVE}" -cp "${classPath}"`);
    });
  try {
    await progress.step(JARS.name, `prepare its classes for Java ${java}`, () =>
      fillCache(directory, watchdog, prepare),
    );
    return join(directory, WRAPPER);
  } catch (error) {
    progress.note(JARS.name, `goes on without: ${error instanceof Error ? error.message : String(error)}`);
    return join(jars, WRAPPER);
  }
}

function classesDirectory(java: string): string {
  return cachedDirectory(`${JARS.name}-${JARS.version}-classes`, `java-${java}`);
}

/**
 * Writes the executable. It finds what is beside it by `$directory`, so that the cache can be renamed into place, and ends
 * with the process that started it, even if that one is killed: the library stops the server only when it can.
 */
async function writeWrapper(directory: string, classes: string): Promise<void> {
  const script = [
    '#!/bin/sh',
    'directory=$(dirname "$0")',
    'java=java',
    'if [ -n "$JAVA_HOME" ] && [ -x "$JAVA_HOME/bin/java" ]; then java=$JAVA_HOME/bin/java; fi',
    '(',
    '  while kill -0 "$PPID" && kill -0 "$$"; do sleep 1; done',
    '  kill -0 "$PPID" || kill -9 "$$"',
    ') >/dev/null 2>&1 </dev/null &',
    `exec "$java" ${JVM_ARGUMENTS.join(' ')} ${classes} ${MAIN_CLASS} "$@"`,
    '',
  ].join('\n');
  await writeFile(join(directory, WRAPPER), script);
  await chmod(join(directory, WRAPPER), 0o755);
}
