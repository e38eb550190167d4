import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { cachedDirectory, fillCache, isCached } from '../../stack/cache.js';
import { ensureTools, pythonVersion } from '../../stack/prerequisites.js';
import { runCommand, Watchdog } from '../../stack/processes.js';
import { Progress, type StackEvent } from '../../stack/progress.js';
import { VERSIONS } from '../../stack/versions.js';
import type { Confirmation } from '../../src/records/request.js';

const SCRIPT = fileURLToPath(new URL('./requester.py', import.meta.url));
const TIMEOUT_MS = 150_000;

export interface PythonRequests {
  /** Of Temporal. */
  readonly address: string;
  readonly pipeline: string;
  /** The bridge's. */
  readonly taskQueue: string;
  /** Of a workflow each. */
  readonly values: readonly string[];
}

/** Runs requesters of Temporal's Python SDK to their ends. The confirmations, in the order of the values. */
export async function requestWithPython(
  { address, pipeline, taskQueue, values }: PythonRequests,
  onProgress?: (event: StackEvent) => void,
): Promise<Confirmation[]> {
  const python = await ensurePython(onProgress);
  const parameters = [SCRIPT, address, pipeline, taskQueue, ...values];
  const { stdout } = await promisify(execFile)(python, parameters, { timeout: TIMEOUT_MS });
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Confirmation);
}

/** A Python with Temporal's SDK, in a virtual environment in the cache. */
async function ensurePython(onProgress?: (event: StackEvent) => void): Promise<string> {
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-python-'));
  watchdog.guardDirectory(dataDir);
  try {
    const reason = 'to run a requester of the Python SDK';
    await ensureTools([{ tool: 'python', reason }], { progress, watchdog, dataDir });
    // The environment is of the Python that made it.
    const directory = cachedDirectory('temporalio', `${VERSIONS.temporalio}-python-${await pythonVersion()}`);
    if (!isCached(directory)) {
      const title = `install temporalio ${VERSIONS.temporalio} with pip`;
      await progress.step('temporalio', title, () =>
        fillCache(directory, watchdog, async (temporary) => {
          const run = (command: string, args: readonly string[]) =>
            runCommand({ command, args, cwd: temporary, logFile: join(dataDir, 'pip.log') }, watchdog);
          await run('python3', ['-m', 'venv', temporary]);
          const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input'];
          await run(join(temporary, 'bin', 'python'), [...pip, `temporalio==${VERSIONS.temporalio}`]);
        }),
      );
    }
    return join(directory, 'bin', 'python');
  } finally {
    await rm(dataDir, { recursive: true, force: true });
    await watchdog.close();
  }
}
