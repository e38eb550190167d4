import { existsSync } from 'node:fs';
import { chmod, copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { cachedDirectory, fillCache, isCached } from '../cache.js';
import { HOST } from '../ports.js';
import { probeTemporal } from '../probes.js';
import { commandOutput, runCommand } from '../processes.js';
import { StackError, throwIfAborted, type StackOptions } from '../stack.js';
import { TEMPORAL_ENVIRONMENT, temporalArguments } from '../temporalArguments.js';
import { VERSIONS } from '../versions.js';
import { onFreePorts, type NativeContext } from './context.js';
import { NativePart } from './part.js';

const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 10_000;
const DOWNLOAD_WITHIN_MS = 120_000;
const EXECUTABLE = 'temporal';

/** Temporal's server of a native stack. */
export interface NativeTemporal {
  readonly address: string;
  readonly uiUrl?: string;
  readonly part: NativePart;
}

/**
 * Finds the Temporal CLI of the pinned version without building it: in the cache, on the PATH or where `go install` puts
 * it, else by the download of `@temporalio/testing`, which is then kept in the cache. Undefined when there is none.
 */
export async function findTemporal(context: NativeContext): Promise<string | undefined> {
  const cached = join(cacheDirectory(), EXECUTABLE);
  if (existsSync(cached)) return cached;
  const installed = await installedTemporal();
  if (installed) return installed;
  try {
    await context.progress.step('temporal', `download the Temporal CLI ${VERSIONS.temporalCli}`, () =>
      fillCache(cacheDirectory(), context.watchdog, (temporary) => download(temporary, context.signal)),
    );
    return cached;
  } catch (error) {
    throwIfAborted(context.signal);
    context.progress.note(
      'temporal',
      `the download did not work: ${error instanceof Error ? error.message : String(error)}`,
    );
    return undefined;
  }
}

/** Builds the Temporal CLI with Go (some minutes) and keeps it in the cache. */
export async function buildTemporal(context: NativeContext): Promise<string> {
  const directory = cacheDirectory();
  if (!isCached(directory)) {
    await context.progress.step(
      'temporal',
      `build the Temporal CLI ${VERSIONS.temporalCli} with Go (some minutes)`,
      () =>
        fillCache(directory, context.watchdog, async (temporary) => {
          const logFile = join(temporary, 'go-install.log');
          await runCommand(
            {
              command: 'go',
              args: [
                'install',
                '-trimpath',
                '-ldflags=-s -w',
                `github.com/temporalio/cli/cmd/temporal@v${VERSIONS.temporalCli}`,
              ],
              cwd: temporary,
              env: { GOBIN: temporary },
              logFile,
            },
            context.watchdog,
            context.signal,
          );
          await rm(logFile);
        }),
    );
  }
  return join(directory, EXECUTABLE);
}

/** Starts the dev server with a database file, so that it survives being killed. */
export async function startTemporal(
  executable: string,
  options: Pick<StackOptions, 'ui' | 'temporalDynamicConfig'>,
  context: NativeContext,
): Promise<NativeTemporal> {
  return context.progress.step('temporal', 'start Temporal', () =>
    onFreePorts(2, async ([port = 0, uiPort = 0]) => {
      const directory = join(context.dataDir, `temporal-${port}`);
      await mkdir(directory, { recursive: true });
      const address = `${HOST}:${port}`;
      const part = new NativePart(
        {
          name: 'temporal',
          process: {
            command: executable,
            args: temporalArguments({ ip: HOST, port, uiPort, databaseFile: join(directory, 'temporal.db') }, options),
            cwd: directory,
            env: { ...withoutTemporalVariables(), ...TEMPORAL_ENVIRONMENT },
            logFile: join(directory, 'temporal.log'),
          },
          probe: () => probeTemporal(address),
          startWithinMs: START_WITHIN_MS,
          stopWithinMs: STOP_WITHIN_MS,
        },
        context,
      );
      await part.start(context.signal);
      return { address, part, ...(options.ui ? { uiUrl: `http://${HOST}:${uiPort}` } : {}) };
    }),
  );
}

function cacheDirectory(): string {
  return cachedDirectory('temporal', VERSIONS.temporalCli);
}

async function installedTemporal(): Promise<string | undefined> {
  const goBin =
    process.env['GOBIN'] ?? join(process.env['GOPATH']?.split(delimiter)[0] ?? join(homedir(), 'go'), 'bin');
  for (const command of [EXECUTABLE, join(goBin, EXECUTABLE)]) {
    const version = await commandOutput(command, ['--version']);
    if (version && isPinned(version)) return command;
  }
  return undefined;
}

/** `temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)`; one built from source says `0.0.0-DEV` before the parenthesis. */
function isPinned(version: string): boolean {
  return (
    version.includes(`version ${VERSIONS.temporalCli} `) || version.includes(`(Server ${VERSIONS.temporalServer},`)
  );
}

async function download(temporary: string, signal: AbortSignal): Promise<void> {
  // The library downloads only what it starts, so one server is started and ended.
  const { TestWorkflowEnvironment } = await import('@temporalio/testing');
  const downloads = join(temporary, 'downloads');
  await mkdir(downloads);
  const environment = TestWorkflowEnvironment.createLocal({
    server: { executable: { type: 'cached-download', downloadDir: downloads, version: `v${VERSIONS.temporalCli}` } },
  });
  const server = await withDeadline(environment, DOWNLOAD_WITHIN_MS, signal);
  await server.teardown();
  const [name] = await readdir(downloads);
  if (!name) throw new StackError('SET_UP', 'The download of the Temporal CLI left no file.');
  const executable = join(temporary, EXECUTABLE);
  await copyFile(join(downloads, name), executable);
  await chmod(executable, 0o755);
  await rm(downloads, { recursive: true });
}

async function withDeadline<T extends { teardown(): Promise<void> }>(
  started: Promise<T>,
  withinMs: number,
  signal: AbortSignal,
): Promise<T> {
  const deadline = AbortSignal.any([AbortSignal.timeout(withinMs), signal]);
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      reject(new StackError('SET_UP', `The download of the Temporal CLI took more than ${withinMs / 1000} s.`));
      // It cannot be interrupted; if it comes through later, nothing of it may stay.
      started.then((late) => late.teardown()).catch(() => undefined);
    };
    deadline.addEventListener('abort', giveUp, { once: true });
    started.then(resolve, reject).finally(() => deadline.removeEventListener('abort', giveUp));
  });
}

/** The variables that a person's own Temporal is configured by would configure this one too. */
function withoutTemporalVariables(): Record<string, undefined> {
  const names = Object.keys(process.env).filter((name) => name.startsWith('TEMPORAL_'));
  return Object.fromEntries(names.map((name) => [name, undefined]));
}
