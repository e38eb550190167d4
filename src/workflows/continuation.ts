import { sha256 } from '@noble/hashes/sha2.js';
import { utf8ToBytes } from '@noble/hashes/utils.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { lastingRunId, type RunIdentity } from './runIdentity.js';

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
  /** Signals refused, see `applySignal`. */
  refusedSignals = 0;
  readonly #share: number;

  constructor(run: RunIdentity) {
    this.#share = shareOf(run);
  }

  /**
   * The run's own mark for events, from a half to all of the configured one. Batchers of a pipeline begin together and
   * get equal loads. With one mark for all they would continue as new within the same second. If a signal arrives while
   * a task is to end the run, Temporal takes the task back, and the worker replays the run. Records wait for seconds if
   * it replays all batchers at once.
   */
  ownEvents({ historyEvents }: Marks): number {
    return Math.ceil(historyEvents * this.#share);
  }

  /** Successive continuations in which nothing was handled, if this run continues now. */
  get idleContinuations(): number {
    return this.handled ? 0 : this.idleContinuationsBefore + 1;
  }
}

/** A number from 0.5 to 1: another one for each run, and the same for a run that was reset. */
function shareOf(run: RunIdentity): number {
  const [high = 0, low = 0] = sha256(utf8ToBytes(lastingRunId(run)));
  return (1 + ((high << 8) | low) / 0x10000) / 2;
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
 * Whether a run has to continue as new. Pure. It is due at one of the marks, see {@link RunProgress.ownEvents}, or when
 * the server suggests it. Two rules prevent endless continuations:
 *
 * - A run continues only after it has {@link addedEnough added enough}. What it was handed may be larger than the mark,
 *   so the run may begin above it.
 * - A run {@link isHolding holds} after ten runs in which nothing was handled, even if the server suggests to continue.
 *
 * A hold cannot fill a history, because whatever arrives ends it. And no sender waits for ever: the marks of a run are
 * lower than the mark at which senders stop (`temporal/flowControl.ts` leaves room for the input).
 *
 * @param atOwnMark false: the run is due at the whole mark for events, as in version 0.1.0
 */
export function continuationDue(run: RunProgress, marks: Marks, history: HistoryView, atOwnMark: boolean): boolean {
  const historyEvents = atOwnMark ? run.ownEvents(marks) : marks.historyEvents;
  return reached({ ...marks, historyEvents }, history) && addedEnough(run, marks, history) && !isHolding(run);
}

/**
 * Whether a run has added enough to its history to hand everything on: as much as it was handed, or as much as its mark
 * for bytes. From the whole mark for events on, a quarter of what it was handed is enough, because its replay takes
 * long. So all continuations together copy at most four times what has arrived; with the default mark for bytes no more
 * than what has arrived, if chunks are not tiny. At twice the mark for events nothing more is asked for: a server that
 * does not tell the bytes must not keep a run from continuing.
 */
function addedEnough({ carriedBytes }: RunProgress, marks: Marks, history: HistoryView): boolean {
  if (history.length >= 2 * marks.historyEvents) return true;
  const isLong = history.length >= marks.historyEvents;
  const bytesMax = isLong ? carriedBytes / 4 : Math.max(marks.historyBytes, ADDED_BYTES_MIN);
  return history.bytes - carriedBytes >= Math.min(carriedBytes, bytesMax);
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
