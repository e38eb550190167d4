import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { ensureTools, type Need } from '../prerequisites.js';
import { Progress } from '../progress.js';
import { Watchdog } from '../processes.js';
import { StackError, type PartName, type Stack, type StackOptions } from '../stack.js';
import { assemble, type StartedParts } from '../assemble.js';
import { startClickHouse } from './clickhouse.js';
import type { NativeContext } from './context.js';
import { startHaproxy } from './haproxy.js';
import { KAFKA_JARS, startKafka } from './kafka.js';
import { hasJars } from './maven.js';
import type { NativePart } from './part.js';
import { buildTemporal, findTemporal, startTemporal } from './temporal.js';
import { createTlsFiles } from './tls.js';

/** Starts the parts as processes of this machine; see {@link Stack}. */
export async function startNativeStack(options: StackOptions, names: ReadonlySet<PartName>): Promise<Stack> {
  const progress = new Progress(options.onProgress);
  const watchdog = new Watchdog();
  // The watchdog works in another directory.
  const dataDir = await mkdtemp(join(resolve(options.dataIn ?? tmpdir()), 'ktb-stack-'));
  watchdog.guardDirectory(dataDir);

  const failed = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
  const context: NativeContext = { dataDir, progress, watchdog, signal };
  const started: NativePart[] = [];
  const close = once(async () => {
    await progress.step('stack', 'stop', async () => {
      await Promise.all(started.map((part) => part.close()));
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
      watchdog.releaseDirectory(dataDir);
      await watchdog.close();
    });
  });

  try {
    const parts = await startParts(options, names, { context, started, failed });
    return assemble({ parts, flavour: 'native', dataDir, stop: close });
  } catch (error) {
    await close();
    throw error;
  }
}

async function startParts(
  options: StackOptions,
  names: ReadonlySet<PartName>,
  deps: { readonly context: NativeContext; readonly started: NativePart[]; readonly failed: AbortController },
): Promise<StartedParts> {
  const { context, started } = deps;
  let firstFailure: { readonly error: unknown } | undefined;
  // When one part cannot start the others are not waited for; theirs are failures that follow from it.
  const start = async <T>(name: PartName, run: () => Promise<T>): Promise<T | undefined> => {
    if (!names.has(name)) return undefined;
    try {
      return await run();
    } catch (error) {
      firstFailure ??= { error };
      deps.failed.abort(error);
      return undefined;
    }
  };

  // ClickHouse needs nothing of the machine, so it starts while the others are being looked for.
  const clickhouse = start('clickhouse', async () => {
    const clickhouse = await startClickHouse(context);
    started.push(clickhouse.part);
    return clickhouse;
  });
  const tools = prepareTools(options, names, context);
  // Kafka waits for it, and reports what goes wrong.
  const tls = tools.then(() => (options.tls === true ? createTlsFiles(context.dataDir) : undefined));
  tls.catch(() => undefined);
  const kafka = start('kafka', async () => {
    await tools;
    const kafka = await startKafka(options, context, await tls);
    started.push(...kafka.parts);
    return kafka;
  });
  const temporal = start('temporal', async () => {
    const executable = (await tools) ?? (await buildTemporal(context));
    const temporal = await startTemporal(executable, options, context);
    started.push(temporal.part);
    return temporal;
  });

  const haproxy = start('clickhouse', async () => {
    const files = await tls;
    const [clickhousePart, temporalPart] = await Promise.all([clickhouse, temporal]);
    if (files === undefined || clickhousePart === undefined || temporalPart === undefined) return undefined;
    const backends = { temporal: temporalPart.address, clickhouse: new URL(clickhousePart.url).host };
    const haproxy = await startHaproxy(files, backends, context);
    started.push(haproxy.part);
    return { files, addresses: haproxy.addresses };
  });

  const outcome = {
    clickhouse: await clickhouse,
    kafka: await kafka,
    temporal: await temporal,
    haproxy: await haproxy,
  };
  if (firstFailure) throw abortedOr(firstFailure.error, options.signal);
  return {
    ...(outcome.kafka ? { kafka: { addresses: { brokers: outcome.kafka.brokers }, parts: outcome.kafka.parts } } : {}),
    ...(outcome.temporal
      ? {
          temporal: {
            addresses: {
              address: outcome.temporal.address,
              ...(outcome.temporal.uiUrl === undefined ? {} : { uiUrl: outcome.temporal.uiUrl }),
            },
            part: outcome.temporal.part,
          },
        }
      : {}),
    ...(outcome.haproxy && outcome.kafka
      ? {
          tls: {
            ...outcome.haproxy.files.client,
            ...outcome.haproxy.addresses,
            kafka: { saslBrokers: outcome.kafka.saslBrokers, mutualBrokers: outcome.kafka.mutualBrokers },
          },
        }
      : {}),
    ...(outcome.clickhouse
      ? {
          clickhouse: {
            addresses: { url: outcome.clickhouse.url, username: 'default', password: '', database: 'default' },
            part: outcome.clickhouse.part,
          },
        }
      : {}),
  };
}

/** Sees that everything is there that the parts need, all at once; gives back the Temporal CLI unless it is to be built. */
async function prepareTools(
  { tls = false }: StackOptions,
  names: ReadonlySet<PartName>,
  context: NativeContext,
): Promise<string | undefined> {
  const temporal = names.has('temporal') ? await findTemporal(context) : undefined;
  const needs: Need[] = [];
  if (names.has('kafka')) {
    needs.push({ tool: 'java', reason: 'to run Kafka' });
    if (!hasJars(KAFKA_JARS)) needs.push({ tool: 'maven', reason: 'to download Kafka once' });
  }
  if (names.has('temporal') && temporal === undefined) {
    needs.push({
      tool: 'go',
      reason: 'to build the Temporal CLI once, which is not installed and could not be downloaded',
    });
  }
  if (tls) {
    needs.push({ tool: 'haproxy', reason: 'for TLS in front of Temporal and ClickHouse' });
    needs.push({ tool: 'openssl', reason: 'to make certificates' });
  }
  try {
    await ensureTools(needs, context);
  } catch (error) {
    if (!(error instanceof StackError) || error.code !== 'PREREQUISITE') throw error;
    const hint = tls ? '' : '\nWith a Docker engine none of this is needed: KTB_STACK_FLAVOUR=docker.';
    throw new StackError('PREREQUISITE', `${error.message}${hint}`, { cause: error });
  }
  return temporal;
}

function abortedOr(error: unknown, signal: AbortSignal | undefined): unknown {
  if (!signal?.aborted) return error;
  return new StackError('ABORTED', 'The start of the local stack was given up.', { cause: signal.reason });
}

/** The first call does it, every further one waits for it. */
function once(run: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= run());
}
