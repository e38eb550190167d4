import type { AckStatus } from '../protocol/ack.js';
import type { Unconfirmed } from '../protocol/request.js';
import type { Verdicts } from './outcome.js';

/**
 * What attempts in this process have done for a batch whose activity is not done yet, so that the next attempt need not
 * repeat it. Another worker does not know this. There it is done twice, or found out.
 */
export interface BatchMemo {
  /** What the insert has rejected. All other records are in their tables. */
  readonly verdicts?: Verdicts;
  /** The dead letters are published. */
  readonly deadLetters?: true;
  readonly acks?: Readonly<Partial<Record<AckStatus, PublishedAcks | undefined>>>;
  /** Requesters were told. These confirmations could not be delivered. */
  readonly confirmed?: Readonly<Partial<Record<AckStatus, readonly Unconfirmed[]>>>;
}

/** The result of publishing the acknowledgements of one status. */
export interface PublishedAcks {
  /** By topic, a digest of the records whose acknowledgements it has. */
  readonly published: ReadonlyMap<string, number>;
  /**
   * Topics that did not take their acknowledgements. Empty if all are published, although the activity may still fail
   * for another reason.
   */
  readonly away: readonly string[];
}

/** Batches that are remembered, at most. */
const MEMOS_MAX = 1_000;
/** How long a batch is remembered after its last note. */
const KEPT_FOR_MS = 10 * 60_000;

const NOTHING: BatchMemo = {};

/** The memos of batches, by the name of the activity, see `Attempt.activity`. A full store forgets the oldest one. */
export class BatchMemos {
  readonly #memos = new Map<string, { readonly memo: BatchMemo; readonly untilMs: number }>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Empty if nothing is known. */
  of(activity: string): BatchMemo {
    const entry = this.#memos.get(activity);
    return entry !== undefined && this.#now() < entry.untilMs ? entry.memo : NOTHING;
  }

  /** Notes these parts. They replace what was known about them. */
  note(activity: string, parts: BatchMemo): void {
    const memo = { ...this.of(activity), ...parts };
    this.#memos.delete(activity);
    const [oldest] = this.#memos.keys();
    if (oldest !== undefined && this.#memos.size >= MEMOS_MAX) this.#memos.delete(oldest);
    this.#memos.set(activity, { memo, untilMs: this.#now() + KEPT_FOR_MS });
  }

  /** Forgets an activity that is done: no attempt of it follows. */
  forget(activity: string): void {
    this.#memos.delete(activity);
  }
}
