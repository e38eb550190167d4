import { PipelineConsumer } from '../consumer/pipelineConsumer.js';
import type { KafkaAdmin } from '../kafka/admin.js';
import { createSetAside } from '../kafka/setAside.js';
import { listLayouts } from '../temporal/batcherRuns.js';
import { endInAnyCase } from './endInAnyCase.js';
import { batcherClients, CONSUMER_SHARE_OF_SHUTDOWN, createPublisher, type RunningRole, type Shared } from './role.js';

/** A consumer ends at most two seconds after its deadline. After this time it is left as it is. */
const CONSUMER_LATE_MS = 2_500;

/** Creates a consumer for each pipeline. They are not started yet. */
export function createConsumers(options: Shared & { admin: KafkaAdmin }): RunningRole & { start(): Promise<void> } {
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
