import { Context } from '@temporalio/activity';

/** The attempt has run out of time: another one may be at work already. */
export class AttemptExpiredError extends Error {
  override readonly name = 'AttemptExpiredError';
}

const BEAT_INTERVAL_MS = 3_000;

/** Tells Temporal that an attempt is alive. False: it has been given up. Rejects where Temporal does not answer. */
export type Beat = (taskToken: Uint8Array) => Promise<boolean>;

/**
 * One attempt of an activity, which beats its heart while it runs and knows when it is too old to touch the world: past
 * its time-out, or so long without a beat that Temporal has given it up and begun another.
 *
 * It beats by itself, because the SDK does not tell whether a beat has arrived: a worker that is cut off from Temporal would
 * look alive to itself while another one has begun the same batch.
 */
export class Attempt {
  /** Counts from 1. */
  readonly number: number;
  /** Time since the first attempt was scheduled, by the server's record: it outlives worker restarts. */
  readonly ageMs: number;
  readonly #context: Context;
  readonly #expiresAtMs: number;
  readonly #heartbeatTimeoutMs: number;
  /** The run whose activity this is: another one than scheduled it, where that one was reset. */
  readonly runId: string;
  /** When the last beat was sent that arrived. */
  #lastBeatMs = Date.now();
  #givenUp = false;

  private constructor(context: Context) {
    const { attempt, scheduledTimestampMs, startToCloseTimeoutMs, heartbeatTimeoutMs } = context.info;
    this.#context = context;
    this.number = attempt;
    this.runId = context.info.workflowExecution?.runId ?? '';
    this.ageMs = Date.now() - scheduledTimestampMs;
    this.#expiresAtMs = Date.now() + startToCloseTimeoutMs;
    this.#heartbeatTimeoutMs = heartbeatTimeoutMs ?? Infinity;
  }

  static async run<T>(beat: Beat, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const attempt = new Attempt(Context.current());
    const timer = setInterval(() => {
      void attempt.#beat(beat);
    }, BEAT_INTERVAL_MS);
    try {
      return await work(attempt);
    } finally {
      clearInterval(timer);
    }
  }

  /** To be called right before each effect outside. @throws AttemptExpiredError */
  mustBeAlive(): void {
    const nowMs = Date.now();
    const expired = nowMs >= this.#expiresAtMs || nowMs - this.#lastBeatMs >= this.#heartbeatTimeoutMs;
    if (expired || this.#givenUp || this.#context.cancellationSignal.aborted)
      throw new AttemptExpiredError('this attempt has run out of time');
  }

  async #beat(beat: Beat): Promise<void> {
    const sentAtMs = Date.now();
    // Without an answer, the time since the last one that arrived says how long this attempt may go on.
    const alive = await beat(this.#context.info.taskToken).catch(() => null);
    if (alive === true) this.#lastBeatMs = Math.max(this.#lastBeatMs, sentAtMs);
    if (alive === false) this.#givenUp = true;
  }
}
