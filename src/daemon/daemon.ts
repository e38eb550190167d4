import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Client } from '@temporalio/client';
import {
  DefaultLogger,
  Runtime,
  Worker,
  type InjectedSinks,
  type NativeConnection,
  type RuntimeOptions,
  type WorkerOptions,
} from '@temporalio/worker';
import type { Kafka } from 'kafkajs';
import { ClickHouseTables } from '../clickhouse/tables.js';
import { createBeat } from '../activities/heartbeats.js';
import { createActivities } from '../activities/index.js';
import { RunHistories } from '../temporal/runHistories.js';
import {
  checkClickHouse,
  checkKafka,
  checkTemporal,
  warnOfSharedTables,
  warnOfSmallDeadLetterTopics,
  warnOfWeakTables,
} from './startUpChecks.js';
import { createClickHouse, createLookUps } from '../clickhouse/clients.js';
import { createTemporalClient } from '../temporal/connect.js';
import type { Config, PipelineConfig } from '../config/config.js';
import { listLayouts, signalRequester, TemporalBatcherClient } from '../temporal/batcherClient.js';
import { BatcherOpener } from '../temporal/batcherOpener.js';
import { PipelineConsumer } from '../consumer/pipelineConsumer.js';
import { Claims } from '../installation/claims.js';
import { gatherEvidence } from '../installation/evidence.js';
import { Installations } from '../installation/installations.js';
import { Membership } from '../installation/membership.js';
import { createAdmin, type KafkaAdmin } from '../kafka/admin.js';
import { createKafka } from '../kafka/clients.js';
import { FEW_RETRIES, producerFactory, Publisher } from '../kafka/publisher.js';
import { createSetAside } from '../kafka/setAside.js';
import { TopicPartitions } from '../kafka/topicPartitions.js';
import { messageOf } from '../lib/messageOf.js';
import { readPayloadLimit, withPayloadLimit } from '../temporal/payloadLimit.js';
import { batcherIndexOf, batcherWorkflowId, type Layout } from '../protocol/batcherId.js';
import { reachTemporal } from '../connections/openParts.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { requestsTaskQueue, type RequesterActivities } from '../protocol/request.js';
import { endInAnyCase } from './endInAnyCase.js';
import { listenError } from '../lib/listening.js';
import { LastingWorker } from './lastingWorker.js';
import { zeroMetrics } from './zeroMetrics.js';
import { DependencyMonitor, type Check } from '../telemetry/dependencies.js';
import { startHealthServer } from '../telemetry/healthServer.js';
import { createLogger, StateLog, type Logger } from '../telemetry/logging.js';
import { countRequests, requestCounter } from '../temporal/requestMetrics.js';
import { createMetrics, type Dependency, type Metrics } from '../telemetry/metrics.js';
import { temporalLog } from '../telemetry/temporalLog.js';
import { takeUnhandledErrors } from './unhandledErrors.js';
import { VERSION } from '../lib/version.js';
import type { BatcherSinks } from '../workflows/sinks.js';

/** What a process does: read records, flush batches, or both. */
export type Role = 'consumer' | 'worker' | 'both';

export interface DaemonOptions {
  readonly config: Config;
  readonly role: Role;
  /** Aborted to end the daemon: it drains. */
  readonly signal: AbortSignal;
}

/** Calls of `openBatcher` that a worker answers at the same time. */
const OPENINGS_AT_ONCE = 50;

/**
 * Flushes of one pipeline that wait in a worker for a slot, at most, with up to 1.4 MB each. There is room for the
 * waiting flushes of all pipelines, and of one more that only another member has. So no pipeline's flushes keep
 * another's away from the worker.
 */
const WAITING_OF_PIPELINE_MAX = 8;

/** The consumers' part of the time that a shutdown may take. The rest is for the worker. */
const CONSUMER_SHARE_OF_SHUTDOWN = 0.6;

/**
 * A consumer ends at most two seconds after its deadline, a worker when it is forced to. After this extra time they are
 * left as they are.
 */
const CONSUMER_LATE_MS = 2_500;
const WORKER_LATE_MS = 500;
/**
 * Time to close all connections at once, which is the last step. A connection to Kafka waits for the answers that are
 * due on it, as long as a request may take. With the times above, this ends before `ktb run` kills the process.
 */
const CLOSE_MS = 1_000;

const WORKFLOW_BUNDLE = fileURLToPath(new URL('../workflows/bundle.js', import.meta.url));

/**
 * Runs the daemon until its signal is aborted.
 *
 *     waiting for dependencies ──► running ──signal──► draining ──► ended (0)
 *               └──signal──► ended (0)       └──fatal error──► draining ──► ended (1)
 *
 * The parts do not depend on each other: a consumer that cannot start yet does not stop the others from running. A
 * consumer or worker that fails is replaced by a new one. A part that fails to end does not stop the others from
 * ending. Fatal are only errors without which the daemon cannot start (the health server's address is taken, a bug
 * throws), and an error of our own code that nobody catches.
 *
 * @returns the process's exit code
 */
export async function runDaemon({ config, role, signal }: DaemonOptions): Promise<number> {
  const logger = createLogger(config.log);
  const stateLog = new StateLog(logger);
  const metrics = createMetrics();
  zeroMetrics(metrics, config.pipelines, role);
  metrics.buildInfo.set({ version: VERSION, node: process.version }, 1);
  installTemporalRuntime(logger, config.http.temporalListen);

  const kafka = createKafka(config.kafka, logger);
  const admin = createAdmin(kafka);
  const clickhouse = createClickHouse(config.clickhouse);
  const lookUps = createLookUps(config.clickhouse);
  const tables = new ClickHouseTables(clickhouse, config.clickhouse.database, config.clickhouse.settings, lookUps);
  let temporal: NativeConnection | undefined;
  let payloadBytesMax: number | undefined;

  const checks = new Map<Dependency, Check>([
    ['kafka', () => checkKafka(admin, config)],
    [
      'temporal',
      async () => {
        temporal ??= await reachTemporal(config.temporal);
        await checkTemporal(temporal, config);
        payloadBytesMax ??= await readPayloadLimit(temporal, config.temporal);
      },
    ],
  ]);
  if (role !== 'consumer') checks.set('clickhouse', () => checkClickHouse(clickhouse, tables, admin, config));
  const dependencies = new DependencyMonitor(checks, metrics, stateLog);

  const fatal = new AbortController();
  const onFatal = (error: Error): void => {
    if (!fatal.signal.aborted) logger.error({ error: error.message }, 'Something failed for good; the daemon ends');
    fatal.abort(error);
  };
  const ending = AbortSignal.any([signal, fatal.signal]);
  const failed = (error: unknown): void => {
    if (!ending.aborted) onFatal(error instanceof Error ? error : new Error(String(error)));
  };
  const leaveUnhandledErrors = takeUnhandledErrors({
    logger,
    ofKafkajs: () => metrics.unhandledErrors.inc(),
    fatal: onFatal,
  });
  ending.addEventListener('abort', () => {
    dependencies.stop();
  });
  const roles: RunningRole[] = [];
  let begun = false;
  let membership: Membership | undefined;
  const readiness = (): string[] => [
    ...(ending.aborted ? ['draining'] : []),
    ...dependencies.problems,
    ...(membership?.problems ?? []),
    ...(begun ? [] : ['starting']),
    ...roles.flatMap((part) => part.problems()),
  ];
  const http = await startHealthServer(config.http, metrics.registry, readiness);
  logger.info({ role, version: VERSION, port: http.port }, 'Starting');

  try {
    await dependencies.untilUp();
    if (temporal === undefined || payloadBytesMax === undefined) throw new Error('Temporal is up without a connection');
    await unlessAway(logger, () => warnOfSmallDeadLetterTopics(admin, config, logger));
    const claims = new Claims(createTemporalClient(temporal, config.temporal), config.temporal.requestTimeoutMs);
    const asked = role === 'consumer' ? null : tables;
    const limited = withPayloadLimit(config, payloadBytesMax);
    if (limited !== config)
      logger.warn(
        { payloadBytesMax },
        'Temporal takes smaller payloads than by default: signals and batches are smaller, too',
      );
    const installations = new Installations({
      config: limited,
      claims,
      evidence: () => gatherEvidence(config, admin, asked),
      mayName: role !== 'consumer',
    });
    membership = new Membership(installations, stateLog);
    await membership.untilSettled(ending);
    void dependencies.watch();
    void membership.watch(ending);
    const shared = { config: limited, payloadBytesMax, metrics, logger, stateLog, kafka, temporal, installations };
    if (role !== 'consumer') {
      await unlessAway(logger, () => warnOfWeakTables(tables, admin, config, logger));
      await unlessAway(logger, () => warnOfSharedTables(admin, config, logger));
      roles.push(startWorkers({ ...shared, tables }));
    }
    if (role !== 'worker') {
      const consumers = createConsumers({ ...shared, admin });
      roles.push(consumers);
      // Each consumer starts by itself. To find out where to start it may wait for Kafka or for batchers, and it can be
      // drained meanwhile.
      consumers.start().catch(failed);
    }
    ending.throwIfAborted();
    begun = true;
    const pipelines = config.pipelines.map(({ name }) => name);
    // A consumer does not ask ClickHouse, so only its Kafka tells installations apart. This line shows a person whose
    // pipelines it feeds.
    const names = new Set(pipelines.map((name) => installations.of(name)?.name ?? null));
    logger.info({ role, pipelines, installations: [...names] }, 'Running');
    await aborted(ending);
  } catch (error) {
    failed(error);
  }

  logger.info('Draining');
  const deadlineMs = performance.now() + config.shutdownDeadlineMs;
  // Consumers are drained first, so that the worker still accepts what they have handed over.
  for (const part of roles.reverse()) await part.drain(deadlineMs);
  await Promise.all(
    [
      ...roles.flatMap((part) => [...part.clients]),
      { name: 'connection of the Kafka admin client', close: () => admin.disconnect() },
      { name: 'connection to ClickHouse', close: () => clickhouse.close() },
      { name: 'connection for look-ups', close: () => lookUps.client.close() },
      { name: 'connection to Temporal', close: async () => temporal?.close() },
      { name: 'health server', close: () => http.close() },
    ].map(({ name, close }) => endInAnyCase(logger, name, CLOSE_MS, close)),
  );
  leaveUnhandledErrors();
  logger.info('Ended');
  return fatal.signal.aborted ? 1 : 0;
}

/** A check that only warns must not stop the start. What it asks may be away again since the first check. */
async function unlessAway(logger: Logger, warn: () => Promise<void>): Promise<void> {
  try {
    await warn();
  } catch (error) {
    logger.debug({ error: messageOf(error) }, 'What there is to warn of could not be found out');
  }
}

interface RunningRole {
  /** Connections to close after all roles are drained, each with its name for the log. */
  readonly clients: readonly { readonly name: string; readonly close: () => Promise<unknown> }[];
  /** What stands in the way of readiness. */
  problems(): string[];
  /**
   * Never rejects, and ends soon after the deadline, even if something does not answer.
   *
   * @param deadlineMs by `performance.now()`, which is never set back
   */
  drain(deadlineMs: number): Promise<void>;
}

interface Shared {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
  readonly kafka: Kafka;
  readonly temporal: NativeConnection;
  readonly installations: Installations;
  /** The most bytes that Temporal takes in one payload. */
  readonly payloadBytesMax: number;
}

/** Creates the consumers. They are not started yet. */
function createConsumers(options: Shared & { admin: KafkaAdmin }): RunningRole & { start(): Promise<void> } {
  const { config, metrics, logger, stateLog, kafka, admin, installations } = options;
  const { client, batcherOf } = batcherClients(options);
  const publisher = createPublisher(options);
  const consumers = config.pipelines.map((pipeline) => {
    return new PipelineConsumer({
      pipeline,
      kafkaConfig: config.kafka,
      kafka,
      admin,
      batcher: (layout, index) => batcherOf(pipeline, layout, index),
      batcherSettings: () => installations.settingsOf(pipeline),
      layouts: () => listLayouts(client, pipeline.name),
      setAside: createSetAside(publisher, pipeline.settings, metrics),
      metrics,
      logger,
      stateLog,
    });
  });
  return {
    clients: [{ name: 'publisher of the consumers', close: () => publisher.close() }],
    start: async () => {
      await Promise.all(consumers.map((consumer) => consumer.start()));
    },
    problems: () => consumers.flatMap(({ problem }) => problem ?? []),
    drain: async (deadlineMs) => {
      const nowMs = performance.now();
      const consumersDeadlineMs = nowMs + (deadlineMs - nowMs) * CONSUMER_SHARE_OF_SHUTDOWN;
      await Promise.all(
        consumers.map((consumer) =>
          endInAnyCase(
            logger,
            `consumer of ${consumer.name}`,
            Math.max(0, consumersDeadlineMs - performance.now()) + CONSUMER_LATE_MS,
            () => consumer.drain(consumersDeadlineMs),
          ),
        ),
      );
    },
  };
}

function startWorkers(options: Shared & { tables: ClickHouseTables }): RunningRole {
  const { config, metrics, logger, stateLog, kafka, temporal, tables, installations } = options;
  const { client, batcherOf } = batcherClients(options);
  const histories = new RunHistories(client, config.temporal.namespace);
  const publisher = createPublisher(options);
  const admin = kafka.admin({ retry: FEW_RETRIES });
  const partitions = new TopicPartitions(admin);
  const slots = config.worker.maxConcurrentFlushes;
  const admission = { slots, ofPipelineMax: slots + WAITING_OF_PIPELINE_MAX };
  const activities = createActivities({
    tables,
    histories,
    publisher,
    partitions,
    metrics,
    logger,
    stateLog,
    beat: createBeat(client, config.temporal.namespace),
    deliverConfirmation: signalRequester(client),
    payloadBytesMax: options.payloadBytesMax,
    ofOther: (pipeline, named) => installations.ofOther(pipeline, named),
    admission,
  });
  const { taskQueue, namespace } = config.temporal;
  const opener = new BatcherOpener({
    pipelines: config.pipelines,
    batcher: batcherOf,
    settingsOf: (pipeline) => installations.settingsOf(pipeline),
    isClaimed: (pipeline) => installations.isClaimed(pipeline),
  });
  const requesterActivities: RequesterActivities = { openBatcher: (request) => opener.open(request) };
  const shared = {
    connection: temporal,
    namespace,
    identity: `ktb-${process.pid}@${hostname()}`,
    shutdownGraceTime: (config.shutdownDeadlineMs * (1 - CONSUMER_SHARE_OF_SHUTDOWN)) / 2,
    shutdownForceTime: config.shutdownDeadlineMs * (1 - CONSUMER_SHARE_OF_SHUTDOWN),
  };
  const flushing = {
    activities,
    maxConcurrentActivityTaskExecutions: admission.ofPipelineMax * (config.pipelines.length + 1),
    // The activities wait until each heartbeat is sent.
    maxHeartbeatThrottleInterval: 1,
  } as const;
  const { taskQueues } = installations;
  metrics.flushesLimit.set(slots);
  const workers = (
    [
      // Workflow tasks touch nothing of an installation. The workers of all installations that share the task queue do
      // them.
      {
        ...shared,
        taskQueue,
        workflowBundle: { codePath: WORKFLOW_BUNDLE },
        sinks: batcherSinks(metrics),
        ...(taskQueues.includes(taskQueue) ? flushing : {}),
      },
      ...taskQueues.filter((own) => own !== taskQueue).map((own) => ({ ...shared, taskQueue: own, ...flushing })),
      {
        ...shared,
        taskQueue: requestsTaskQueue(taskQueue),
        activities: requesterActivities,
        maxConcurrentActivityTaskExecutions: OPENINGS_AT_ONCE,
      },
    ] satisfies WorkerOptions[]
  ).map((workerOptions: WorkerOptions) => {
    const labels = { task_queue: workerOptions.taskQueue };
    metrics.workerFailures.inc(labels, 0);
    const worker = new LastingWorker({
      taskQueue: workerOptions.taskQueue,
      create: () => Worker.create(workerOptions),
      stateLog,
      failed: () => metrics.workerFailures.inc(labels),
    });
    return { name: `worker of ${workerOptions.taskQueue}`, worker };
  });
  for (const { worker } of workers) worker.start();
  return {
    clients: [
      { name: 'publisher of the workers', close: () => publisher.close() },
      { name: 'connection for the partitions of topics', close: () => admin.disconnect() },
    ],
    problems: () => workers.flatMap(({ worker }) => worker.problem ?? []),
    drain: async () => {
      const waitMs = shared.shutdownForceTime + WORKER_LATE_MS;
      await Promise.all(workers.map(({ name, worker }) => endInAnyCase(logger, name, waitMs, () => worker.drain())));
    },
  };
}

/** A client whose requests are counted, and the batchers through it. */
function batcherClients({ config, metrics, temporal, installations }: Shared): {
  readonly client: Client;
  readonly batcherOf: (pipeline: PipelineConfig, layout: Layout, index: number) => TemporalBatcherClient;
} {
  const { taskQueue, requestTimeoutMs } = config.temporal;
  const counted = requestCounter(metrics);
  const client = createTemporalClient(temporal, config.temporal, [countRequests(counted)]);
  const batcherOf = (pipeline: PipelineConfig, layout: Layout, index: number): TemporalBatcherClient => {
    const workflowId = batcherWorkflowId(pipeline.name, layout, index);
    const settings = (): BatcherSettings => installations.settingsOf(pipeline);
    return new TemporalBatcherClient(client, { workflowId, taskQueue, settings, requestTimeoutMs, counted });
  };
  return { client, batcherOf };
}

function createPublisher({ kafka, metrics, stateLog }: Pick<Shared, 'kafka' | 'metrics' | 'stateLog'>): Publisher {
  const onError = (): void => metrics.publishErrors.inc();
  const onLeftOut = (topic: string): void => metrics.leftOut.inc({ topic });
  return new Publisher({ createProducer: producerFactory(kafka), stateLog, onError, onLeftOut });
}

function batcherSinks(metrics: Metrics): InjectedSinks<BatcherSinks> {
  return {
    batcher: {
      began: {
        fn: (_info, pipeline, begun) => {
          metrics.batcherRuns.inc({ pipeline, begun });
        },
      },
      reported: {
        fn: ({ workflowId }, pipeline, report) => {
          const labels = { pipeline, batcher: batcherIndexOf(workflowId) };
          metrics.buffered.set(labels, report.records);
          metrics.oldestUnacknowledged.set(labels, (report.oldestAcceptedAtMs ?? 0) / 1000);
          metrics.batcherPaused.set(labels, report.paused ? 1 : 0);
          metrics.inherited.set(labels, report.inheritedBatches);
          metrics.coverageRanges.set(labels, report.coverageRanges);
          metrics.duplicateChunks.inc({ pipeline }, report.duplicateChunks);
          metrics.reportedAt.set(labels, Math.round(Date.now() / 1000));
        },
      },
      holding: {
        fn: ({ workflowId }, pipeline, holding) => {
          metrics.holding.set({ pipeline, batcher: batcherIndexOf(workflowId) }, holding ? 1 : 0);
        },
      },
    },
  };
}

/** Metric names as Prometheus wants them: `temporal_request_latency_seconds`, `temporal_request_total`. */
const SDK_METRIC_NAMES = { countersTotalSuffix: true, unitSuffix: true, useSecondsForDurations: true };

/**
 * Makes the SDK log through the daemon's logger, and not react to the process's signals.
 *
 * @throws Error if the address for metrics cannot be used
 */
function installTemporalRuntime(logger: Logger, bindAddress: string | null): void {
  const options: RuntimeOptions = {
    shutdownSignals: [],
    logger: new DefaultLogger('WARN', temporalLog(logger)),
    telemetryOptions: {
      logging: { filter: { core: 'ERROR', other: 'ERROR' } },
      ...(bindAddress === null ? {} : { metrics: { prometheus: { bindAddress, ...SDK_METRIC_NAMES } } }),
    },
  };
  try {
    Runtime.install(options);
  } catch (error) {
    if (bindAddress === null) throw error;
    throw listenError(error, 'http.temporalListen', bindAddress);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
