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
}

/**
 * Temporal ends a run at 50 MiB or 51,200 events and refuses every signal, `resume` included, after 10,000. All of a
 * run's history counts, and each byte of a chunk enters it twice, as a signal and as the input of its flush, also while
 * draining. With up to eight consumers sending blindly between two looks:
 * 2 × (8 MiB + 8 × (512 KiB + 512 KiB)) = 32 MiB, which leaves room below 40 MiB.
 *
 * Sources: `limit.historySize.error`, `limit.historyCount.error`, `history.maximumSignalsPerExecution` of Temporal.
 */
export function flowControlLimits(flow: { historyBytesMax: number; checkEveryBytes: number }): FlowControlLimits {
  return {
    highBytes: flow.historyBytesMax,
    lowBytes: flow.historyBytesMax / 2,
    highEvents: 8_000,
    lowEvents: 6_000,
    checkEveryBytes: flow.checkEveryBytes,
    checkEverySignals: 200,
  };
}

/**
 * Decides whether a lane may send to its batcher, from the history of the batcher's run. Pure.
 *
 *     unknown ──observe──► open ──after every checkEvery, or a new run──► unknown
 *        └──────observe──► stopped ──observe below the low mark, or a new run──► open
 *
 * Unknown means: do not send, look first.
 */
export class FlowControl {
  readonly #limits: FlowControlLimits;
  #state: 'unknown' | 'open' | 'stopped' = 'unknown';
  #runId: string | null = null;
  #bytesSinceCheck = 0;
  #signalsSinceCheck = 0;

  constructor(limits: FlowControlLimits) {
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
