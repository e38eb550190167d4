import type { InjectedSinks } from '@temporalio/worker';
import type { BatchBodies } from '../activities/batchBodies.js';
import { batcherIndexOf } from '../protocol/batcherId.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { BatcherSinks } from '../workflows/sinks.js';

/**
 * Turns what batchers tell this worker into metrics, and keeps the batches that they hand over.
 *
 * @param flushesOf the task queues whose flushes this process executes
 */
export function batcherSinks(
  metrics: Metrics,
  bodies: Pick<BatchBodies, 'keep'>,
  flushesOf: readonly string[],
): InjectedSinks<BatcherSinks> {
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
          metrics.refusedSignals.inc({ pipeline }, report.refusedSignals);
          metrics.reportedAt.set(labels, Math.round(Date.now() / 1000));
        },
      },
      taken: {
        fn: ({ workflowId }, taskQueue, batchId, bytes) => {
          // Other installations share the workflows, not the flushes.
          if (flushesOf.includes(taskQueue)) bodies.keep(workflowId, batchId, bytes);
        },
      },
      refusedResult: {
        fn: () => {
          metrics.refusedActivities.inc();
        },
      },
      forgot: {
        fn: (_info, pipeline, partitions) => {
          metrics.forgottenPartitions.inc({ pipeline }, partitions);
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
