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
  readonly #startedAt = momentNow();
  readonly #startToCloseTimeoutMs: number;
  readonly #heartbeatTimeoutMs: number;
  /** The run whose activity this is: another one than scheduled it, where that one was reset. */
  readonly runId: string;
  /** When the last beat was sent that arrived. */
  #lastBeat = this.#startedAt;
  #givenUp = false;

  private constructor(context: Context) {
    const { attempt, scheduledTimestampMs, startToCloseTimeoutMs, heartbeatTimeoutMs } = context.info;
    this.#context = context;
    this.number = attempt;
    this.runId = context.info.workflowExecution?.runId ?? '';
    this.ageMs = Date.now() - scheduledTimestampMs;
    this.#startToCloseTimeoutMs = startToCloseTimeoutMs;
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
    const expired =
      msSince(this.#startedAt) >= this.#startToCloseTimeoutMs || msSince(this.#lastBeat) >= this.#heartbeatTimeoutMs;
    if (expired || this.#givenUp || this.#context.cancellationSignal.aborted)
      throw new AttemptExpiredError('this attempt has run out of time');
  }

  async #beat(beat: Beat): Promise<void> {
    const sentAt = momentNow();
    // Without an answer, the time since the last one that arrived says how long this attempt may go on.
    const alive = await beat(this.#context.info.taskToken).catch(() => null);
    if (alive === true && sentAt.steadyMs > this.#lastBeat.steadyMs) this.#lastBeat = sentAt;
    if (alive === false) this.#givenUp = true;
  }
}

interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

function momentNow(): Moment {
  return { wallMs: Date.now(), steadyMs: performance.now() };
}

/** By the clock that has gone further: the one may be set back, and the other stands still while the machine sleeps. */
function msSince({ wallMs, steadyMs }: Moment): number {
  return Math.max(Date.now() - wallMs, performance.now() - steadyMs);
}
