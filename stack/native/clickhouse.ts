import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { HOST } from '../ports.js';
import { probeClickHouse } from '../probes.js';
import { StackError } from '../stack.js';
import { onFreePorts, type NativeContext } from './context.js';
import { NativePart } from './part.js';

const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 15_000;
/** As many statements run at once: each one keeps a thread of libuv, whose default is 4. */
const STATEMENTS_AT_ONCE = 32;

/** ClickHouse of a native stack. */
export interface NativeClickHouse {
  readonly url: string;
  readonly part: NativePart;
}

/** Starts the engine of npm's chdb behind its HTTP front. */
export async function startClickHouse(context: NativeContext): Promise<NativeClickHouse> {
  await ensurePlatform();
  return context.progress.step('clickhouse', 'start ClickHouse', () =>
    onFreePorts(1, async ([port = 0]) => {
      const directory = join(context.dataDir, `clickhouse-${port}`);
      await mkdir(directory, { recursive: true });
      const url = `http://${HOST}:${port}`;
      const part = new NativePart(
        {
          name: 'clickhouse',
          process: {
            command: process.execPath,
            args: [
              '--import',
              pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href,
              join(import.meta.dirname, 'clickhouse-front.ts'),
              '--host',
              HOST,
              '--port',
              String(port),
              '--data',
              join(directory, 'data'),
            ],
            cwd: directory,
            env: {
              UV_THREADPOOL_SIZE: String(STATEMENTS_AT_ONCE),
              NODE_OPTIONS: undefined,
              // Else tsx leaves a folder of its own behind, outside the stack's.
              TSX_DISABLE_CACHE: '1',
            },
            logFile: join(directory, 'clickhouse.log'),
          },
          probe: () => probeClickHouse(url),
          startWithinMs: START_WITHIN_MS,
          stopWithinMs: STOP_WITHIN_MS,
        },
        context,
      );
      await part.start(context.signal);
      return { url, part };
    }),
  );
}

async function ensurePlatform(): Promise<void> {
  try {
    const { resolveLibchdb } = await import('chdb/libchdb');
    resolveLibchdb();
  } catch (error) {
    throw new StackError(
      'PREREQUISITE',
      `npm's chdb, the ClickHouse engine of the native stack, is not installed for ${process.platform}-${process.arch}: ` +
        'it comes for Linux (glibc) and macOS, x64 and arm64. Run npm ci there, without --omit=optional; elsewhere use a ' +
        'Docker engine (KTB_STACK_FLAVOUR=docker).',
      { cause: error },
    );
  }
}
