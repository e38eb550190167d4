import { PipelineConsumer } from '../consumer/pipelineConsumer.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { createSetAside } from '../kafka/setAside.js';
import { batcherWorkflowIds } from '../protocol/batcherId.js';
import { listLayouts } from '../temporal/batcherRuns.js';
import { unreadableBatcher } from '../temporal/unreadableBatcher.js';
import { endInAnyCase } from './endInAnyCase.js';
import { MissingKeyHold } from './missingKeyHold.js';
import { batcherClients, CONSUMER_SHARE_OF_SHUTDOWN, createPublisher, type RunningRole, type Shared } from './role.js';

/** A consumer ends at most two seconds after its deadline. After this time it is left as it is. */
const CONSUMER_LATE_MS = 2_500;

/** Creates a consumer for each pipeline. They are not started yet. */
export function createConsumers(options: Shared & { admin: KafkaAdmin }): RunningRole & { start(): Promise<void> } {
  const { config, metrics, logger, stateLog, kafka, admin, installations, cipher, decoders } = options;
  const { client, batcherOf } = batcherClients(options);
  const publisher = createPublisher(options);
  const consumers = config.pipelines.map((pipeline) => {
    return new PipelineConsumer({
      pipeline,
      kafkaConfig: config.kafka,
      kafka,
      admin,
      decoders,
      batcher: (layout, index) => batcherOf(pipeline, layout, index),
      batcherSettings: () => installations.settingsOf(pipeline),
      layouts: () => listLayouts(client, pipeline.name),
      setAside: createSetAside(publisher, pipeline.settings, metrics),
      metrics,
      logger,
      stateLog,
    });
  });
  const ending = new AbortController();
  // With keys it finds out for each batcher what that takes, before it sends.
  const holds = (cipher.hasKeys ? [] : config.pipelines).map(({ name, layout }) => {
    const ask = () => unreadableBatcher(client, batcherWorkflowIds(name, layout));
    return new MissingKeyHold(name, ask, stateLog);
  });
  return {
    clients: [{ name: 'publisher of the consumers', close: () => publisher.close() }],
    start: async () => {
      await Promise.all(
        consumers.map(async (consumer, index) => {
          await holds[index]?.untilReadable(ending.signal);
          if (!ending.signal.aborted) await consumer.start();
        }),
      );
    },
    problems: () => [...holds, ...consumers].flatMap(({ problem }) => problem ?? []),
    drain: async (deadlineMs) => {
      ending.abort();
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
