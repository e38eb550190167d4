import type { Layout } from '../../protocol/batcherId.js';
import { partitionName, type RecordSource, type TopicPartition } from '../../protocol/record.js';
import type { PartitionState } from './commitMetadata.js';
import type { LogComparison, LogVerdict } from './logComparison.js';
import type { KnownStart } from './partitionStarts.js';
import type { PartitionTracker } from './tracker.js';

/**
 * Why a partition is held until a person has decided: a damaged record batch, or one that is too large under `onGap: halt`; under
 * `onGap: halt` also a gap in its log, and a log that ends before what was read of it; an offset that a later version has committed.
 */
export const HELD_REASONS = ['unreadable', 'gap', 'truncated', 'newer'] as const;
export type HeldReason = (typeof HELD_REASONS)[number];

/**
 * Why a partition is not fetched now:
 *
 * - `start`: it is not known where to go on, or not committed yet
 * - `blocked`: a person has to decide
 * - `buffer`: the lanes are full, or its plan is carried out and the next one is on its way
 * - `draining`: the member takes nothing more in
 */
export type PauseReason = 'start' | 'blocked' | 'buffer' | 'draining';

/** An offset to commit, and what to say with it. */
export interface PartitionCommit extends TopicPartition {
  readonly offset: number;
  readonly epoch: string;
  readonly layout: Layout;
  readonly state: PartitionState;
}

/** Which records of a log are looked at, and what they lead to. */
export interface Comparison {
  readonly comparison: LogComparison;
  readonly decide: (verdict: LogVerdict) => KnownStart;
}

/** What a partition is at. */
type ReadingState =
  /** Where it starts is not known; why, as far as that is known, else empty. */
  | { readonly type: 'unknown'; readonly problem: string }
  /** Its records tell where it starts. `mismatches`: batches in a row that came from elsewhere. */
  | { readonly type: 'comparing'; readonly compared: Comparison; mismatches: number }
  /** It leaves a layout: no record is taken until its epoch is closed there. `source` is what this hand-over was begun for. */
  | { readonly type: 'leaving'; readonly source: RecordSource }
  /** It is read as its tracker says, from when its epoch is committed on. */
  | { readonly type: 'open' };

/** Kafka's error where the user may not read a topic. */
export const REFUSED = 'TOPIC_AUTHORIZATION_FAILED';
/** A leader that answers with errors for less than this has moved, or has just started: it is no problem yet. */
const LEADER_PATIENCE_MS = 15_000;

/**
 * One partition that the group has given to this member: what is known of its log, where it is read, and why it is not fetched now.
 *
 *     unknown ──► open ◄──────────── end of a tracker's plan ──┐
 *        ├──────► comparing ──► open, leaving                  │
 *        └──────► leaving ──► open (old layout, to an end) ────┘
 *     open, comparing ──the log ends before the position──► unknown
 *
 * In each state it may be held until a person has decided. Back in `unknown` it keeps its tracker: what was handed over of the log is
 * committed. If its topic is gone, another object takes its place, see {@link Assignment.topicGone}: whatever was begun for this one can
 * tell. Pure.
 */
export class AssignedPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly name: string;
  /** When the log was first seen to end before the position in it, by `performance.now()`; null while it is not. */
  shortSinceMs: number | null = null;
  /** Fetches in a row that brought what cannot be read. */
  unreadableFetches = 0;
  #state: ReadingState = { type: 'unknown', problem: '' };
  #tracker: PartitionTracker | null = null;
  /** What the group has committed under the tracker's epoch and plan. */
  #committed: number | null = null;
  #held: { readonly reason: HeldReason; readonly problem: string } | null = null;
  readonly #pausedFor = new Set<PauseReason>();
  /** Which error a broker answers with, and since when by `performance.now()`; null where it was not asked since the partition was paused. */
  #brokerError: { readonly error: string; readonly sinceMs: number | null } | null = null;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
    this.name = partitionName(this);
  }

  /** The same partition, of whose log nothing is known, after its topic was gone. What a broker answers for it stays, as do pauses. */
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

  /** True while it is to be found out where it starts. */
  get isUnknown(): boolean {
    return this.#state.type === 'unknown' && this.#held === null;
  }

  /** What it is read by; null where nothing of it is read, or was. */
  get tracker(): PartitionTracker | null {
    return this.#tracker;
  }

  /** Where it starts cannot be found out now. */
  waits(problem: string): void {
    this.#state = { type: 'unknown', problem };
  }

  compare(compared: Comparison): void {
    this.#state = { type: 'comparing', compared, mismatches: 0 };
  }

  /** A hand-over begins: no record is taken, and no offset of a tracker committed, until it is opened again. */
  leave(source: RecordSource): void {
    this.#tracker = null;
    this.#committed = null;
    this.#state = { type: 'leaving', source };
  }

  /** False once the hand-over that began with this very object has ended. */
  isLeaving(source: RecordSource): boolean {
    return this.#state.type === 'leaving' && this.#state.source === source;
  }

  /** @param committed the offset that the group has committed under this very epoch; null where it has not yet */
  open(tracker: PartitionTracker, committed: number | null): void {
    this.#tracker = tracker;
    this.#committed = committed;
    this.#state = { type: 'open' };
  }

  // ── A person has to decide ───────────────────────────────────────────────────────────────────────────────────────

  /** It will not be read under this assignment, unless its topic is made anew. */
  hold(reason: HeldReason, problem: string): void {
    this.#held = { reason, problem };
  }

  /** Why it is held; null where it is not. */
  get heldFor(): HeldReason | null {
    return this.#held?.reason ?? null;
  }

  /** Why it is not read, in words; empty where nothing is wrong, or nothing is known yet. */
  get problem(): string {
    if (this.#held !== null) return this.#held.problem;
    return this.#state.type === 'unknown' ? this.#state.problem : '';
  }

  // ── Pauses ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** False while it is paused, for whatever reason. */
  isFetched(): boolean {
    return this.#pausedFor.size === 0;
  }

  isPausedFor(reason: PauseReason): boolean {
    return this.#pausedFor.has(reason);
  }

  /** Brokers are no longer asked for it: an error may be over. @returns false if it was paused for that reason already */
  pause(reason: PauseReason): boolean {
    if (this.#brokerError !== null) this.#brokerError = { ...this.#brokerError, sinceMs: null };
    if (this.#pausedFor.has(reason)) return false;
    this.#pausedFor.add(reason);
    return true;
  }

  /** @returns whether it was paused for that reason */
  resume(reason: PauseReason): boolean {
    return this.#pausedFor.delete(reason);
  }

  // ── What brokers answer ──────────────────────────────────────────────────────────────────────────────────────────

  /** @param error null where a broker gives what was asked for */
  brokerAnswers(error: string | null, nowMs: number): void {
    // A broker may have been asked before the partition was paused.
    const sinceMs = this.isFetched() ? (this.#brokerError?.sinceMs ?? nowMs) : null;
    this.#brokerError = error === null ? null : { error, sinceMs };
  }

  /** The user may not read it, as far as was last heard. */
  get isRefused(): boolean {
    return this.#brokerError?.error === REFUSED;
  }

  /** The user may not read it, and a fetch tells once that has changed. */
  get isRefusedWhileFetched(): boolean {
    return this.isRefused && this.#brokerError?.sinceMs !== null;
  }

  /** Why brokers do not give it, in words; null where they do, or have just begun to answer with errors. */
  withheld(nowMs: number): string | null {
    if (this.#brokerError === null || this.#brokerError.sinceMs === null) return null;
    const { error, sinceMs } = this.#brokerError;
    if (error === REFUSED) return `Kafka refuses it to this user (${error}): check the right to read it`;
    return nowMs - sinceMs < LEADER_PATIENCE_MS ? null : `its leader answers ${error}`;
  }

  // ── Commits ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** The offset that the group has committed under the current epoch; null where it has not yet. */
  get committed(): number | null {
    return this.#committed;
  }

  /** The commit of an epoch that nothing may be sent under until then, at its start. */
  uncommittedEpoch(): PartitionCommit | null {
    const tracker = this.#tracker;
    return tracker === null || this.#committed !== null ? null : commitOf(tracker, tracker.startOffset);
  }

  /** The commit of what has been accepted since the last one. */
  advanced(): PartitionCommit | null {
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
