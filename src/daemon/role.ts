import type { Client } from '@temporalio/client';
import type { Kafka } from 'kafkajs';
import type { Config, PipelineConfig } from '../config/config.js';
import type { Decoders } from '../formats/decoders.js';
import type { Installations } from '../installation/installations.js';
import { producerFactory } from '../kafka/producers.js';
import { Publisher } from '../kafka/publisher.js';
import { batcherWorkflowId } from '../protocol/batcherId.js';
import type { Layout } from '../protocol/layout.js';
import type { BatcherSettings } from '../protocol/settings.js';
import type { Logger, StateLog } from '../telemetry/logging.js';
import type { Metrics } from '../telemetry/metrics.js';
import { TemporalBatcherClient } from '../temporal/batcherClient.js';
import type { PayloadCipher } from '../codecs/payloadCipher.js';
import { createTemporalClient } from '../temporal/connect.js';
import type { FollowingConnection } from '../temporal/followingConnection.js';
import { countRequests, requestCounter } from '../temporal/requestMetrics.js';

/** What a process does: read records, flush batches, or both. */
export type Role = 'consumer' | 'worker' | 'both';

/** The consumers of a process, or its workers. */
export interface RunningRole {
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

/** What consumers and workers are made of. */
export interface Shared {
  readonly config: Config;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly stateLog: StateLog;
  readonly kafka: Kafka;
  readonly temporal: FollowingConnection;
  /** Encrypts and decrypts all that goes to Temporal and comes from it. */
  readonly cipher: PayloadCipher;
  readonly installations: Installations;
  /** Undefined if no schema registry is configured. Both roles have the same one, so each schema is asked for once. */
  readonly decoders: Decoders | undefined;
  /** The most bytes that Temporal takes in one payload. */
  readonly payloadBytesMax: number;
}

/** The consumers' part of the time that a shutdown may take. The rest is for the workers. */
export const CONSUMER_SHARE_OF_SHUTDOWN = 0.6;

export type BatcherOf = (pipeline: PipelineConfig, layout: Layout, index: number) => TemporalBatcherClient;

/** A client whose requests are counted, and the batchers through it. */
export function batcherClients({ config, metrics, temporal, cipher, installations }: Shared): {
  readonly client: Client;
  readonly batcherOf: BatcherOf;
} {
  const { taskQueue, requestTimeoutMs } = config.temporal;
  const counted = requestCounter(metrics);
  const client = createTemporalClient(temporal, config.temporal, {
    interceptors: [countRequests(counted)],
    cipher,
  });
  const batcherOf: BatcherOf = (pipeline, layout, index) => {
    const workflowId = batcherWorkflowId(pipeline.name, layout, index);
    const settings = (): BatcherSettings => {
      installations.mustHave(pipeline.name);
      return installations.settingsOf(pipeline);
    };
    return new TemporalBatcherClient(client, { workflowId, taskQueue, settings, requestTimeoutMs, counted });
  };
  return { client, batcherOf };
}

/** A publisher whose failures are counted. */
export function createPublisher({
  kafka,
  metrics,
  stateLog,
}: Pick<Shared, 'kafka' | 'metrics' | 'stateLog'>): Publisher {
  const onError = (): void => metrics.publishErrors.inc();
  const onLeftOut = (topic: string): void => metrics.leftOut.inc({ topic });
  return new Publisher({ createProducer: producerFactory(kafka), stateLog, onError, onLeftOut });
}
