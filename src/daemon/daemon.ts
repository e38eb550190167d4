import type { ClickHouseClient } from '@clickhouse/client';
import type { Kafka } from 'kafkajs';
import { createClickHouse, createLookUps } from '../clickhouse/clients.js';
import { serversOf } from '../clickhouse/servers.js';
import { ClickHouseTables } from '../clickhouse/tables.js';
import type { Config } from '../config/config.js';
import { secretProblems } from '../config/followedSecrets.js';
import type { LoadedConfig } from '../config/load.js';
import { reachTemporal } from '../connections/openParts.js';
import { Decoders } from '../formats/decoders.js';
import { SchemaRegistry } from '../formats/schemaRegistry.js';
import { Claims } from '../installation/claims.js';
import { gatherEvidence } from '../installation/evidence.js';
import { Installations, setName } from '../installation/installations.js';
import { InstallationWatch } from '../installation/installationWatch.js';
import { createAdmin, type KafkaAdmin } from '../kafka/admin.js';
import { createKafka } from '../kafka/clients.js';
import { messageOf } from '../lib/messageOf.js';
import { VERSION } from '../lib/version.js';
import { hasOwnTaskQueue } from '../protocol/installation.js';
import { PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';
import { DependencyMonitor, PartialProblem, type Check } from '../telemetry/dependencyMonitor.js';
import { startHealthServer } from '../telemetry/healthServer.js';
import { createLogger, StateLog, type Logger } from '../telemetry/logging.js';
import { createMetrics, type Dependency } from '../telemetry/metrics.js';
import { createCipher, createPlainClient } from '../temporal/connect.js';
import { FollowingConnection } from '../temporal/followingConnection.js';
import { readPayloadLimit } from '../temporal/namespaceLimit.js';
import { createConsumers } from './consumers.js';
import { aborted, End } from './end.js';
import { endInAnyCase } from './endInAnyCase.js';
import { followConfig } from './followConfig.js';
import { createGroupUse } from './groupUse.js';
import type { Role, RunningRole, Shared } from './role.js';
import { watchSecrets } from './secretWatch.js';
import {
  checkClickHouse,
  checkKafka,
  checkTemporal,
  warnOfSharedTables,
  warnOfSmallDeadLetterTopics,
  warnOfWeakTables,
} from './startUpChecks.js';
import { reportMissingKeys } from './missingKeys.js';
import { logServerChanges } from './serverChanges.js';
import { openMetrics } from './openMetrics.js';
import { installTemporalRuntime } from './temporalRuntime.js';
import { takeUnhandledErrors } from './unhandledErrors.js';
import { unlessAway } from './unlessAway.js';
import { zeroMetrics } from './zeroMetrics.js';

export interface DaemonOptions {
  /** The configuration file, which is followed. */
  readonly file: string;
  /** What it has at the start. */
  readonly loaded: LoadedConfig;
  readonly role: Role;
  /** Aborted to end the daemon: it drains. */
  readonly signal: AbortSignal;
}

/**
 * Time to close all connections at once, which is the last step. A connection to Kafka waits for the answers that are
 * due on it, as long as a request may take. With the times that consumers and workers take, this ends before `ktb run`
 * kills the process.
 */
const CLOSE_MS = 1_000;

/**
 * Runs the daemon until its signal is aborted.
 *
 *     waiting for dependencies ──► running ──signal──► draining ──► ended (0)
 *               └──signal──► ended (0)       └──fatal error──► draining ──► ended (1)
 *
 * The parts do not depend on each other: a consumer that cannot start yet does not stop the others from running. A
 * consumer or worker that fails is replaced by a new one. A part that fails to end does not stop the others from
 * ending. Only these errors are fatal: those that keep the daemon from starting (the health server's address is taken, a
 * bug throws), and an error of our own code that nobody catches.
 *
 * @returns the process's exit code
 */
export async function runDaemon({ file, loaded, role, signal }: DaemonOptions): Promise<number> {
  const { config } = loaded;
  const logger = createLogger(config.log);
  const stateLog = new StateLog(logger);
  const metrics = createMetrics();
  zeroMetrics(metrics, config.pipelines, role);
  metrics.buildInfo.set({ version: VERSION, node: process.version }, 1);
  installTemporalRuntime(logger, config.http.temporalListen);
  const open = openMetrics(config.http);
  if (open !== null) logger.warn(open);

  const parts = createParts(config, logger, stateLog);
  const dependencies = new DependencyMonitor(checksOf(parts, config, role), metrics, stateLog);
  const end = new End(signal, logger);
  const leaveUnhandledErrors = takeUnhandledErrors({
    logger,
    ofKafkajs: () => metrics.unhandledErrors.inc(),
    fatal: (error) => end.fatal(error),
  });
  end.signal.addEventListener('abort', () => {
    dependencies.stop();
  });
  const leaveFile = followConfig({ ...parts, file, loaded, metrics, logger, stateLog, ending: end.signal });
  const running: Running = { roles: [], installation: null, begun: false };
  const http = await startHealthServer(config.http, metrics.registry, () => [
    ...(end.signal.aborted ? ['draining'] : []),
    ...dependencies.problems,
    ...(running.installation?.problems ?? []),
    ...(running.begun ? [] : ['starting']),
    ...running.roles.flatMap((part) => part.problems()),
  ]);
  logger.info({ role, version: VERSION, port: http.port }, 'Starting');

  try {
    await dependencies.untilUp();
    void dependencies.watch();
    void watchSecrets(() => secretProblems(config), stateLog, end.signal);
    await begin(running, { config, role, parts, metrics, logger, stateLog, end });
    await aborted(end.signal);
  } catch (error) {
    end.failed(error);
  }

  logger.info('Draining');
  const deadlineMs = performance.now() + config.shutdownDeadlineMs;
  // Consumers are drained first, so that the workers still accept what they have handed over.
  for (const part of running.roles.toReversed()) await part.drain(deadlineMs);
  await Promise.all(
    [
      ...running.roles.flatMap((part) => [...part.clients]),
      { name: 'connection of the Kafka admin client', close: () => parts.admin.disconnect() },
      { name: 'connection to ClickHouse', close: () => parts.clickhouse.close() },
      { name: 'connection for look-ups', close: () => parts.lookUps.client.close() },
      { name: 'connection to the schema registry', close: () => Promise.resolve(parts.registry?.close()) },
      { name: 'connection to Temporal', close: async () => parts.temporal?.close() },
      { name: 'health server', close: () => http.close() },
    ].map(({ name, close }) => endInAnyCase(logger, name, CLOSE_MS, close)),
  );
  leaveUnhandledErrors();
  leaveFile();
  logger.info('Ended');
  return end.exitCode;
}

/** The parts of the daemon that run already. */
interface Running {
  readonly roles: RunningRole[];
  installation: InstallationWatch | null;
  begun: boolean;
}

interface BeginOptions extends Pick<Shared, 'config' | 'metrics' | 'logger' | 'stateLog'> {
  readonly role: Role;
  readonly parts: Parts;
  readonly end: End;
}

/** Claims the pipelines, then starts the roles of this process. All dependencies are up. */
async function begin(running: Running, options: BeginOptions): Promise<void> {
  const { config, role, parts, metrics, logger, stateLog, end } = options;
  const { kafka, admin, clickhouse, tables, registry, temporal, payloadBytesMax } = parts;
  if (temporal === null || payloadBytesMax === null) throw new Error('Temporal is up without a connection');
  await unlessAway(logger, end.signal, () => warnOfSmallDeadLetterTopics(admin, config, logger));
  if (payloadBytesMax < PAYLOAD_BYTES_MAX)
    logger.warn(
      { payloadBytesMax },
      'Temporal takes smaller payloads than by default: signals and batches are smaller, too',
    );
  const client = createPlainClient(temporal, config.temporal);
  const cipher = createCipher(config.temporal, reportMissingKeys(metrics, stateLog));
  const installations = new Installations({
    config,
    payloadBytesMax,
    claims: new Claims(client, config.temporal.requestTimeoutMs),
    groupUse: createGroupUse(config, admin, client),
    evidence: () => gatherEvidence(config, admin, role === 'consumer' ? null : tables),
    mayName: role !== 'consumer',
  });
  running.installation = new InstallationWatch(installations, stateLog);
  await running.installation.untilSettled(end.signal);
  void running.installation.watch(end.signal);
  const shared = {
    config,
    payloadBytesMax,
    metrics,
    logger,
    stateLog,
    kafka,
    temporal,
    cipher,
    installations,
    decoders: registry && new Decoders(registry),
  };
  if (role !== 'consumer') {
    await unlessAway(logger, end.signal, () => warnOfWeakTables(tables, admin, config, logger));
    await unlessAway(logger, end.signal, () => warnOfSharedTables(admin, config, logger));
    // Consumers do without the 400 files of the SDK's workers.
    const { startWorkers } = await import('./workers.js');
    end.signal.throwIfAborted();
    running.roles.push(startWorkers({ ...shared, tables, admin, clickhouse }));
  }
  end.signal.throwIfAborted();
  if (role !== 'worker') {
    const consumers = createConsumers({ ...shared, admin });
    running.roles.push(consumers);
    // Each consumer starts by itself. To find out where to start it may wait for Kafka or for batchers, and it can be
    // drained meanwhile.
    consumers.start().catch((error: unknown) => end.failed(error));
  }
  running.begun = true;
  metrics.running.set(1);
  const pipelines = config.pipelines.map(({ name }) => name);
  warnOfFurther(installations, config, logger);
  // A consumer does not ask ClickHouse, so only its Kafka tells installations apart. This line shows a person whose
  // pipelines it feeds.
  const names = new Set(pipelines.map((name) => installations.of(name)?.name ?? null));
  logger.info({ role, pipelines, installations: [...names] }, 'Running');
}

/** KEDA's triggers know the first installation of a task queue, and those whose names are configured. */
function warnOfFurther(
  installations: Pick<Installations, 'of'>,
  { installation, pipelines, temporal }: Config,
  logger: Pick<Logger, 'warn'>,
): void {
  if (installation !== null) return;
  const all = new Set(pipelines.map(({ name }) => installations.of(name)));
  const names = [...all].flatMap((one) => one?.name ?? []);
  for (const further of all)
    if (further !== null && hasOwnTaskQueue(further))
      logger.warn(
        { installation: further.name, activities: further.taskQueue, taskQueue: temporal.taskQueue },
        `The task queue belongs to an installation with another Kafka, ClickHouse or database. So the activities of this one have a task queue of their own: ${setName(further.name, names)}, so that KEDA knows it`,
      );
}

/** The clients of the parts that the daemon connects. */
interface Parts {
  readonly kafka: Kafka;
  readonly admin: KafkaAdmin;
  readonly clickhouse: ClickHouseClient;
  readonly lookUps: ReturnType<typeof createLookUps>;
  readonly tables: ClickHouseTables;
  /** Undefined if none is configured. */
  readonly registry: SchemaRegistry | undefined;
  /** Null until Temporal has answered. */
  temporal: FollowingConnection | null;
  /** Bytes that Temporal takes in one payload. Null until Temporal has said it. */
  payloadBytesMax: number | null;
}

function createParts(config: Config, logger: Logger, stateLog: StateLog): Parts {
  const kafka = createKafka(config.kafka, logger);
  const clickhouse = createClickHouse(config.clickhouse);
  const lookUps = createLookUps(config.clickhouse);
  logServerChanges(serversOf(config.clickhouse), stateLog);
  const tables = new ClickHouseTables(clickhouse, config.clickhouse.database, config.clickhouse.settings, lookUps);
  const registry = config.schemaRegistry === null ? undefined : new SchemaRegistry(config.schemaRegistry);
  const admin = createAdmin(kafka);
  return { kafka, admin, clickhouse, lookUps, tables, registry, temporal: null, payloadBytesMax: null };
}

/** The dependencies that have to answer before anything begins. They are checked again at intervals. */
function checksOf(parts: Parts, config: Config, role: Role): Map<Dependency, Check> {
  const { admin, clickhouse, tables } = parts;
  const checks = new Map<Dependency, Check>([
    ['kafka', () => checkKafka(admin, config)],
    [
      'temporal',
      async () => {
        parts.temporal ??= await FollowingConnection.open(config.temporal, reachTemporal);
        const notFollowed = await parts.temporal.follow().then(() => null, messageOf);
        await checkTemporal(parts.temporal, config);
        parts.payloadBytesMax ??= await readPayloadLimit(parts.temporal, config.temporal);
        if (notFollowed !== null)
          throw new PartialProblem(`the new certificates do not work, and the old ones are used: ${notFollowed}`);
      },
    ],
  ]);
  if (role !== 'consumer') checks.set('clickhouse', () => checkClickHouse(clickhouse, tables, admin, config));
  return checks;
}
