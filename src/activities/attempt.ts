import { Context } from '@temporalio/activity';
import { readNotes, type AttemptNotes } from '../protocol/attemptNotes.js';

/** The attempt has run out of time: another one may be at work already. */
export class AttemptExpiredError extends Error {
  override readonly name = 'AttemptExpiredError';
}

const BEAT_INTERVAL_MS = 3_000;

/**
 * Tells Temporal that an attempt is alive, and resolves once Temporal knows it. False: it has been given up. Rejects where Temporal does
 * not answer.
 *
 * @param notes for the next attempt; they take the place of those before
 */
export type Beat = (context: Pick<Context, 'info' | 'heartbeat'>, notes: AttemptNotes) => Promise<boolean>;

/**
 * One attempt of an activity, which beats its heart while it runs and knows when it is too old to touch the world: past
 * its time-out, or so long without a beat that Temporal has given it up and begun another.
 *
 * It asks whether each beat has arrived, since the SDK does not tell: a worker that is cut off from Temporal would look alive to itself
 * while another one has begun the same batch.
 */
export class Attempt {
  /** Counts from 1. */
  readonly number: number;
  /** Names this activity among all: its attempts have it in common, with nothing else. */
  readonly activity: string;
  readonly #context: Context;
  readonly #beat: Beat;
  #notes: AttemptNotes;
  /** One beat at a time, or an older one could arrive last and take back what was noted since. */
  #beating: Promise<void> = Promise.resolve();
  readonly #startedAt = momentNow();
  readonly #scheduledAtMs: number;
  readonly #startToCloseTimeoutMs: number;
  readonly #heartbeatTimeoutMs: number;
  /** The run whose activity this is: another one than scheduled it, where that one was reset. */
  readonly runId: string;
  /**
   * Whether a person has reset the activity (`temporal activity reset`): its attempts are counted from 1 again, and what was noted may be
   * gone, or tell of those before.
   */
  readonly #wasReset: boolean;
  /** When the last beat was sent that arrived. */
  #lastBeat = this.#startedAt;
  readonly #givenUp = new AbortController();

  private constructor(context: Context, beat: Beat) {
    const { attempt, scheduledTimestampMs, startToCloseTimeoutMs, heartbeatTimeoutMs } = context.info;
    const { currentAttemptScheduledTimestampMs } = context.info;
    this.#context = context;
    this.#beat = beat;
    this.#notes = readNotes(context.info.heartbeatDetails, attempt);
    this.#wasReset =
      attempt === 1 && (this.#notes.attempt !== undefined || currentAttemptScheduledTimestampMs > scheduledTimestampMs);
    this.number = attempt;
    this.runId = context.info.workflowExecution?.runId ?? '';
    this.activity = `${this.runId}/${context.info.activityId}`;
    this.#scheduledAtMs = scheduledTimestampMs;
    this.#startToCloseTimeoutMs = startToCloseTimeoutMs;
    this.#heartbeatTimeoutMs = heartbeatTimeoutMs ?? Infinity;
    this.cancellation = AbortSignal.any([context.cancellationSignal, this.#givenUp.signal]);
  }

  static async run<T>(beat: Beat, work: (attempt: Attempt) => Promise<T>): Promise<T> {
    const attempt = new Attempt(Context.current(), beat);
    const timer = setInterval(() => {
      // Without an answer, the time since the last one that arrived says how long this attempt may go on.
      attempt.#sendBeat().catch(() => undefined);
    }, BEAT_INTERVAL_MS);
    try {
      // However soon it ends, the next one has its notes, and knows that they are its own: see readNotes.
      if (attempt.number > 1) await attempt.#sendBeat().catch(() => undefined);
      // The next one would take the notes of the attempts before the reset for this one's.
      else if (attempt.#wasReset) await attempt.#sendBeat();
      return await work(attempt);
    } finally {
      clearInterval(timer);
    }
  }

  /** To be called right before each effect outside. @throws AttemptExpiredError */
  mustBeAlive(): void {
    const expired =
      msSince(this.#startedAt) >= this.#startToCloseTimeoutMs || msSince(this.#lastBeat) >= this.#heartbeatTimeoutMs;
    if (expired || this.cancellation.aborted) throw new AttemptExpiredError('this attempt has run out of time');
  }

  /** When the activity was scheduled, milliseconds since 1970, by the server's record: the same for all its attempts. */
  get scheduledAtMs(): number {
    return this.#scheduledAtMs;
  }

  /** Whether an attempt before this one may have begun. False of one that comes after none, or after such as were handed back. */
  get isRepeated(): boolean {
    return this.#wasReset || this.number - 1 !== (this.#notes.handedBack ?? 0);
  }

  /** Time since the first attempt was scheduled, by the server's record: it outlives worker restarts. */
  get ageMs(): number {
    return Date.now() - this.#scheduledAtMs;
  }

  /** What earlier attempts have noted, and this one. */
  get notes(): AttemptNotes {
    return this.#notes;
  }

  /**
   * Aborted when Temporal wants the attempt to end: the worker ends, or the activity was called off or given up. The SDK may say so, or the
   * answer to a beat.
   */
  readonly cancellation: AbortSignal;

  /**
   * Notes something for the attempts after this one, on whatever worker. Resolves when Temporal has it.
   *
   * @throws AttemptExpiredError where Temporal has given this attempt up. Anything else: Temporal did not answer
   */
  async note(notes: AttemptNotes): Promise<void> {
    this.#notes = notes;
    await this.#sendBeat();
    this.mustBeAlive();
  }

  #sendBeat(): Promise<void> {
    const send = async (): Promise<void> => {
      const sentAt = momentNow();
      const alive = await this.#beat(this.#context, { ...this.#notes, attempt: this.number });
      if (!alive) this.#givenUp.abort();
      else if (sentAt.steadyMs > this.#lastBeat.steadyMs) this.#lastBeat = sentAt;
    };
    const sent = this.#beating.then(send);
    this.#beating = sent.catch(() => undefined);
    return sent;
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
