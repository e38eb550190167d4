import type { BatcherSettings } from '../protocol/settings.js';

const MIB = 1024 * 1024;

/** What a run knows of its own history when it decides. */
export interface HistoryView {
  readonly continueAsNewSuggested: boolean;
  readonly length: number;
  readonly bytes: number;
}

/** When a pipeline's settings let a run continue as new. */
type Marks = BatcherSettings['continueAsNewAt'];

/** What a run has done since it began. */
export class RunProgress {
  /** Bytes of what the run before handed on: they stand in the history from its first event on. 0 in a first run. */
  carriedBytes = 0;
  /** Successive continuations before this run in which nothing was handled. */
  idleContinuationsBefore = 0;
  /** Whether anything has arrived or ended in this run: a chunk, a request, any other signal, an activity. */
  handled = false;
  /** Accepted in this run, or flushed for a closed one. */
  records = 0;
  /** Chunks of which all had been accepted before. */
  duplicateChunks = 0;

  /** Successive continuations in which nothing was handled, if this run continues now. */
  get idleContinuations(): number {
    return this.handled ? 0 : this.idleContinuationsBefore + 1;
  }
}

/** After so many continuations in a row in which nothing was handled, a run stays as it is and raises an alert. */
export const IDLE_CONTINUATIONS_MAX = 10;

/**
 * A quarter of what may be handed on, and the lowest mark that can be configured (half of the least `flow.maxHistory`).
 */
const ADDED_BYTES_MIN = 512 * 1024;

/**
 * Whether a run has to continue as new. Pure. Two rules keep continuations from following one another without an end:
 *
 * - A run continues only after it has added something: as much as it was handed, or as much as its own mark. What it
 *   was handed may be larger than the mark, so that it begins above it. By this rule all continuations together copy at
 *   most four times what has arrived; with the default mark no more than what has arrived.
 * - A run {@link isHolding holds} after ten runs in which nothing was handled, even if the server suggests to continue.
 *
 * A hold cannot fill a history: whatever arrives ends it. The marks of a run are lower than the one at which senders
 * stop (`temporal/flowControl.ts` leaves room for the input), so a sender that waits is always let go.
 */
export function continuationDue(run: RunProgress, marks: Marks, history: HistoryView): boolean {
  const { carriedBytes } = run;
  const added = history.bytes - carriedBytes;
  const enoughBytes = Math.min(carriedBytes, Math.max(marks.historyBytes, ADDED_BYTES_MIN));
  const addedEnough = history.length >= marks.historyEvents || added >= enoughBytes;
  return reached(marks, history) && addedEnough && !isHolding(run);
}

/**
 * Version 0.1.0's rule, which its runs go on with: the input counts like what was added, and only a record ends a hold.
 */
export function continuationWasDue(run: RunProgress, marks: Marks, history: HistoryView): boolean {
  const wasHolding = run.records === 0 && run.idleContinuationsBefore >= IDLE_CONTINUATIONS_MAX;
  return reached(marks, history) && !wasHolding;
}

/** Whether a run no longer continues as new, since run after run did so and nothing was handled. */
export function isHolding(run: RunProgress): boolean {
  return !run.handled && run.idleContinuationsBefore >= IDLE_CONTINUATIONS_MAX;
}

function reached(marks: Marks, { continueAsNewSuggested, length, bytes }: HistoryView): boolean {
  return continueAsNewSuggested || length >= marks.historyEvents || bytes >= marks.historyBytes;
}

/**
 * Near Temporal's own limits of a history. At 50 MiB or 51,200 events Temporal terminates the run. After 10,000 signals
 * it refuses further ones, `resume` too. A full backlog that is inserted stays below (see `temporal/flowControl.ts`).
 * One that is rejected enters the history two times more: as the result of the insert, and as the input of the
 * rejection. And a stranger may send anything to a paused batcher. From here one more batch still fits, with all that
 * it may add (some 4.5 MiB).
 */
const OUTGROWN = { bytes: 42 * MIB, events: 40_000, eventsPaused: 9_600 } as const;

/**
 * Whether a run has to end now, whatever it holds. What is buffered stays in its history, and the next run takes it
 * from there, as an heir does.
 */
export function hasOutgrown({ length, bytes }: HistoryView, paused: boolean): boolean {
  return bytes >= OUTGROWN.bytes || length >= (paused ? OUTGROWN.eventsPaused : OUTGROWN.events);
}
