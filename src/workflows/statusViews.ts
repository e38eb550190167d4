import type { BatcherStatus } from '../protocol/batcher.js';
import type { BatcherSettings } from '../protocol/settings.js';
import type { BatcherParts } from './batcherParts.js';
import { isHolding, type HistoryView } from './continuation.js';
import type { BatcherReport } from './sinks.js';

/**
 * The answer to the status query.
 *
 * @param readsInheritance whether the run is an heir that has not read its inheritance yet
 */
export function batcherStatus(
  { buffer, counters, controls, flushes, progress, leftovers, requests, confirmations, coverage }: BatcherParts,
  { pipeline, encryption }: BatcherSettings,
  readsInheritance: boolean,
  { continueAsNewSuggested, length, bytes }: HistoryView,
): BatcherStatus {
  const { current } = flushes;
  return {
    pipeline,
    bufferedRecords: buffer.records,
    bufferedBytes: buffer.bytes,
    oldestAcceptedAtMs: buffer.oldestAcceptedAtMs,
    flushing: current && {
      number: current.number,
      reason: current.reason,
      records: current.records,
      bytes: current.bytes,
      startedAtMs: current.startedAtMs,
      oldestAcceptedAtMs: current.oldestAcceptedAtMs,
      parked: current.parking !== null,
    },
    inheritedBatches: readsInheritance ? null : leftovers.batches,
    lastFlush: flushes.last,
    lastError: flushes.lastError,
    paused: controls.paused,
    draining: controls.draining,
    ...(encryption === 'required' ? { requiresEncryption: true } : {}),
    holding: isHolding(progress),
    counters: { ...counters },
    coverageRanges: coverage.size,
    rememberedRequests: requests.size,
    unconfirmed: confirmations.size,
    controls: controls.last,
    continueAsNewSuggested,
    historyLength: length,
    historyBytes: bytes,
  };
}

/** The report to the worker, for the metrics. `duplicateChunks`, `refusedSignals`: since this run began. */
export function batcherReport({
  buffer,
  controls,
  flushes: { current },
  progress,
  leftovers,
  coverage,
}: BatcherParts): BatcherReport {
  return {
    records: buffer.records + (current?.records ?? 0),
    oldestAcceptedAtMs: current?.oldestAcceptedAtMs ?? buffer.oldestAcceptedAtMs,
    paused: controls.paused,
    inheritedBatches: leftovers.batches,
    coverageRanges: coverage.size,
    duplicateChunks: progress.duplicateChunks,
    refusedSignals: progress.refusedSignals,
  };
}
