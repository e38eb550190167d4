import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { Turns } from '../lib/turns.js';
import { readNotes, type AttemptNotes } from '../protocol/attemptNotes.js';
import { givenNotes } from './boundNotes.js';
import { NOTES_BYTES_MAX, notesWithin } from './notesLimit.js';

/** The attempt has run out of time. Another one may be running already. */
export class AttemptExpiredError extends Error {
  override readonly name = 'AttemptExpiredError';
}

const BEAT_INTERVAL_MS = 3_000;
/** What the way of a task to its worker takes, at most, in good times. */
const FRESH_MS = 3_000;
/** Clocks that are kept by NTP differ less. Otherwise each batch would begin with a question to Temporal. */
const NTP_CLOCKS_DIFFER_MS = 500;

/**
 * Tells Temporal that an attempt is alive, and resolves when Temporal knows it. False if Temporal has given the attempt
 * up. Rejects if Temporal does not answer.
 *
 * @param notes for the next attempt. They replace earlier notes
 */
export type Beat = (context: Pick<Context, 'info' | 'heartbeat'>, notes: AttemptNotes) => Promise<boolean>;

/**
 * One attempt of an activity. It sends heartbeats while it runs, and knows when it may have no more effects: after its
 * time-out, or after so long without a heartbeat that Temporal has given it up and begun another.
 *
 * It finds out whether each heartbeat has arrived, because the SDK does not tell. The race: a worker is cut off from
 * Temporal, and another one begins the same batch. Without this check the first worker would think that its attempt
 * still counts.
 */
export class Attempt {
  /** Number of the attempt, from 1. */
  readonly number: number;
  /** A random name, which no other attempt has. */
  readonly id: string = randomUUID();
  /** Names this activity: its run and its id. All its attempts have it, and no other activity does. */
  readonly activityKey: string;
  /** The run of this activity. If the run that scheduled it was reset, it is another one. */
  readonly runId: string;
  /** The {@link id} of the attempt directly before. Undefined if it left no notes: it may have done anything. */
  readonly previousId: string | undefined;
  /**
   * Aborted when the attempt has to end: the worker ends, or the activity was cancelled or given up. The SDK may say
   * so, or the answer to a heartbeat.
   */
  readonly cancellation: AbortSignal;
  readonly #context: Context;
  readonly #beat: Beat;
  readonly #notesBytesMax: number;
  #notes: AttemptNotes;
  /** Whether Temporal has notes of this attempt. */
  #hasNoted = false;
  /** One heartbeat is sent at a time. Otherwise an older one could arrive last and undo newer notes. */
  readonly #beats = new Turns();
  readonly #startedAt = momentNow();
  readonly #scheduledAtMs: number;
  readonly #startToCloseTimeoutMs: number;
  readonly #heartbeatTimeoutMs: number;
  /**
   * Whether a person has reset the activity (`temporal activity reset`). Its attempts are counted from 1 again. Notes
   * may be missing, or come from attempts before the reset.
   */
  readonly #wasReset: boolean;
  /** When the last heartbeat that arrived was sent; before the first one, the earliest time at which the attempt can have begun. */
  #lastBeat = this.#startedAt;
  /**
   * Whether the task can have come only just now. One that was on its way for long, because the process stood still or a
   * connection hung, may belong to another worker by now. Temporal counts from when it gave the task out, and that is not
   * known here.
   */
  readonly #isFresh: boolean;
  readonly #givenUp = new AbortController();

  private constructor(context: Context, beat: Beat, notesBytesMax: number) {
    const { attempt, scheduledTimestampMs, startToCloseTimeoutMs, heartbeatTimeoutMs } = context.info;
    const { currentAttemptScheduledTimestampMs } = context.info;
    this.#context = context;
    this.#beat = beat;
    this.#notesBytesMax = notesBytesMax;
    const { details, wereRefused } = givenNotes(context);
    this.#notes = notesWithin(readNotes(details, attempt), notesBytesMax);
    this.previousId = this.#notes.attemptId;
    this.#wasReset =
      attempt === 1 &&
      (wereRefused || this.#notes.attempt !== undefined || currentAttemptScheduledTimestampMs > scheduledTimestampMs);
    const waitedMs = this.#startedAt.wallMs - currentAttemptScheduledTimestampMs;
    this.#isFresh = waitedMs > -NTP_CLOCKS_DIFFER_MS && waitedMs < FRESH_MS;
    if (this.#isFresh) this.#lastBeat = earlier(this.#startedAt, waitedMs + NTP_CLOCKS_DIFFER_MS);
    this.number = attempt;
    this.runId = context.info.workflowExecution?.runId ?? '';
    this.activityKey = `${this.runId}/${context.info.activityId}`;
    this.#scheduledAtMs = scheduledTimestampMs;
    this.#startToCloseTimeoutMs = startToCloseTimeoutMs;
    this.#heartbeatTimeoutMs = heartbeatTimeoutMs ?? Infinity;
    this.cancellation = AbortSignal.any([context.cancellationSignal, this.#givenUp.signal]);
  }

  /** @param notesBytesMax see {@link notesWithin} */
  static async run<T>(beat: Beat, work: (attempt: Attempt) => Promise<T>, notesBytesMax = NOTES_BYTES_MAX): Promise<T> {
    const attempt = new Attempt(Context.current(), beat, notesBytesMax);
    let isBeating = false;
    const timer = setInterval(() => {
      // While Temporal does not answer, they would wait for each other, and notes for all of them.
      if (isBeating) return;
      isBeating = true;
      void attempt
        .#sendBeat()
        // A lost heartbeat needs no handling: `mustBeAlive` counts from the last one that arrived.
        .catch(() => undefined)
        .finally(() => {
          isBeating = false;
        });
    }, BEAT_INTERVAL_MS);
    try {
      await attempt.#sendFirstBeat();
      return await work(attempt);
    } catch (error) {
      // So the next attempt knows that no other one was in between, see `previousId`.
      if (!attempt.#hasNoted && !attempt.cancellation.aborted) await attempt.#sendBeat().catch(() => undefined);
      throw error;
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

  /** When the activity was scheduled, milliseconds since 1970, by the server. The same for all its attempts. */
  get scheduledAtMs(): number {
    return this.#scheduledAtMs;
  }

  /** Whether an earlier attempt may have begun. False if there was none, or all earlier ones were handed back. */
  get isRepeated(): boolean {
    return this.#wasReset || this.number - 1 !== (this.#notes.handedBack ?? 0);
  }

  /** Milliseconds since the first attempt was scheduled: from the server's clock to this worker's. */
  get ageMs(): number {
    return Date.now() - this.#scheduledAtMs;
  }

  /** The notes of earlier attempts and of this one. */
  get notes(): AttemptNotes {
    return this.#notes;
  }

  /**
   * Leaves notes for the attempts after this one, on whatever worker. Resolves when Temporal has them. If they are too
   * large, some are left out, see {@link notesWithin}.
   *
   * @throws AttemptExpiredError if Temporal has given this attempt up. Any other error: Temporal did not answer
   */
  async note(notes: AttemptNotes): Promise<void> {
    this.#notes = notesWithin(notes, this.#notesBytesMax);
    await this.#sendBeat();
    this.mustBeAlive();
  }

  /**
   * Sends a heartbeat before the work begins, if one is needed:
   *
   * - After a reset it must arrive. It replaces the old notes, which the next attempt would take for ours.
   * - If the task is not fresh it must arrive. Temporal says whether the attempt still counts.
   * - In a repeated attempt it should arrive. So the next attempt has these notes, even if this one ends soon, and knows
   *   that they are this attempt's: see `readNotes`.
   * - In a first attempt none is needed.
   */
  async #sendFirstBeat(): Promise<void> {
    if (this.#wasReset || !this.#isFresh) await this.#sendBeat();
    else if (this.number > 1) await this.#sendBeat().catch(() => undefined);
  }

  #sendBeat(): Promise<void> {
    return this.#beats.next(async () => {
      const sentAt = momentNow();
      const alive = await this.#beat(this.#context, { ...this.#notes, attempt: this.number, attemptId: this.id });
      this.#hasNoted ||= alive;
      if (!alive) this.#givenUp.abort();
      else if (sentAt.steadyMs > this.#lastBeat.steadyMs) this.#lastBeat = sentAt;
    });
  }
}

interface Moment {
  readonly wallMs: number;
  readonly steadyMs: number;
}

function earlier({ wallMs, steadyMs }: Moment, ms: number): Moment {
  return { wallMs: wallMs - ms, steadyMs: steadyMs - ms };
}

function momentNow(): Moment {
  return { wallMs: Date.now(), steadyMs: performance.now() };
}

/**
 * Uses the clock that has moved further. The wall clock may be set back, and the other one stands still while the
 * machine sleeps.
 */
function msSince({ wallMs, steadyMs }: Moment): number {
  return Math.max(Date.now() - wallMs, performance.now() - steadyMs);
}
