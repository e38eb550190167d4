import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cachedDirectory, isCached } from '../cache.js';
import { HOST } from '../ports.js';
import { ensureTools, javaCommand, SHORT_LIFE } from '../prerequisites.js';
import { Watchdog } from '../processes.js';
import { Progress, type StackEvent } from '../progress.js';
import type { StackPart } from '../stack.js';
import { VERSIONS } from '../versions.js';
import { onFreePorts } from './context.js';
import { ensureArchive } from './maven.js';
import { NativePart } from './part.js';

const START_WITHIN_MS = 90_000;
const STOP_WITHIN_MS = 15_000;

const NAME = 'apicurio-registry';
const JAR = `apicurio-registry-app-${VERSIONS.apicurio}-runner.jar`;

/** A running schema registry. */
export interface LocalRegistry {
  /** Of Confluent's API. */
  readonly url: string;
  /** It keeps its schemas in memory: after a stop they are gone. */
  readonly part: StackPart;
  stop(): Promise<void>;
}

/**
 * Starts Apicurio Registry on a free port. The first call on a machine downloads it (140 MB). Needs Java, and Maven for the
 * download.
 *
 * @throws StackError PREREQUISITE, SET_UP, START
 */
export async function startRegistry(onProgress?: (event: StackEvent) => void): Promise<LocalRegistry> {
  const progress = new Progress(onProgress);
  const watchdog = new Watchdog();
  const dataDir = await mkdtemp(join(tmpdir(), 'ktb-registry-'));
  watchdog.guardDirectory(dataDir);
  const remove = async (): Promise<void> => {
    await rm(dataDir, { recursive: true, force: true });
    await watchdog.close();
  };
  try {
    const downloads = !isCached(cachedDirectory(NAME, VERSIONS.apicurio));
    await ensureTools(
      [
        { tool: 'java', reason: 'to run the schema registry' },
        ...(downloads ? [{ tool: 'maven', reason: 'to download it once' } as const] : []),
      ],
      { progress, watchdog, dataDir },
    );
    const directory = await ensureArchive(
      {
        name: NAME,
        version: VERSIONS.apicurio,
        title: `Apicurio Registry ${VERSIONS.apicurio}`,
        artifact: `io.apicurio:apicurio-registry-app:${VERSIONS.apicurio}:tar.gz:all`,
      },
      { progress, watchdog },
    );
    return await onFreePorts(1, async ([port]) => {
      const url = `http://${HOST}:${port}/apis/ccompat/v6`;
      const part = new NativePart(
        {
          name: NAME,
          process: {
            command: javaCommand(),
            args: [
              '-Xmx256m',
              ...SHORT_LIFE,
              `-Dquarkus.http.host=${HOST}`,
              `-Dquarkus.http.port=${port}`,
              '-jar',
              join(directory, JAR),
            ],
            cwd: dataDir,
            logFile: join(dataDir, `registry-${port}.log`),
          },
          probe: async () => {
            const { ok, status } = await fetch(`${url}/subjects`);
            if (!ok) throw new Error(`HTTP ${status}`);
          },
          startWithinMs: START_WITHIN_MS,
          stopWithinMs: STOP_WITHIN_MS,
        },
        { progress, watchdog },
      );
      await part.start();
      return {
        url,
        part,
        stop: async () => {
          await part.stop();
          await remove();
        },
      };
    });
  } catch (error) {
    await remove();
    throw error;
  }
}

/** What a registered schema refers to. */
export interface SchemaReference {
  readonly name: string;
  readonly subject: string;
  readonly version: number;
}

/** Registers a schema and returns its id. */
export async function registerSchema(
  url: string,
  subject: string,
  body: { readonly schema: string; readonly schemaType?: string; readonly references?: readonly SchemaReference[] },
): Promise<number> {
  const response = await fetch(`${url}/subjects/${encodeURIComponent(subject)}/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`the registry refuses the schema: ${response.status}: ${await response.text()}`);
  const { id } = (await response.json()) as { id: number };
  return id;
}
