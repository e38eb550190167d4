import { crc32 } from '../lib/crc32.js';
import type { AckStatus } from '../protocol/ack.js';
import type { SourcedRecord } from '../protocol/record.js';
import type { Unconfirmed } from '../protocol/request.js';
import type { Attempt } from './attempt.js';
import type { Verdicts } from './outcome.js';

/**
 * What attempts in this process have done for a batch whose activity is not done yet, so that the next attempt need not
 * repeat it. Another worker does not know this. There it is done twice, or found out.
 */
export interface BatchMemo {
  /** What the insert has come to. It counts only for the attempt that it names, see {@link BatchMemos.begin}. */
  readonly insert?: KnownInsert;
  /** The dead letters are published. */
  readonly deadLetters?: true;
  readonly acks?: Readonly<Partial<Record<AckStatus, PublishedAcks | undefined>>>;
  /** Requesters were told. */
  readonly confirmed?: Readonly<Partial<Record<AckStatus, SentConfirmations>>>;
}

/** The result of an insert, as one attempt knows it. */
export interface KnownInsert {
  /** What is rejected. All other records are in their tables. */
  readonly verdicts: Verdicts;
  /** The attempt that knows it. */
  readonly attemptId: string;
}

/** The result of publishing the acknowledgements of one status. */
export interface PublishedAcks {
  /** By topic, the {@link digest} of the records whose acknowledgements it has. */
  readonly published: ReadonlyMap<string, number>;
  /**
   * Topics that did not take their acknowledgements. Empty if all are published, although the activity may still fail
   * for another reason.
   */
  readonly away: readonly string[];
}

/** The confirmations of one status. */
export interface SentConfirmations {
  /** The {@link digest} of their requests. */
  readonly requests: number;
  /** Those that could not be delivered. */
  readonly unconfirmed: readonly Unconfirmed[];
}

/** Batches that are remembered, at most. */
const MEMOS_MAX = 1_000;
/** How long a batch is remembered after its last note. */
const KEPT_FOR_MS = 10 * 60_000;

const NOTHING: BatchMemo = {};

/** The memos of batches, by `Attempt.activityKey`. A full store forgets the oldest one. */
export class BatchMemos {
  readonly #memos = new Map<string, { readonly memo: BatchMemo; readonly untilMs: number }>();
  readonly #now: () => number;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * To be called when an attempt begins. What the insert has come to counts for it if the attempt directly before it knew
   * that, in this process: then it is put down as known to this attempt, see {@link verdictsFor}. Otherwise another
   * worker's attempt was in between, and may have inserted what was rejected.
   */
  begin({ activityKey, id, previousId }: Pick<Attempt, 'activityKey' | 'id' | 'previousId'>): void {
    const { insert } = this.of(activityKey);
    if (insert !== undefined && insert.attemptId === previousId)
      this.note(activityKey, { insert: { ...insert, attemptId: id } });
  }

  /** What an insert has come to, if this attempt or the one directly before it knows that. */
  verdictsFor({ activityKey, id }: Pick<Attempt, 'activityKey' | 'id'>): Verdicts | undefined {
    const { insert } = this.of(activityKey);
    return insert?.attemptId === id ? insert.verdicts : undefined;
  }

  /** Empty if nothing is known. */
  of(activityKey: string): BatchMemo {
    const entry = this.#memos.get(activityKey);
    return entry !== undefined && this.#now() < entry.untilMs ? entry.memo : NOTHING;
  }

  /** Notes these parts. They replace what was known about them. */
  note(activityKey: string, parts: BatchMemo): void {
    const memo = { ...this.of(activityKey), ...parts };
    this.#memos.delete(activityKey);
    const [oldest] = this.#memos.keys();
    if (oldest !== undefined && this.#memos.size >= MEMOS_MAX) this.#memos.delete(oldest);
    this.#memos.set(activityKey, { memo, untilMs: this.#now() + KEPT_FOR_MS });
  }

  /** Forgets an activity that is done: no attempt of it follows. */
  forget(activityKey: string): void {
    this.#memos.delete(activityKey);
  }
}

/**
 * A digest of a list of records. If a verdict has changed since, the list is another one, and does not count as
 * answered.
 */
export function digest(records: readonly SourcedRecord[]): number {
  let hash = records.length;
  let topic = '';
  let ofTopic = 0;
  for (const { source, record } of records) {
    if (source.topic !== topic) {
      topic = source.topic;
      ofTopic = crc32(Buffer.from(topic));
    }
    hash = (Math.imul(hash, 31) + ofTopic + source.partition) | 0;
    hash = (Math.imul(hash ^ (hash >>> 15), 0x85ebca6b) + record.offset) | 0;
  }
  return hash;
}
