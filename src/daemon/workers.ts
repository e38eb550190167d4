import { hostname } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ClickHouseClient } from '@clickhouse/client';
import type { Client } from '@temporalio/client';
import type { WorkerOptions } from '@temporalio/worker';
import { activitiesMax, type AdmissionLimits } from '../activities/admission.js';
import { BatchBodies } from '../activities/batchBodies.js';
import { boundActivities } from '../activities/boundActivities.js';
import { createBeat } from '../activities/heartbeats.js';
import { createActivities } from '../activities/index.js';
import { flushesMax } from '../lib/clickhouseConnections.js';
import { TableEvolution } from '../clickhouse/evolve/tableEvolution.js';
import type { ClickHouseTables } from '../clickhouse/tables.js';
import type { Publisher } from '../kafka/publisher.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { TopicPartitions } from '../kafka/topicPartitions.js';
import { requestsTaskQueue, type RequesterActivities } from '../protocol/request.js';
import { signalRequester } from '../temporal/signalRequester.js';
import { BatcherOpener } from '../temporal/batcherOpener.js';
import { dataConverterOf } from '../temporal/encryption.js';
import { RunHistories } from '../temporal/runHistories.js';
import { batcherSinks } from './batcherSinks.js';
import { endInAnyCase } from './endInAnyCase.js';
import { LastingWorker } from './lastingWorker.js';
import {
  batcherClients,
  CONSUMER_SHARE_OF_SHUTDOWN,
  createPublisher,
  type BatcherOf,
  type RunningRole,
  type Shared,
} from './role.js';
import { UnwatchedWorker } from './unwatchedWorker.js';

/**
 * How long a workflow task waits for the worker that has its batcher in memory. If that was killed, its batchers stand
 * still for so long. The SDK's default of 10 s is twice as long as those for Go and Java. A task that waits because the
 * worker is busy loses nothing: if the same worker takes it later, it still has the batcher in memory.
 */
const WAIT_FOR_OWN_WORKER = '5 seconds';

/** Calls of `openBatcher` that a worker answers at the same time. */
const OPENINGS_AT_ONCE = 50;

/**
 * Flushes of one pipeline that wait in a worker for a slot, at most, with up to 1.4 MB each. There is room for the
 * waiting flushes of all pipelines, and of one more that only another member has. So no pipeline's flushes keep
 * another's away from the worker.
 */
const WAITING_OF_PIPELINE_MAX = 8;

/** A worker ends when it is forced to. After this extra time it is left as it is. */
const WORKER_LATE_MS = 500;

const WORKFLOW_BUNDLE = fileURLToPath(new URL('../workflows/bundle.js', import.meta.url));

type WorkersOptions = Shared & {
  readonly tables: ClickHouseTables;
  readonly clickhouse: ClickHouseClient;
  readonly admin: KafkaAdmin;
};

/** Starts a worker for each task queue: of the batchers, of their flushes where these have one of their own, and of requests. */
export function startWorkers(options: WorkersOptions): RunningRole {
  const { config, metrics, logger, stateLog, admin } = options;
  const { client, batcherOf } = batcherClients(options);
  const publisher = createPublisher(options);
  const partitions = new TopicPartitions(admin, stateLog);
  const histories = new RunHistories(client, config.temporal.namespace, options.payloadBytesMax);
  const batchBodies = new BatchBodies(histories, metrics);
  const draining = new AbortController();
  const activities = createFlushActivities(options, {
    draining: draining.signal,
    client,
    publisher,
    partitions,
    histories,
    batchBodies,
  });
  const workers = [
    ...flushWorkers(options, activities, batcherSinks(metrics, batchBodies, options.installations.taskQueues)),
    requestWorker(options, batcherOf),
  ].map((ofQueue) => {
    const { taskQueue } = ofQueue;
    metrics.workerFailures.inc({ task_queue: taskQueue }, 0);
    const worker = new LastingWorker({
      taskQueue,
      create: async () => {
        const worker = await UnwatchedWorker.create(workerOptions(options, ofQueue));
        options.temporal.adopt(worker);
        return worker;
      },
      stateLog,
      failed: () => metrics.workerFailures.inc({ task_queue: taskQueue }),
    });
    return { name: `worker of ${taskQueue}`, worker };
  });
  for (const { worker } of workers) worker.start();
  return {
    clients: [{ name: 'publisher of the workers', close: () => publisher.close() }],
    problems: () => workers.flatMap(({ worker }) => worker.problem ?? []),
    drain: async () => {
      draining.abort();
      const waitMs = forceTimeMs(config) + WORKER_LATE_MS;
      await Promise.all(workers.map(({ name, worker }) => endInAnyCase(logger, name, waitMs, () => worker.drain())));
    },
  };
}

/** What one worker does: its task queue, and its workflows or activities. */
type OfQueue = Partial<WorkerOptions> & { readonly taskQueue: string };

/** The options of a worker: what it does, and what is the same for all. */
export function workerOptions(
  {
    config,
    temporal,
    cipher,
  }: Pick<Shared, 'config' | 'cipher'> & { readonly temporal: Pick<Shared['temporal'], 'native'> },
  ofQueue: OfQueue,
): WorkerOptions {
  return {
    connection: temporal.native,
    namespace: config.temporal.namespace,
    identity: `ktb-${process.pid}@${hostname()}`,
    dataConverter: dataConverterOf(cipher),
    shutdownGraceTime: forceTimeMs(config) / 2,
    shutdownForceTime: forceTimeMs(config),
    ...ofQueue,
  };
}

/** Milliseconds after which a worker that drains is forced to end. */
function forceTimeMs({ shutdownDeadlineMs }: Shared['config']): number {
  return shutdownDeadlineMs * (1 - CONSUMER_SHARE_OF_SHUTDOWN);
}

type FlushActivities = ReturnType<typeof createActivities>;

function createFlushActivities(
  options: WorkersOptions,
  {
    client,
    draining,
    ...parts
  }: {
    readonly draining: AbortSignal;
    readonly client: Client;
    readonly publisher: Publisher;
    readonly partitions: TopicPartitions;
    readonly histories: RunHistories;
    readonly batchBodies: BatchBodies;
  },
): FlushActivities {
  const { config, cipher, decoders, tables, metrics, logger, stateLog, installations, payloadBytesMax } = options;
  const { namespace, encryption } = config.temporal;
  const activities = createActivities({
    ...parts,
    decoders,
    tables,
    evolution: new TableEvolution(options.clickhouse, config.clickhouse.database),
    metrics,
    logger,
    stateLog,
    beat: createBeat(client, namespace),
    deliverConfirmation: signalRequester(client),
    payloadBytesMax,
    requiresEncryption: encryption.required,
    ofOther: (pipeline, named) => installations.ofOther(pipeline, named),
    admission: { ...admissionOf(options), draining },
  });
  if (!cipher.hasKeys) return activities;
  return boundActivities(activities, {
    required: encryption.required,
    refused: (what) => {
      metrics.refusedActivities.inc();
      logger.warn(`Refused: ${what}`);
    },
  });
}

function admissionOf({ config: { worker, clickhouse, pipelines } }: Shared): AdmissionLimits {
  const slots = worker.maxConcurrentFlushes;
  return {
    slots,
    flushesMax: flushesMax(clickhouse.maxConnections, slots, pipelines.length),
    waitingMax: WAITING_OF_PIPELINE_MAX,
  };
}

/**
 * The worker of the shared task queue executes the workflows. They touch nothing of an installation, so the workers of all
 * installations share them. Flushes are executed on the task queues of this installation.
 */
function flushWorkers(options: Shared, activities: FlushActivities, sinks: ReturnType<typeof batcherSinks>): OfQueue[] {
  const { config, metrics, installations } = options;
  const limits = admissionOf(options);
  metrics.flushesLimit.set(limits.slots);
  const flushing = {
    activities,
    maxConcurrentActivityTaskExecutions: activitiesMax(limits, config.pipelines.length + 1),
    // The activities wait until each heartbeat is sent.
    maxHeartbeatThrottleInterval: 1,
  };
  const { taskQueues } = installations;
  const { taskQueue } = config.temporal;
  return [
    {
      taskQueue,
      workflowBundle: { codePath: WORKFLOW_BUNDLE },
      stickyQueueScheduleToStartTimeout: WAIT_FOR_OWN_WORKER,
      sinks,
      ...(taskQueues.includes(taskQueue) ? flushing : {}),
    },
    ...taskQueues.filter((own) => own !== taskQueue).map((own) => ({ taskQueue: own, ...flushing })),
  ];
}

/** Opens batchers for requests of workflows. */
function requestWorker({ config, installations }: Shared, batcherOf: BatcherOf): OfQueue {
  const opener = new BatcherOpener({
    pipelines: config.pipelines,
    batcher: batcherOf,
    settingsOf: (pipeline) => installations.settingsOf(pipeline),
    isClaimed: (pipeline) => installations.isClaimed(pipeline),
  });
  const activities: RequesterActivities = { openBatcher: (request) => opener.open(request) };
  return {
    taskQueue: requestsTaskQueue(config.temporal.taskQueue),
    activities,
    maxConcurrentActivityTaskExecutions: OPENINGS_AT_ONCE,
  };
}
