import { log, proxySinks, workflowInfo } from '@temporalio/workflow';
import type { BatcherInput } from '../protocol/batcher.js';
import { inOwnBuffer } from '../protocol/chunkBodies.js';
import type { BatchSpec } from '../protocol/flush.js';
import { FORGOTTEN } from '../protocol/inheritance.js';
import { taskQueueOf } from './activityCalls.js';
import type { BatcherState } from './batcherState.js';
import type { BatcherSinks } from './sinks.js';

const sinks = proxySinks<BatcherSinks>();

/** Makes a function that reports the batcher's present state to the worker. */
export function createReporter(state: BatcherState): () => void {
  let duplicateChunks = 0;
  let refusedSignals = 0;
  return () => {
    const report = state.report();
    sinks.batcher.reported(state.settings.pipeline, {
      ...report,
      duplicateChunks: report.duplicateChunks - duplicateChunks,
      refusedSignals: report.refusedSignals - refusedSignals,
    });
    ({ duplicateChunks, refusedSignals } = report);
  };
}

/** Tells the worker that a run has begun. */
export function reportBeginning({ settings, carried, heirOf }: BatcherInput): void {
  const otherwise = carried === undefined ? 'first' : 'continued';
  sinks.batcher.began(settings.pipeline, heirOf === undefined ? otherwise : 'heir');
}

/** Hands a batch that is stored once to the worker, which may be the one that inserts it. */
export function handOver(state: BatcherState, { id }: BatchSpec, bodies: Uint8Array): void {
  // The worker would throw it away.
  if (workflowInfo().unsafe.isReplaying) return;
  sinks.batcher.taken(taskQueueOf(state), id, inOwnBuffer(bodies));
}

/** Tells the worker, and the log, of partitions that the next run knows nothing of any more. */
export function reportForgotten(state: BatcherState, partitions: number): void {
  sinks.batcher.forgot(state.settings.pipeline, partitions);
  log.warn(FORGOTTEN, { partitions });
}

/** Tells the worker, and the log, whether the run has stopped continuing as new. */
export function reportHolding(state: BatcherState): void {
  sinks.batcher.holding(state.settings.pipeline, state.holding);
  if (state.holding) {
    log.error(
      'The batcher continued as new several times although nothing had arrived, and now stays as it is until something does. ' +
        'Temporal suggests it in each new run: raise limit.historySize.suggestContinueAsNew and limit.historyCount.suggestContinueAsNew',
    );
  }
}
