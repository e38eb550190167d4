/** What a batcher's history looked like at one moment. */
export interface HistoryMark {
  readonly runId: string;
  readonly bytes: number;
  readonly events: number;
}

/** When to look at a batcher's history, and when to stop sending to it. Why these numbers: {@link flowControlLimits}. */
export interface FlowControlLimits {
  readonly highBytes: number;
  readonly lowBytes: number;
  readonly highEvents: number;
  readonly lowEvents: number;
  readonly checkEveryBytes: number;
  readonly checkEverySignals: number;
  /** Payload of one signal, at most. */
  readonly signalBytesMax: number;
}

/**
 * Temporal ends a run at 50 MiB or 51,200 events and refuses every signal, `resume` included, after 10,000. All of a
 * run's history counts: what the run before handed on (2 MiB at most), and each byte of a chunk twice, as a signal and as
 * the input of its flush, also while draining. So what all members may send in all, blindly between two looks included,
 * stays below 20 MiB and 10,000 signals: beyond the high mark there is a margin, and each member has its part of it, half to
 * send before it looks again and half for the signal that it then sends. 2 MiB + 2 × (8 MiB + 12 MiB) = 42 MiB. What is
 * rejected enters two times more; where that leads beyond 42 MiB, the batcher leaves what it has not flushed behind and
 * continues as new (`workflows/continuation.ts`).
 *
 * What was handed on does not count in `historyBytesMax`: a batcher continues as new for what was added only, so a sender that
 * counted it could wait for a run that never begins below its mark.
 *
 * Sources: `limit.historySize.error`, `limit.historyCount.error`, `history.maximumSignalsPerExecution` of Temporal.
 *
 * @param members of the group, all of which may send to the same batcher
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
  };
}

const MIB = 1024 * 1024;
const SENT_BYTES_MAX = 20 * MIB;
/** A run's input: one payload (`limit.blobSize.error`). */
const CARRIED_BYTES_MAX = 2 * MIB;
/** A thousand members at once come near the limit; a smaller share would be all overhead. */
const SHARE_BYTES_MIN = 8 * 1024;

/**
 * Decides whether a lane may send to its batcher, from the history of the batcher's run. Pure.
 *
 *     unknown ──observe──► open ──after every checkEvery, or a new run──► unknown
 *        └──────observe──► stopped ──observe below the low mark, or a new run──► open
 *
 * Unknown means: do not send, look first.
 */
export class FlowControl {
  #limits: FlowControlLimits;
  #state: 'unknown' | 'open' | 'stopped' = 'unknown';
  #runId: string | null = null;
  #bytesSinceCheck = 0;
  #signalsSinceCheck = 0;

  constructor(limits: FlowControlLimits) {
    this.#limits = limits;
  }

  /** Other limits from now on. */
  set limits(limits: FlowControlLimits) {
    this.#limits = limits;
  }

  get state(): 'unknown' | 'open' | 'stopped' {
    return this.#state;
  }

  /** The history as it is now; null where the batcher has not been started yet. */
  observe(mark: HistoryMark | null): void {
    const { highBytes, lowBytes, highEvents, lowEvents } = this.#limits;
    const stopped = this.#state === 'stopped' && mark?.runId === this.#runId;
    const bytesMax = stopped ? lowBytes : highBytes;
    const eventsMax = stopped ? lowEvents : highEvents;
    const over = mark !== null && (mark.bytes >= bytesMax || mark.events >= eventsMax);
    this.#state = over ? 'stopped' : 'open';
    this.#runId = mark?.runId ?? null;
    this.#bytesSinceCheck = 0;
    this.#signalsSinceCheck = 0;
  }

  /** A signal was accepted by this run, or may have been. */
  sent(runId: string | null, bytes: number): void {
    this.#bytesSinceCheck += bytes;
    this.#signalsSinceCheck++;
    const { checkEveryBytes, checkEverySignals } = this.#limits;
    const newRun = runId !== null && this.#runId !== null && runId !== this.#runId;
    const due = this.#bytesSinceCheck >= checkEveryBytes || this.#signalsSinceCheck >= checkEverySignals;
    if (this.#state === 'open' && (newRun || due)) this.#state = 'unknown';
    if (runId !== null) this.#runId = runId;
  }

  /** The batcher's server said that the run takes no more signals: look again before sending. */
  refused(): void {
    this.#state = 'unknown';
  }
}
