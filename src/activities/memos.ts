import type { AckStatus } from '../protocol/ack.js';
import type { Unconfirmed } from '../protocol/request.js';
import type { Verdicts } from './outcome.js';

/**
 * What attempts in this process have done of a batch whose activity is not done: what the next attempt need not do again. On
 * another worker it is not known; there it is done twice, or found out.
 */
export interface BatchMemo {
  /** What the insert has rejected. All other records are in their tables. */
  readonly verdicts?: Verdicts;
  /** The dead letters are published. */
  readonly deadLetters?: true;
  readonly acks?: Readonly<Partial<Record<AckStatus, PublishedAcks | undefined>>>;
  /** Requesters have been told; these could not be. */
  readonly confirmed?: Readonly<Partial<Record<AckStatus, readonly Unconfirmed[]>>>;
}

/** What has become of the acknowledgements of one status. */
export interface PublishedAcks {
  /** Topic to a digest of the records whose acknowledgements it has. */
  readonly published: ReadonlyMap<string, number>;
  /** Topics that did not take theirs; none where all are published, and the activity may still fail for another reason. */
  readonly away: readonly string[];
}

/** As many batches are remembered. */
const MEMOS_MAX = 1_000;
/** And for so long after something of them was noted last. */
const KEPT_FOR_MS = 10 * 60_000;

const NOTHING: BatchMemo = {};

/** The memos of batches, by what names the activity: see `Attempt.activity`. A full store forgets the oldest. */
export class BatchMemos {
  readonly #memos = new Map<string, { readonly memo: BatchMemo; readonly untilMs: number }>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Empty where nothing is known. */
  of(activity: string): BatchMemo {
    const entry = this.#memos.get(activity);
    return entry !== undefined && this.#now() < entry.untilMs ? entry.memo : NOTHING;
  }

  /** Notes these parts, in the place of what was known of them. */
  note(activity: string, parts: BatchMemo): void {
    const memo = { ...this.of(activity), ...parts };
    this.#memos.delete(activity);
    const [oldest] = this.#memos.keys();
    if (oldest !== undefined && this.#memos.size >= MEMOS_MAX) this.#memos.delete(oldest);
    this.#memos.set(activity, { memo, untilMs: this.#now() + KEPT_FOR_MS });
  }

  /** An activity is done: no attempt of it follows. */
  forget(activity: string): void {
    this.#memos.delete(activity);
  }
}
