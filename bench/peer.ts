import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Stack } from '../stack/index.js';
import { cachedDirectory, fillCache } from '../stack/cache.js';
import { commandOutput, runCommand, Watchdog } from '../stack/processes.js';
import type { Destination } from './destination.js';
import { drain, type DrainResult } from './drain.js';

const SOURCE = join(import.meta.dirname, 'peer');
const BUILT_OF = ['main.go', 'go.mod', 'go.sum'];

/** The peer's configurations, and whether its rows say which record they are. */
export const PEER_CONFIGURATIONS = {
  identities: { file: 'identities.yaml', identities: true },
  rows: { file: 'rows.yaml', identities: false },
};

/** The peer's program, built with Go where the cache does not have it (a minute); undefined where there is no Go. */
export async function buildPeer(): Promise<string | undefined> {
  const sources = await Promise.all(BUILT_OF.map((file) => readFile(join(SOURCE, file))));
  const version = createHash('sha256').update(Buffer.concat(sources)).digest('hex').slice(0, 12);
  const directory = cachedDirectory('bench-peer', version);
  if ((await commandOutput('go', ['version'])) === undefined) return undefined;
  const watchdog = new Watchdog();
  try {
    await fillCache(directory, watchdog, async (temporary) => {
      const source = join(temporary, 'source');
      await mkdir(source);
      for (const file of BUILT_OF) await copyFile(join(SOURCE, file), join(source, file));
      await runCommand(
        {
          command: 'go',
          args: ['build', '-trimpath', '-ldflags', '-s -w', '-o', join(temporary, 'peer'), '.'],
          cwd: source,
          logFile: join(temporary, 'go.log'),
        },
        watchdog,
      );
      await rm(source, { recursive: true });
    });
  } finally {
    await watchdog.close();
  }
  return join(directory, 'peer');
}

/** Drains a backlog by the peer. It says nothing of partitions, so the clock starts with the process (up in 0.2 s). */
export function drainByPeer(
  stack: Stack,
  destination: Destination,
  { program, file }: { readonly program: string; readonly file: string },
): Promise<DrainResult> {
  return drain(stack, destination, [
    {
      command: program,
      args: ['-c', join(SOURCE, file)],
      env: {
        BROKERS: stack.kafka.brokers.join(','),
        CLICKHOUSE: stack.clickhouse.url,
        TOPIC: destination.backlog.topic,
        REPLY_TOPIC: destination.replyTopic,
        TABLE: destination.table,
        NAME: destination.name,
      },
    },
  ]);
}
