import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensureTools } from '../prerequisites.js';
import { Watchdog } from '../processes.js';
import { Progress, type StackEvent } from '../progress.js';
import { VERSIONS } from '../versions.js';
import { ensureJars, hasJars, jarDirectory, type JarSet } from './maven.js';

const WRAPPER = 'temporal-test-server';
/**
 * It finds its jars beside itself, so that the cache can be renamed into place, and ends with the process that started it,
 * even if that one is killed: the library stops the server only when it can.
 */
const WRAPPER_SCRIPT = [
  '#!/bin/sh',
  'directory=$(dirname "$0")',
  'java=java',
  'if [ -n "$JAVA_HOME" ] && [ -x "$JAVA_HOME/bin/java" ]; then java=$JAVA_HOME/bin/java; fi',
  '(',
  '  while kill -0 "$PPID" && kill -0 "$$"; do sleep 1; done',
  '  kill -0 "$PPID" || kill -9 "$$"',
  ') >/dev/null 2>&1 </dev/null &',
  'exec "$java" -Xmx256m -cp "$directory/jars/*" io.temporal.testserver.TestServer "$@"',
  '',
].join('\n');

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
export async function timeSkippingServerPath(onProgress?: (event: StackEvent) => void): Promise<string> {
  const path = join(jarDirectory(JARS), WRAPPER);
  if (hasJars(JARS)) return path;
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-test-server-'));
  watchdog.guardDirectory(dataDir);
  try {
    await ensureTools(
      [
        { tool: 'java', reason: "to run Temporal's test server" },
        { tool: 'maven', reason: 'to download it once' },
      ],
      { progress, watchdog, dataDir },
    );
    await ensureJars(JARS, { progress, watchdog }, async (directory) => {
      await writeFile(join(directory, WRAPPER), WRAPPER_SCRIPT);
      await chmod(join(directory, WRAPPER), 0o755);
    });
  } finally {
    await rm(dataDir, { recursive: true, force: true });
    await watchdog.close();
  }
  return path;
}
