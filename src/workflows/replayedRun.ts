import type { BatcherInput } from '../protocol/batcher.js';
import type { BegunBatch, InheritedBatch, FlushOutcome } from '../protocol/leftover.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { BatchSpec, InsertOutcome } from '../protocol/flush.js';
import type { Unconfirmed } from '../protocol/request.js';
import { batchId, inheritedLimits, planBatches, type Buffered } from './batchPlanning.js';
import { BatcherState } from './batcherState.js';
import type { RunIdentity } from './runIdentity.js';
import { applySignal, checkInput } from './signals.js';

/** Which activity a result is of, and how it came. */
export interface Answer {
  /** Event of its activity. Absent: an activity that took plain results. */
  readonly scheduledEventId?: number;
  /** Whether it came encrypted, for the call of its activity. */
  readonly isBound?: boolean;
}

/** The events of a run's history that decide what the run has left. */
export type RunEvent =
  | {
      readonly type: 'started';
      readonly input: BatcherInput;
      readonly bodies: Uint8Array;
      /** The run's place in its chain of runs. */
      readonly chain?: Pick<RunIdentity, 'firstExecutionRunId' | 'continuedFromExecutionRunId'>;
    }
  | { readonly type: 'signaled'; readonly name: string; readonly args: readonly unknown[]; readonly atMs: number }
  | { readonly type: 'insertScheduled'; readonly spec: BatchSpec; readonly atMs: number }
  | { readonly type: 'inheritedInsertScheduled'; readonly batch: InheritedBatch; readonly atMs: number }
  | { readonly type: 'activityScheduled'; readonly eventId: number }
  | (Answer &
      (
        | {
            readonly type: 'insertCompleted';
            readonly eventId: number;
            readonly outcome: InsertOutcome & Partial<FlushOutcome>;
            readonly atMs: number;
          }
        | { readonly type: 'rejectCompleted'; readonly unconfirmed: readonly Unconfirmed[]; readonly atMs: number }
        | { readonly type: 'inheritanceRead'; readonly inheritance: Inheritance }
      ));

/**
 * Finds what a run of a batcher has accepted and not flushed: mostly a closed one, or an open one so far. Pure. Apply the
 * events of the run's history in order. They go through the run's own state again, but the decisions are taken from the
 * history.
 *
 *     accepting ──insertScheduled──► on its way ──insertCompleted──► accepting
 *                                        └──insertCompleted, with rejections──► rejecting ──rejectCompleted──► accepting
 */
export class ReplayedRun {
  readonly #run: RunIdentity;
  #state: BatcherState | null = null;
  #current: CurrentBatch | null = null;
  /** Events of the activities of which the run took no plain result. */
  readonly #refusingPlain = new Set<number>();

  constructor(run: RunIdentity) {
    this.#run = run;
  }

  /**
   * The closed run whose inheritance this run had not read when it was closed itself. Null if there is none, or it was
   * read since, see {@link inherit}.
   */
  get unreadRun(): string | null {
    return this.#startedState.unreadRun;
  }

  /** Whether it was an heir, or has asked for the `RUN_BEFORE`. */
  get knowsRunBefore(): boolean {
    return this.#startedState.knowsRunBefore;
  }

  apply(event: RunEvent): void {
    switch (event.type) {
      case 'started':
        checkInput(event.input);
        this.#state = new BatcherState({ ...this.#run, ...event.chain }, event.input, event.bodies);
        break;
      case 'signaled':
        applySignal(this.#startedState, event.name, event.args, event.atMs);
        break;
      case 'activityScheduled':
        // As `atInstallation` does.
        if (this.#startedState.refusesUnencrypted) this.#refusingPlain.add(event.eventId);
        break;
      case 'inheritanceRead':
        if (!this.#refuses(event)) this.inherit(event.inheritance);
        break;
      // An activity that is scheduled again is for the same batch.
      case 'insertScheduled':
        this.#current ??= this.#beginOwn(event.spec, event.atMs);
        break;
      case 'inheritedInsertScheduled':
        this.#current ??= this.#beginInherited(event.batch, event.atMs);
        break;
      case 'insertCompleted':
        if (!this.#refuses(event)) this.#insertAnswered(event.outcome, event.eventId, event.atMs);
        break;
      case 'rejectCompleted':
        if (this.#refuses(event)) break;
        this.#finish(event.atMs);
        this.#startedState.postponeConfirmations(event.unconfirmed, event.atMs);
        break;
    }
  }

  /** Gives the run the inheritance that it had not read, see {@link unreadRun}. */
  inherit(inheritance: Inheritance): void {
    this.#startedState.inherit(inheritance);
  }

  /**
   * The chunks that the run itself had accepted and not flushed, oldest first. A batch that was being flushed comes
   * first.
   */
  get unflushed(): readonly Buffered[] {
    return [...this.flushing, ...this.#startedState.buffered];
  }

  /** The chunks of the batch that the run itself is flushing. Empty if there is none. */
  get flushing(): readonly Buffered[] {
    return this.#current?.type === 'own' ? this.#current.chunks : [];
  }

  /** What an heir takes over. */
  inheritance(): Inheritance {
    const state = this.#startedState;
    const current = this.#current;
    const begun: BegunBatch | null = current && {
      destination: current.destination,
      ...(current.sealed === true ? { sealed: true } : {}),
      answer: current.answer,
      ...(state.parking === null ? {} : { parking: state.parking }),
    };
    const own = current?.type === 'own' ? current.chunks.length : 0;
    // A batch that had begun keeps its chunks: their rows may be in the table under its tokens.
    const batches = [...(own > 0 ? [own] : []), ...planBatches(state.buffered, inheritedLimits(state.settings.batch))];
    return state.handOn(batches.length === 0 ? null : state.leave(batches, own > 0 ? begun : null));
  }

  get #startedState(): BatcherState {
    if (this.#state === null) throw new Error(`the history of run ${this.#run.runId} has no start`);
    return this.#state;
  }

  #refuses({ isBound = false, scheduledEventId = 0 }: Answer): boolean {
    return !isBound && this.#refusingPlain.has(scheduledEventId);
  }

  #beginOwn({ chunks, destination, sealed, reason, id }: BatchSpec, atMs: number): CurrentBatch {
    const taken = this.#startedState.takeChunks(chunks.length, reason, atMs);
    // Another version may have accepted other parts of the chunks. Then it could not be told what is left and what is
    // flushed.
    if (batchId(this.#run.workflowId, taken) !== id) {
      throw new Error(`run ${this.#run.runId} had other chunks in batch ${id} than this version puts together`);
    }
    return { type: 'own', chunks: taken, id, destination, sealed, answer: null, outcome: null };
  }

  #beginInherited({ destination, sealed, answer, parking }: InheritedBatch, atMs: number): CurrentBatch {
    this.#startedState.takeInherited(atMs);
    const begun = { destination, ...(sealed === true ? { sealed } : {}), answer };
    this.#startedState.noteInherited({ ...begun, ...(parking === undefined ? {} : { parking }) });
    return { type: 'inherited', destination, sealed, answer, outcome: null };
  }

  #insertAnswered(outcome: InsertOutcome & Partial<FlushOutcome>, eventId: number, atMs: number): void {
    if (this.#current === null) throw new Error(`event ${eventId}: an insert that was not scheduled has answered`);
    const answer = { runId: this.#run.runId, eventId };
    this.#current = { ...this.#current, outcome, answer };
    if (outcome.rejected === 0) this.#finish(atMs);
    else if (this.#current.type === 'inherited') {
      const { destination, sealed } = this.#current;
      this.#startedState.noteInherited({ destination, ...(sealed === true ? { sealed } : {}), answer });
    }
  }

  #finish(atMs: number): void {
    const current = this.#current;
    if (!current?.outcome) throw new Error('rejections of an insert that has not answered');
    this.#current = null;
    if (current.type === 'own') this.#startedState.finishFlush(current.outcome, current.id, atMs);
    else this.#startedState.finishInherited({ id: '', ...current.outcome }, atMs);
  }
}

/** The batch that is being flushed. `outcome`: the result of its insert, null until that has ended. */
type CurrentBatch = {
  readonly destination: BegunBatch['destination'];
  readonly sealed: true | undefined;
  readonly answer: BegunBatch['answer'];
  readonly outcome: (InsertOutcome & Partial<FlushOutcome>) | null;
} & (
  { readonly type: 'own'; readonly chunks: readonly Buffered[]; readonly id: string } | { readonly type: 'inherited' }
);
