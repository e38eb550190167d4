import type { BatcherSettings } from '../protocol/settings.js';

const MIB = 1024 * 1024;

/** What a run knows about its own history when it decides. */
export interface HistoryView {
  readonly continueAsNewSuggested: boolean;
  readonly length: number;
  readonly bytes: number;
}

/** The marks in a pipeline's settings at which a run continues as new. */
type Marks = BatcherSettings['continueAsNewAt'];

/** What a run has done since it began. */
export class RunProgress {
  /** Bytes of what the run before handed on. They are in the first event of the history. 0 in a first run. */
  carriedBytes = 0;
  /** Successive continuations before this run in which nothing was handled. */
  idleContinuationsBefore = 0;
  /** Whether this run has handled anything: a chunk, a request, any other signal, the end of an activity. */
  handled = false;
  /** Records accepted in this run, or flushed for a closed run. */
  records = 0;
  /** Chunks of which all records had been accepted before. */
  duplicateChunks = 0;

  /** Successive continuations in which nothing was handled, if this run continues now. */
  get idleContinuations(): number {
    return this.handled ? 0 : this.idleContinuationsBefore + 1;
  }
}

/**
 * After this many continuations in a row in which nothing was handled, a run holds: it does not continue, and raises an
 * alert.
 */
export const IDLE_CONTINUATIONS_MAX = 10;

/**
 * A quarter of the most that may be handed on. It is also the lowest mark that can be configured (half of the least
 * `flow.maxHistory`).
 */
const ADDED_BYTES_MIN = 512 * 1024;

/**
 * Whether a run has to continue as new. Pure. Two rules prevent endless continuations:
 *
 * - A run continues only after it has added as much as it was handed, or as much as its own mark. What it was handed
 *   may be larger than the mark, so the run may begin above it. By this rule all continuations together copy at most
 *   four times what has arrived; with the default mark no more than what has arrived.
 * - A run {@link isHolding holds} after ten runs in which nothing was handled, even if the server suggests to continue.
 *
 * A hold cannot fill a history, because whatever arrives ends it. And no sender waits for ever: the marks of a run are
 * lower than the mark at which senders stop (`temporal/flowControl.ts` leaves room for the input).
 */
export function continuationDue(run: RunProgress, marks: Marks, history: HistoryView): boolean {
  const { carriedBytes } = run;
  const added = history.bytes - carriedBytes;
  const enoughBytes = Math.min(carriedBytes, Math.max(marks.historyBytes, ADDED_BYTES_MIN));
  const addedEnough = history.length >= marks.historyEvents || added >= enoughBytes;
  return reached(marks, history) && addedEnough && !isHolding(run);
}

/**
 * The rule of version 0.1.0, for runs that it began: the input counts like what was added, and only a record ends a
 * hold.
 */
export function continuationWasDue(run: RunProgress, marks: Marks, history: HistoryView): boolean {
  const wasHolding = run.records === 0 && run.idleContinuationsBefore >= IDLE_CONTINUATIONS_MAX;
  return reached(marks, history) && !wasHolding;
}

/** Whether a run does not continue as new any more, because many runs before it did and nothing was handled. */
export function isHolding(run: RunProgress): boolean {
  return !run.handled && run.idleContinuationsBefore >= IDLE_CONTINUATIONS_MAX;
}

function reached(marks: Marks, { continueAsNewSuggested, length, bytes }: HistoryView): boolean {
  return continueAsNewSuggested || length >= marks.historyEvents || bytes >= marks.historyBytes;
}

/**
 * A mark near Temporal's own limits. At 50 MiB or 51,200 events Temporal terminates the run. After 10,000 signals it
 * refuses further ones, `resume` too. A full backlog that is inserted stays below (see `temporal/flowControl.ts`). A
 * rejected backlog enters the history two times more: as the result of the insert, and as the input of the rejection.
 * And anybody may send signals to a paused batcher. After this mark one more batch still fits, with everything that it
 * may add (some 4.5 MiB).
 */
const OUTGROWN = { bytes: 42 * MIB, events: 40_000, eventsPaused: 9_600 } as const;

/**
 * Whether a run has to continue as new now, even with a full buffer. The buffer stays in its history, and the next run
 * takes it from there, like an heir.
 */
export function hasOutgrown({ length, bytes }: HistoryView, paused: boolean): boolean {
  return bytes >= OUTGROWN.bytes || length >= (paused ? OUTGROWN.eventsPaused : OUTGROWN.events);
}
