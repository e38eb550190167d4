import { Context } from '@temporalio/activity';

/** The attempt has run out of time: another one may be at work already. */
class AttemptExpiredError extends Error {
  override readonly name = 'AttemptExpiredError';
}

const BEAT_INTERVAL_MS = 3_000;

/**
 * One attempt of an activity, which beats its heart while it runs and knows when it is too old to touch the world: past
 * its time-out, or so long without a beat that Temporal has given it up and begun another.
 */
export class Attempt {
  /** Counts from 1. */
  readonly number: number;
  /** Time since the first attempt was scheduled, by the server's record: it outlives worker restarts. */
  readonly ageMs: number;
  readonly #context: Context;
  readonly #expiresAtMs: number;
  readonly #heartbeatTimeoutMs: number;
  #lastBeatMs = Date.now();

  private constructor(context: Context) {
    const { attempt, scheduledTimestampMs, startToCloseTimeoutMs, heartbeatTimeoutMs } = context.info;
    this.#context = context;
    this.number = attempt;
    this.ageMs = Date.now() - scheduledTimestampMs;
    this.#expiresAtMs = Date.now() + startToCloseTimeoutMs;
    this.#heartbeatTimeoutMs = heartbeatTimeoutMs ?? Infinity;
  }

  static async run<T>(work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const attempt = new Attempt(Context.current());
    const timer = setInterval(() => {
      attempt.#beat();
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
    if (expired || this.#context.cancellationSignal.aborted)
      throw new AttemptExpiredError('this attempt has run out of time');
  }

  #beat(): void {
    // A beat after the time-out would be too late, and would make this attempt look alive to itself.
    if (Date.now() - this.#lastBeatMs >= this.#heartbeatTimeoutMs) return;
    this.#lastBeatMs = Date.now();
    this.#context.heartbeat();
  }
}
