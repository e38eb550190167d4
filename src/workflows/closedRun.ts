import type { BatcherInput } from '../protocol/batcher.js';
import type { BegunBatch, InheritedBatch, InheritedOutcome } from '../protocol/leftover.js';
import type { Inheritance } from '../protocol/inheritance.js';
import { BATCHER } from '../protocol/batcherId.js';
import type { BatchSpec, InsertOutcome } from '../protocol/flush.js';
import type { Unconfirmed } from '../protocol/request.js';
import { batchId, planBatches, type Buffered } from './batchPlanning.js';
import { BatcherState } from './batcherState.js';
import type { RunIdentity } from './runIdentity.js';
import { applySignal, checkInput } from './signals.js';

/** What of a run's history matters to what it has left. */
export type RunEvent =
  | {
      readonly type: 'started';
      readonly input: BatcherInput;
      readonly bodies: Uint8Array;
      /** Where it stands in its chain of runs. */
      readonly chain?: Pick<RunIdentity, 'firstExecutionRunId' | 'continuedFromExecutionRunId'>;
    }
  | SignaledEvent
  /** A workflow task is done. What it has decided follows: first of all `requestsUnderstood`, if that is among it. */
  | { readonly type: 'taskCompleted' }
  /** The task, and all that follow, took requests for what they are. */
  | { readonly type: 'requestsUnderstood' }
  | { readonly type: 'insertScheduled'; readonly spec: BatchSpec; readonly atMs: number }
  | { readonly type: 'inheritedInsertScheduled'; readonly batch: InheritedBatch; readonly atMs: number }
  | {
      readonly type: 'insertCompleted';
      readonly eventId: number;
      readonly outcome: InsertOutcome & Partial<InheritedOutcome>;
      readonly atMs: number;
    }
  | { readonly type: 'rejectCompleted'; readonly unconfirmed: readonly Unconfirmed[]; readonly atMs: number }
  | { readonly type: 'inheritanceRead'; readonly inheritance: Inheritance };

interface SignaledEvent {
  readonly type: 'signaled';
  readonly name: string;
  readonly args: readonly unknown[];
  readonly atMs: number;
}

/**
 * A closed run of a batcher, put together again from its history: what it had accepted and not flushed. Pure; the events
 * are applied in their order. It lives the run's life once more with the run's own state, but for the decisions, which
 * are in the history.
 */
export class ClosedRun {
  readonly #run: RunIdentity;
  #state: BatcherState | null = null;
  #heirOf: string | null = null;
  #onItsWay: OnItsWay | null = null;
  #understandsRequests = false;
  /** Signals from the first request on, as long as it is not known whether it was taken for one. */
  #held: SignaledEvent[] = [];
  /** The task that handled them is done, and has not said yet whether it understood them. */
  #heldWereHandled = false;

  constructor(run: RunIdentity) {
    this.#run = run;
  }

  /** The closed run whose inheritance this one had not read when it was closed itself; null otherwise. */
  get needs(): string | null {
    return this.#heirOf;
  }

  apply(event: RunEvent): void {
    // The task has decided other things and not said so: its worker was of a version that knows no requests.
    if (this.#heldWereHandled && event.type !== 'requestsUnderstood') this.#release();
    switch (event.type) {
      case 'started':
        checkInput(event.input);
        this.#state = new BatcherState({ ...this.#run, ...event.chain }, event.input, event.bodies);
        this.#heirOf = event.input.heirOf ?? null;
        break;
      case 'signaled':
        this.#signaled(event);
        break;
      case 'taskCompleted':
        this.#heldWereHandled = this.#held.length > 0;
        break;
      case 'requestsUnderstood':
        this.#understandsRequests = true;
        this.#release();
        break;
      case 'inheritanceRead':
        this.inherit(event.inheritance);
        break;
      // Scheduled again, an activity is still the same batch's.
      case 'insertScheduled':
        this.#onItsWay ??= this.#beginOwn(event.spec, event.atMs);
        break;
      case 'inheritedInsertScheduled':
        this.#onItsWay ??= this.#beginInherited(event.batch, event.atMs);
        break;
      case 'insertCompleted':
        this.#answered(event.outcome, event.eventId, event.atMs);
        break;
      case 'rejectCompleted':
        this.#finish(event.atMs);
        this.#living.postponeConfirmations(event.unconfirmed, event.atMs);
        break;
    }
  }

  #signaled(event: SignaledEvent): void {
    const undecided = this.#held.length > 0 || event.name === BATCHER.signals.submit;
    if (undecided && !this.#understandsRequests) this.#held.push(event);
    else applySignal(this.#living, event.name, event.args, event.atMs);
  }

  /** Signals that no task has handled any more are taken for what they are. */
  #release(understandsRequests = this.#understandsRequests): void {
    this.#heldWereHandled = false;
    for (const { name, args, atMs } of this.#held.splice(0)) {
      applySignal(this.#living, name, args, atMs, () => understandsRequests);
    }
  }

  /** The history has no more events. */
  end(): void {
    this.#release(this.#understandsRequests || !this.#heldWereHandled);
  }

  /** What the run would have read, see {@link needs}. */
  inherit(inheritance: Inheritance): void {
    this.#living.inherit(inheritance);
    this.#heirOf = null;
  }

  /** The chunks that the run had accepted itself and not flushed, oldest first; a batch on its way comes first. */
  get unflushed(): readonly Buffered[] {
    const onItsWay = this.#onItsWay?.type === 'own' ? this.#onItsWay.chunks : [];
    return [...onItsWay, ...this.#living.buffered];
  }

  /** What an heir takes over. */
  inheritance(): Inheritance {
    const state = this.#living;
    const onItsWay = this.#onItsWay;
    const begun: BegunBatch | null = onItsWay && {
      destination: onItsWay.destination,
      answer: onItsWay.answer,
      ...(state.parking === null ? {} : { parking: state.parking }),
    };
    const own = onItsWay?.type === 'own' ? onItsWay.chunks.length : 0;
    const batches = [...(own > 0 ? [own] : []), ...planBatches(state.buffered, state.settings.batch)];
    return state.handOn(batches.length === 0 ? null : state.leave(batches, own > 0 ? begun : null));
  }

  get #living(): BatcherState {
    if (this.#state === null) throw new Error(`the history of run ${this.#run.runId} has no start`);
    return this.#state;
  }

  #beginOwn({ chunks, destination, reason, id }: BatchSpec, atMs: number): OnItsWay {
    const taken = this.#living.takeChunks(chunks.length, reason, atMs);
    // A version that judged chunks otherwise is not guessed at: what it left could not be told from what it flushed.
    if (batchId(this.#run.workflowId, taken) !== id) {
      throw new Error(`run ${this.#run.runId} had other chunks in batch ${id} than this version puts together`);
    }
    return { type: 'own', chunks: taken, id, destination, answer: null, outcome: null };
  }

  #beginInherited({ destination, answer, parking }: InheritedBatch, atMs: number): OnItsWay {
    this.#living.takeInherited(atMs);
    this.#living.beginInherited({ destination, answer, ...(parking === undefined ? {} : { parking }) });
    return { type: 'inherited', destination, answer, outcome: null };
  }

  #answered(outcome: InsertOutcome & Partial<InheritedOutcome>, eventId: number, atMs: number): void {
    if (this.#onItsWay === null) throw new Error(`event ${eventId}: an insert that was not scheduled has answered`);
    const answer = { runId: this.#run.runId, eventId };
    this.#onItsWay = { ...this.#onItsWay, outcome, answer };
    if (outcome.rejected === 0) this.#finish(atMs);
    else if (this.#onItsWay.type === 'inherited') {
      this.#living.beginInherited({ destination: this.#onItsWay.destination, answer });
    }
  }

  #finish(atMs: number): void {
    const onItsWay = this.#onItsWay;
    if (!onItsWay?.outcome) throw new Error('rejections of an insert that has not answered');
    this.#onItsWay = null;
    if (onItsWay.type === 'own') this.#living.finishFlush(onItsWay.outcome, onItsWay.id, atMs);
    else this.#living.finishInherited({ id: '', ...onItsWay.outcome }, atMs);
  }
}

/** A batch that has begun. */
type OnItsWay = {
  readonly destination: BegunBatch['destination'];
  readonly answer: BegunBatch['answer'];
  readonly outcome: (InsertOutcome & Partial<InheritedOutcome>) | null;
} & (
  { readonly type: 'own'; readonly chunks: readonly Buffered[]; readonly id: string } | { readonly type: 'inherited' }
);
