import type { FlushReason } from '../protocol/flush.js';
import type { BatcherSettings } from '../protocol/settings.js';
import type { BatcherParts } from './batcherParts.js';
import { continuationDue, continuationWasDue, hasOutgrown, type HistoryView } from './continuation.js';
import { encodedLimit, LIMITS, type EncodedLimit } from './limits.js';
import { decideBy, type Follows } from './versions.js';

/**
 * Decides from the state alone what a batcher does next. Pure. The first of these that applies:
 *
 * 1. wait for the batch that is being flushed;
 * 2. read what a closed run has left, in an heir;
 * 3. deliver the confirmations that are due;
 * 4. complete, if it drains and holds nothing any more;
 * 5. continue as new, if that is due and the buffer can be carried over;
 * 6. continue as new, if the history has no room left, whatever the buffer;
 * 7. wait for `resume`, if paused;
 * 8. flush what closed runs have left;
 * 9. wait for the next record, if the buffer is empty;
 * 10. flush the buffer, if there is a reason to; otherwise wait until it is due.
 *
 * @param unreadRun the closed run that an heir has still to read. Otherwise null
 * @param follows asked only if an earlier version decided otherwise, see `versions.ts`
 */
export function decide(
  parts: BatcherParts,
  unreadRun: string | null,
  settings: BatcherSettings,
  nowMs: number,
  history: HistoryView,
  follows: Follows,
): Decision {
  const { buffer, controls, leftovers, confirmations } = parts;
  if (parts.flushes.current !== null) return { type: 'wait' };
  if (unreadRun !== null) return { type: 'readInheritance', runId: unreadRun };
  if (confirmations.dueAtMs <= nowMs) return { type: 'confirm' };
  if (isDrained(parts)) return { type: 'complete' };
  const continues = continuesAsNew(parts, settings, nowMs, history, follows);
  const fits = (bytesMax: number): boolean => buffer.encodedBytes <= bytesMax;
  if (continues && decideByLimit('carriedBytes', settings, follows, fits)) return { type: 'continueAsNew' };
  if (hasOutgrown(history, controls.paused) && follows('continuation')) return { type: 'continueAsNew' };
  if (controls.paused) return waitUntil(Infinity, parts, nowMs);
  if (leftovers.batches > 0) return { type: 'flushInherited' };
  const { oldestAcceptedAtMs, waitingSinceMs } = buffer;
  if (oldestAcceptedAtMs === null || waitingSinceMs === null) return waitUntil(Infinity, parts, nowMs);
  const sinceMs = decideBy(follows, 'waitedInLane', waitingSinceMs, oldestAcceptedAtMs);
  const dueAtMs = sinceMs + settings.batch.maxDelayMs;
  const reason = flushReason(parts, settings, dueAtMs <= nowMs, continues, follows);
  return reason === null ? waitUntil(dueAtMs, parts, nowMs) : { type: 'flush', reason };
}

/** What the batcher does next. `wait` without a delay: until a signal arrives. */
export type Decision =
  | { readonly type: 'wait'; readonly delayMs?: number }
  | { readonly type: 'flush'; readonly reason: FlushReason }
  /** Read what this closed run has left. */
  | { readonly type: 'readInheritance'; readonly runId: string }
  /** Flush the next batch that a closed run has left. */
  | { readonly type: 'flushInherited' }
  /** Try to deliver the confirmations that are due. */
  | { readonly type: 'confirm' }
  | { readonly type: 'continueAsNew' }
  | { readonly type: 'complete' };

function isDrained({ buffer, controls, leftovers, confirmations, foreignSignals }: BatcherParts): boolean {
  const holdsRecords = buffer.chunks.length > 0 || leftovers.batches > 0;
  return controls.draining && !holdsRecords && foreignSignals.waiting.length === 0 && confirmations.size === 0;
}

function continuesAsNew(
  { buffer, progress }: BatcherParts,
  { batch, continueAsNewAt }: BatcherSettings,
  nowMs: number,
  history: HistoryView,
  follows: Follows,
): boolean {
  // A larger buffer is flushed first, and version 0.1.0 cannot replay the history that the run would go on with.
  const carriesBuffer = buffer.encodedBytes <= encodedLimit('carriedBytes', batch);
  // The time of a workflow stands still during a task. After a chunk the next one is not to be expected at once, and a
  // signal during the task that ends a run costs a replay.
  const chunkHasCome = buffer.latestAcceptedAtMs === nowMs;
  // Without it, version 0.1.0 may have to go on with the run. What comes in the same task may change the decision.
  const hasOwnMark = batch.storesOnce === true;
  const atOwnMark = hasOwnMark && carriesBuffer && chunkHasCome;
  const due = continuationDue(progress, continueAsNewAt, history, atOwnMark);
  return decideBy(follows, 'continuation', due, continuationWasDue(progress, continueAsNewAt, history));
}

/** Why the buffer has to be flushed now. Null if it does not. */
function flushReason(
  { buffer, controls }: BatcherParts,
  settings: BatcherSettings,
  isOld: boolean,
  continues: boolean,
  follows: Follows,
): FlushReason | null {
  const { maxRecords, maxBytes } = settings.batch;
  if (controls.draining) return 'drain';
  if (buffer.chunksToFlush > 0) return 'signal';
  if (buffer.records >= maxRecords) return 'records';
  const fills = (bytesMax: number): boolean => buffer.encodedBytes >= bytesMax;
  if (buffer.bytes >= maxBytes || decideByLimit('batchEncodedBytes', settings, follows, fills)) return 'bytes';
  if (isOld) return 'delay';
  return continues ? 'continueAsNew' : null;
}

/**
 * Decides by a payload limit: by the one in the settings, or, in a run of version 0.1.0, by that version's larger one.
 */
function decideByLimit(
  name: EncodedLimit,
  { batch }: BatcherSettings,
  follows: Follows,
  decides: (bytesMax: number) => boolean,
): boolean {
  return decideBy(follows, 'payloadLimit', decides(encodedLimit(name, batch)), decides(LIMITS[name]));
}

/** Waits until this time, or until a confirmation is due, if that is earlier. */
function waitUntil(atMs: number, { confirmations }: BatcherParts, nowMs: number): Decision {
  const earliestMs = Math.min(atMs, confirmations.dueAtMs);
  return earliestMs === Infinity ? { type: 'wait' } : { type: 'wait', delayMs: earliestMs - nowMs };
}
