/** The size of a batcher's history at one moment. */
export interface HistorySize {
  readonly runId: string;
  readonly bytes: number;
  readonly events: number;
}

/** When a sender reads a batcher's history again, and when it stops. For the numbers see {@link flowControlLimits}. */
export interface FlowControlLimits {
  readonly highBytes: number;
  readonly lowBytes: number;
  readonly highEvents: number;
  readonly lowEvents: number;
  readonly checkEveryBytes: number;
  readonly checkEverySignals: number;
  /** Encoded bytes of a signal with several records, at most: its body, and the metadata of its segments. */
  readonly signalBytesMax: number;
  /** The same for a signal that follows the one before it closely. */
  readonly closeSignalBytesMax: number;
}

/**
 * Temporal ends a run at 50 MiB or 51,200 events. After 10,000 signals it refuses every further one, `resume` too.
 * Everything in the history counts:
 *
 * - what the run before handed on: 2 MiB at most;
 * - each byte of a chunk, body and metadata, up to twice: as a signal, and as the input of its flush if the batch is
 *   small. This holds while draining, too.
 *
 * So all senders together stay below 20 MiB and 10,000 signals, including what they send between two reads of the
 * history. Above the high mark there is a margin, and each member has a share of it: one half to send before it reads
 * again, the other half for the signal that it sends then. The worst case is 2 MiB + 2 × (8 MiB + 12 MiB) = 42 MiB.
 * Rejected records enter the history two times more. If that leads beyond 42 MiB, the batcher leaves its unflushed
 * records in the history and continues as new (`workflows/continuation.ts`).
 *
 * `historyBytesMax` does not count what was handed on. A batcher continues as new only after it has added something. A
 * sender that counted the rest, too, could wait for ever for a run that begins below its mark.
 *
 * While a worker has a workflow task, Temporal gathers the signals that come, 2 MiB of them. With more it fails the task,
 * and the worker reads the whole history again. So in a backlog a signal is small enough for each of 128 members to send two
 * in that time, but for the first one after a pause. Signals that come seldom may be larger: fewer of them cost less.
 *
 * Sources: `limit.historySize.error`, `limit.historyCount.error`, `history.maximumSignalsPerExecution`,
 * `history.maximumBufferedEventsSizeInBytes` of Temporal.
 *
 * @param members of the consumer group: all of them may send to the same batcher
 */
export function flowControlLimits(
  flow: { historyBytesMax: number; checkEveryBytes: number },
  members = 1,
): FlowControlLimits {
  const marginBytes = SENT_BYTES_MAX - flow.historyBytesMax;
  const shareBytes = Math.max(SHARE_BYTES_MIN, Math.floor(marginBytes / members / 2));
  return {
    highBytes: CARRIED_BYTES_MAX + flow.historyBytesMax,
    lowBytes: CARRIED_BYTES_MAX + flow.historyBytesMax / 2,
    highEvents: 8_000,
    lowEvents: 6_000,
    checkEveryBytes: Math.min(flow.checkEveryBytes, shareBytes),
    checkEverySignals: Math.max(1, Math.min(200, Math.floor(1_600 / members))),
    signalBytesMax: shareBytes,
    closeSignalBytesMax: Math.max(
      SHARE_BYTES_MIN,
      Math.min(shareBytes, Math.floor(DURING_TASK_BYTES_MAX / members / 2)),
    ),
  };
}

const MIB = 1024 * 1024;
const SENT_BYTES_MAX = 20 * MIB;
/** A run's input is one payload (`limit.blobSize.error`). */
const CARRIED_BYTES_MAX = 2 * MIB;
/** Of signals that come while a worker has a workflow task. */
const DURING_TASK_BYTES_MAX = 2 * MIB;
/** With a thousand members this comes near the limit. A smaller share would be mostly overhead. */
const SHARE_BYTES_MIN = 8 * 1024;

/**
 * Decides from the history of a batcher's run whether a lane may send to it. Pure.
 *
 *     unknown ──observe──► open ──after every checkEvery, or a new run──► unknown
 *        └──────observe──► stopped ──observe below the low mark, or a new run──► open
 *
 * In `unknown` nothing is sent until the history is read.
 */
export class FlowControl {
  /** May be replaced at any time. */
  limits: FlowControlLimits;
  #state: 'unknown' | 'open' | 'stopped' = 'unknown';
  #runId: string | null = null;
  #bytesSinceCheck = 0;
  #signalsSinceCheck = 0;

  constructor(limits: FlowControlLimits) {
    this.limits = limits;
  }

  get state(): 'unknown' | 'open' | 'stopped' {
    return this.#state;
  }

  /** Takes the history as it is now. Null if the batcher has no open run. */
  observe(size: HistorySize | null): void {
    const { highBytes, lowBytes, highEvents, lowEvents } = this.limits;
    const stopped = this.#state === 'stopped' && size?.runId === this.#runId;
    const bytesMax = stopped ? lowBytes : highBytes;
    const eventsMax = stopped ? lowEvents : highEvents;
    const over = size !== null && (size.bytes >= bytesMax || size.events >= eventsMax);
    this.#state = over ? 'stopped' : 'open';
    this.#runId = size?.runId ?? null;
    this.#bytesSinceCheck = 0;
    this.#signalsSinceCheck = 0;
  }

  /** A signal was accepted by this run, or may have been. `bytes`: what it adds to the history. */
  sent(runId: string | null, bytes: number): void {
    this.#bytesSinceCheck += bytes;
    this.#signalsSinceCheck++;
    const { checkEveryBytes, checkEverySignals } = this.limits;
    const newRun = runId !== null && this.#runId !== null && runId !== this.#runId;
    const due = this.#bytesSinceCheck >= checkEveryBytes || this.#signalsSinceCheck >= checkEverySignals;
    if (this.#state === 'open' && (newRun || due)) this.#state = 'unknown';
    if (runId !== null) this.#runId = runId;
  }

  /** Temporal said that the run takes no more signals. The history is read before the next one is sent. */
  refused(): void {
    this.#state = 'unknown';
  }
}
