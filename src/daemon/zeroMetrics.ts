import type { PipelineConfig } from '../config/config.js';
import { EVOLVED_OUTCOMES } from '../clickhouse/evolve/tableEvolution.js';
import { STOP_CAUSES } from '../consumer/lanes/laneStop.js';
import { HELD_REASONS } from '../consumer/partitions/assignedPartition.js';
import { ACK_STATUSES, REJECTION_CODES } from '../protocol/ack.js';
import { FOREIGN_SIGNAL, UNREADABLE_CHUNK } from '../protocol/deadLetter.js';
import { FLUSH_REASONS } from '../protocol/flush.js';
import { DELIVERY_OUTCOMES } from '../protocol/request.js';
import { FALLBACK_CAUSES } from '../protocol/replyRequest.js';
import { FLUSH_STAGES, type Metrics } from '../telemetry/metrics.js';
import { REQUEST_CODES, REQUEST_OPERATIONS } from '../temporal/requestMetrics.js';
import { RUN_BEGINNINGS } from '../workflows/sinks.js';
import type { Role } from './role.js';

/**
 * Sets every metric whose labels are known to zero. If a counter appeared only with its first event, Prometheus would
 * take its first value, 1, for the value that it always had, and would compute no rate for that event. An event before
 * the first scrape is still missed that way: alerts on single events (files/rules.yaml) look for it by the process's age.
 */
export function zeroMetrics(metrics: Metrics, pipelines: readonly PipelineConfig[], role: Role): void {
  for (const operation of REQUEST_OPERATIONS) {
    for (const code of REQUEST_CODES) metrics.temporalRequests.inc({ operation, code }, 0);
  }
  for (const pipeline of pipelines) {
    if (role !== 'worker') zeroConsumerMetrics(metrics, pipeline);
    if (role !== 'consumer') zeroWorkerMetrics(metrics, pipeline);
  }
}

function zeroConsumerMetrics(
  metrics: Metrics,
  { name: pipeline, topics, bufferedBytesMax, settings: { destination } }: PipelineConfig,
): void {
  metrics.waitingBytesLimit.set({ pipeline }, bufferedBytesMax);
  for (const stage of ['start', 'commit', 'signal']) metrics.errors.inc({ pipeline, stage }, 0);
  for (const topic of topics) {
    metrics.consumed.inc({ pipeline, topic }, 0);
    metrics.gaps.inc({ pipeline, topic }, 0);
    metrics.truncations.inc({ pipeline, topic }, 0);
    metrics.unreadableBatches.inc({ pipeline, topic }, 0);
    metrics.unserved.set({ pipeline, topic }, 0);
  }
  const { assigned, paused, waiting, waitingBytes, oldestWaiting, stuckTasks } = metrics;
  for (const gauge of [assigned, paused, waiting, waitingBytes, oldestWaiting, stuckTasks]) gauge.set({ pipeline }, 0);
  metrics.backpressureSeconds.inc({ pipeline }, 0);
  for (const cause of STOP_CAUSES) metrics.stoppedLanes.set({ pipeline, cause }, 0);
  for (const outcome of ['ok', 'failed']) metrics.commits.inc({ pipeline, outcome }, 0);
  for (const outcome of ['signalled', 'started', 'retried', 'refused']) metrics.signals.inc({ pipeline, outcome }, 0);
  for (const closed of ['drained', 'unexpectedly']) metrics.heirs.inc({ pipeline, closed }, 0);
  for (const reason of HELD_REASONS) metrics.held.set({ pipeline, reason }, 0);
  metrics.rebalances.inc({ pipeline }, 0);
  metrics.consumerDown.set({ pipeline }, 0);
  for (const cause of ['refused', 'failed']) metrics.consumerFailures.inc({ pipeline, cause }, 0);
  metrics.signalledRecords.inc({ pipeline }, 0);
  metrics.signalSeconds.zero({ pipeline });
  for (const code of [REJECTION_CODES.tooLarge, REJECTION_CODES.unencodable])
    metrics.deadLetters.inc({ pipeline, code }, 0);
  metrics.leftOut.inc({ topic: destination.deadLetterTopic }, 0);
}

function zeroWorkerMetrics(metrics: Metrics, { name: pipeline, settings: { destination } }: PipelineConfig): void {
  const { deadLetterTopic, reply } = destination;
  const replyTopics = reply === undefined ? [] : [reply.topic, ...reply.allowTopics];
  for (const topic of [deadLetterTopic, ...replyTopics]) metrics.leftOut.inc({ topic }, 0);
  for (const reason of FLUSH_REASONS) metrics.flushes.inc({ pipeline, reason }, 0);
  for (const stage of ['insert', 'publish']) metrics.errors.inc({ pipeline, stage }, 0);
  for (const code of ['publish', 'unexpected']) metrics.flushErrors.inc({ pipeline, code }, 0);
  for (const begun of RUN_BEGINNINGS) metrics.batcherRuns.inc({ pipeline, begun }, 0);
  for (const stage of FLUSH_STAGES) metrics.flushStageSeconds.zero({ pipeline, stage });
  for (const outcome of ACK_STATUSES) metrics.completed.inc({ pipeline, outcome }, 0);
  for (const outcome of EVOLVED_OUTCOMES) metrics.evolvedFields.inc({ pipeline, outcome }, 0);
  for (const outcome of ['ok', 'failed']) metrics.inserts.inc({ pipeline, outcome }, 0);
  for (const status of ACK_STATUSES) metrics.acks.inc({ pipeline, status }, 0);
  for (const outcome of DELIVERY_OUTCOMES) metrics.confirmations.inc({ pipeline, outcome }, 0);
  for (const cause of FALLBACK_CAUSES) metrics.replyFallbacks.inc({ pipeline, cause }, 0);
  for (const code of [...Object.values(REJECTION_CODES), FOREIGN_SIGNAL, UNREADABLE_CHUNK])
    metrics.deadLetters.inc({ pipeline, code }, 0);
  for (const counter of [
    metrics.rows,
    metrics.foundRows,
    metrics.missedByViews,
    metrics.flushRetries,
    metrics.bodyReads,
    metrics.duplicateChunks,
    metrics.refusedSignals,
    metrics.lostBatches,
    metrics.forgottenPartitions,
  ])
    counter.inc({ pipeline }, 0);
  const { flushSeconds, endToEndSeconds, insertRows } = metrics;
  for (const histogram of [flushSeconds, endToEndSeconds, insertRows]) histogram.zero({ pipeline });
}
