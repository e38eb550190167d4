import { NOT_AUTHORIZED, NOT_READABLE } from '../../kafka/errorType.js';
import type { Layout } from '../../protocol/layout.js';
import { partitionName, type RecordSource, type TopicPartition } from '../../protocol/record.js';
import type { PartitionState } from './commitMetadata.js';
import type { Comparison } from './partitionStarts.js';
import type { LogCut } from './readEpochs.js';
import type { PartitionTracker } from './tracker.js';

/**
 * Why a partition is held until a person has decided:
 *
 * - `unreadable`: a damaged record batch, or, under `onGap: halt`, one that is too large
 * - `gap`: under `onGap: halt`, records that retention removed
 * - `truncated`: under `onGap: halt`, a log that ends before what was read of it
 * - `newer`: an offset that a later version of ktb has committed
 */
export const HELD_REASONS = ['unreadable', 'gap', 'truncated', 'newer'] as const;
export type HeldReason = (typeof HELD_REASONS)[number];

/**
 * Why a partition is not fetched now:
 *
 * - `start`: where to read it is not known, or its topic is gone. A new epoch does not pause it: its first batch brings the
 *   function to commit the epoch with
 * - `held`: a person has to decide, see {@link HELD_REASONS}
 * - `buffer`: the lanes are full, or its plan is finished and the next one is not ready
 * - `registry`: the schema registry has to be asked for the batchers of its records, and does not answer
 * - `leader`: its leader does not say whether the log was cut. It is asked again after a second
 * - `draining`: the member takes no more records
 */
export type PauseReason = 'start' | 'held' | 'buffer' | 'registry' | 'leader' | 'draining';

/** An offset to commit, with its metadata. */
export interface PartitionCommit extends TopicPartition {
  readonly offset: number;
  readonly epoch: string;
  readonly layout: Layout;
  readonly state: PartitionState;
}

/** The state of a partition. */
type ReadingState =
  /** Its start is not known. `problem` says why, and is empty if that is not known yet. */
  | { readonly type: 'unknown'; readonly problem: string }
  /** Its records tell where it starts. `mismatches`: batches in a row that came from elsewhere. */
  | { readonly type: 'comparing'; readonly compared: Comparison; mismatches: number }
  /**
   * It leaves a layout. No record is taken until its epoch is closed there. `source` is the object that this layout change
   * began for.
   */
  | { readonly type: 'leaving'; readonly source: RecordSource }
  /** It is read as its tracker says, as soon as its epoch is committed. */
  | { readonly type: 'open' };

/** What is asked for before a batch is taken, and what is wrong without an answer. */
const UNANSWERED = {
  topic: 'its broker does not say whether its topic is still the same',
  cut: 'its leader does not say whether its log still has all that was read of it',
  accepted: 'the batchers do not say what they have of it: is a worker running?',
} as const;
export type Question = keyof typeof UNANSWERED;

/** A leader that answers with errors for a shorter time has moved or has just started. That is no problem yet. */
const LEADER_PATIENCE_MS = 15_000;

/**
 * One partition that the group has given to this member: what is known of its log, where it is read, and why it is not
 * fetched now.
 *
 *     unknown ──► open ◄──────────── end of a tracker's plan ──┐
 *        ├──────► comparing ──► open, leaving                  │
 *        └──────► leaving ──► open (old layout, to an end) ────┘
 *     open, comparing ──the log ends before the position──► unknown
 *
 * In each state it may be held until a person has decided. Back in `unknown` it keeps its tracker, because what was
 * handed over of the log is still committed. If its topic is gone, another object replaces it, see
 * {@link Assignment.topicGone}. So what began for the old object can notice that. Pure.
 */
export class AssignedPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly name: string;
  /** When the log was first seen to end before the position in it, by `performance.now()`. Null if it does not. */
  shortSinceMs: number | null = null;
  /** When its topic was first seen to be another one than the committed epoch's, by `performance.now()`. Null if it is not. */
  otherSinceMs: number | null = null;
  /** Whether it is known what batchers had accepted of it before this assignment, see {@link ReadEpochs.accepted}. */
  isAcceptedKnown = false;
  /** Where its log was seen to be cut. Null if it was not. */
  cut: LogCut | null = null;
  /**
   * The id of the topic whose log is read, as it was before the start was asked for. Null if Kafka does not tell it, or
   * was not asked.
   */
  topicId: string | null = null;
  /** Why the batchers of its next records are not known, if the schema registry has to be asked for them. Null if they are. */
  registryProblem: string | null = null;
  /** Fetches in a row that brought an unreadable batch. */
  unreadableFetches = 0;
  /** When it was last not fetched, by `performance.now()`. Null once its topic was seen since, see {@link mayBeOtherLog}. */
  #notFetchedMs: number | null = -Infinity;
  /** What is asked for without an answer, and since when, by `performance.now()`. Null if there was one since. */
  #unanswered: { readonly question: Question; readonly sinceMs: number } | null = null;
  #state: ReadingState = { type: 'unknown', problem: '' };
  #tracker: PartitionTracker | null = null;
  /** What the group has committed under the tracker's epoch and plan. */
  #committed: number | null = null;
  #held: { readonly reason: HeldReason; readonly problem: string } | null = null;
  readonly #pausedFor = new Set<PauseReason>();
  /**
   * The error that a broker answers with, and since when, by `performance.now()`. The time is null if the broker was
   * not asked since the partition was paused.
   */
  #brokerError: { readonly error: string; readonly sinceMs: number | null } | null = null;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
    this.name = partitionName(this);
  }

  /** The same partition after its topic was gone: nothing is known of its log. A broker's error and the pauses stay. */
  successor(): AssignedPartition {
    const next = new AssignedPartition(this);
    if (this.#state.type === 'unknown') next.#state = this.#state;
    next.#brokerError = this.#brokerError;
    for (const reason of this.#pausedFor) next.#pausedFor.add(reason);
    return next;
  }

  get state(): ReadingState {
    return this.#state;
  }

  /** True if its start has to be found out. */
  get isUnknown(): boolean {
    return this.#state.type === 'unknown' && this.#held === null;
  }

  /** Null if nothing of it is read, or was read. */
  get tracker(): PartitionTracker | null {
    return this.#tracker;
  }

  /** The epoch under which it is read, or leaves a layout. Null if there is none yet. */
  get epoch(): string | null {
    if (this.#tracker !== null) return this.#tracker.epoch;
    return this.#state.type === 'leaving' ? this.#state.source.epoch : null;
  }

  /** The partition's start cannot be found out now. */
  waits(problem: string): void {
    this.#state = { type: 'unknown', problem };
  }

  compare(compared: Comparison): void {
    this.#state = { type: 'comparing', compared, mismatches: 0 };
  }

  /** A layout change begins: no record is taken, and no offset of a tracker committed, until it is opened again. */
  leave(source: RecordSource): void {
    this.#tracker = null;
    this.#committed = null;
    this.#state = { type: 'leaving', source };
  }

  /** False when the layout change that began with this object has ended: its partition is open, or its topic is gone. */
  isLeaving(source: RecordSource): boolean {
    return this.#state.type === 'leaving' && this.#state.source === source;
  }

  /** @param committed the offset that the group has committed under this epoch. Null if there is none yet */
  open(tracker: PartitionTracker, committed: number | null): void {
    this.#tracker = tracker;
    this.#committed = committed;
    this.#state = { type: 'open' };
  }

  // ── A person has to decide ───────────────────────────────────────────────────────────────────────────────────────

  /** It is not read under this assignment, unless its topic is created again. */
  hold(reason: HeldReason, problem: string): void {
    this.#held = { reason, problem };
  }

  /** Why it is held. Null if it is not. */
  get heldFor(): HeldReason | null {
    return this.#held?.reason ?? null;
  }

  /**
   * It was not fetched for a while. Its topic may have been deleted and created again meanwhile, and no fetch tells of
   * that if the other log is longer. So what the next fetch brings is taken only once the topic's id was seen again.
   */
  get mayBeOtherLog(): boolean {
    return this.#notFetchedMs !== null && this.topicId !== null;
  }

  /** The topic was seen to be the same. @param askedAtMs when that was asked, by `performance.now()` */
  topicSeen(askedAtMs: number): void {
    if (this.#notFetchedMs !== null && this.#notFetchedMs < askedAtMs) this.#notFetchedMs = null;
    this.answered('topic');
  }

  /** A batch is not taken, because there is no answer to a question. @param askedAtMs when, by `performance.now()` */
  unanswered(question: Question, askedAtMs: number): void {
    if (this.#unanswered?.question !== question) this.#unanswered = { question, sinceMs: askedAtMs };
  }

  answered(question: Question): void {
    if (this.#unanswered?.question === question) this.#unanswered = null;
  }

  /** Whether its topic was created again since its start was asked for: it has another id now. */
  isTopicRecreated(topicId: string | undefined): boolean {
    return this.topicId !== null && topicId !== undefined && this.topicId !== topicId;
  }

  /** A message why it is not read. Empty if nothing is wrong, or nothing is known yet. */
  get problem(): string {
    if (this.#held !== null) return this.#held.problem;
    return this.#state.type === 'unknown' ? this.#state.problem : (this.registryProblem ?? '');
  }

  // ── Pauses ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** False if it is paused for any reason. */
  isFetched(): boolean {
    return this.#pausedFor.size === 0;
  }

  isPausedFor(reason: PauseReason): boolean {
    return this.#pausedFor.has(reason);
  }

  /**
   * Brokers are no longer asked for it, so an error may be over.
   *
   * @returns false if it was paused for that reason already
   */
  pause(reason: PauseReason): boolean {
    if (this.#brokerError !== null) this.#brokerError = { ...this.#brokerError, sinceMs: null };
    if (this.#pausedFor.has(reason)) return false;
    this.#pausedFor.add(reason);
    return true;
  }

  /** @returns whether it was paused for that reason */
  resume(reason: PauseReason): boolean {
    if (this.#pausedFor.has(reason)) this.#notFetchedMs = performance.now();
    return this.#pausedFor.delete(reason);
  }

  // ── What brokers answer ──────────────────────────────────────────────────────────────────────────────────────────

  /** @param error null if the broker gave what was asked for */
  brokerAnswers(error: string | null, nowMs: number): void {
    // The request may have been sent before the partition was paused.
    const sinceMs = this.isFetched() ? (this.#brokerError?.sinceMs ?? nowMs) : null;
    this.#brokerError = error === null ? null : { error, sinceMs };
    if (error !== null) this.#notFetchedMs = nowMs;
  }

  /** By the last answer, the user may not read it. */
  get isRefused(): boolean {
    return this.#brokerError?.error === NOT_AUTHORIZED;
  }

  /** The user may not read it, and it is fetched, so a change will be noticed. */
  get isRefusedWhileFetched(): boolean {
    return this.isRefused && this.#brokerError?.sinceMs !== null;
  }

  /** A message why brokers do not give it. Null if they do, or if something is wrong only since a short time. */
  withheld(nowMs: number): string | null {
    const { error, sinceMs } = this.#brokerError ?? { error: '', sinceMs: null };
    if (sinceMs !== null) {
      if (error === NOT_AUTHORIZED) return NOT_READABLE;
      return nowMs - sinceMs < LEADER_PATIENCE_MS ? null : `its leader answers ${error}`;
    }
    // Between two questions it is paused for `leader`.
    if (this.#unanswered === null || [...this.#pausedFor].some((reason) => reason !== 'leader')) return null;
    const { question, sinceMs: unansweredMs } = this.#unanswered;
    return nowMs - unansweredMs < LEADER_PATIENCE_MS ? null : UNANSWERED[question];
  }

  // ── Commits ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The offset that the group has committed under the current epoch. Null if there is none yet. */
  get committed(): number | null {
    return this.#committed;
  }

  /** The commit of a new epoch, at its start. Nothing may be sent under the epoch before it. Null if it is done. */
  uncommittedEpoch(): PartitionCommit | null {
    const tracker = this.#tracker;
    return tracker === null || this.#committed !== null ? null : commitOf(tracker, tracker.startOffset);
  }

  /** The commit of what was accepted since the last one. Null if there is nothing new. */
  dueCommit(): PartitionCommit | null {
    const tracker = this.#tracker;
    if (tracker === null || this.#committed === null) return null;
    const offset = tracker.committable();
    return offset <= this.#committed ? null : commitOf(tracker, offset);
  }

  /** A commit succeeded. One for an epoch or a plan that has been replaced meanwhile changes nothing. */
  wasCommitted({ epoch, state, offset }: PartitionCommit): void {
    if (this.#tracker?.epoch === epoch && this.#tracker.plan.state === state) this.#committed = offset;
  }
}

function commitOf({ topic, partition, epoch, plan }: PartitionTracker, offset: number): PartitionCommit {
  const { layout, state } = plan;
  return { topic, partition, offset, epoch, layout, state };
}
