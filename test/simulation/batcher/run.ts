import { type BatcherInput, BATCHER } from '../../../src/protocol/batcher.js';
import type { InheritedBatch, FlushOutcome } from '../../../src/protocol/leftover.js';
import type { Inheritance } from '../../../src/protocol/inheritance.js';
import { openEnvelope, repeatedBatch, type BatchSpec, type RejectionSpec } from '../../../src/protocol/flush.js';
import type { RowRequest, Unconfirmed } from '../../../src/protocol/request.js';
import { BatcherState } from '../../../src/workflows/batcherState.js';
import type { HistoryView } from '../../../src/workflows/continuation.js';
import { applySignal } from '../../../src/workflows/signals.js';
import { throughTemporal, type Histories } from './histories.js';

/** An activity that was scheduled and whose end the run waits for. */
export type Activity = { readonly eventId: number; attempt: number } & (
  | { readonly type: 'readInheritance'; readonly args: readonly [batcher: string, runId: string] }
  | { readonly type: 'insertBatch'; readonly args: readonly [spec: BatchSpec, bodies: Uint8Array] }
  | { readonly type: 'insertInherited'; readonly args: readonly [batch: InheritedBatch] }
  | { readonly type: 'rejectRecords'; readonly args: readonly [spec: RejectionSpec, rejected: Uint8Array] }
  | {
      readonly type: 'confirmRequests';
      readonly args: readonly [pipeline: string, unconfirmed: readonly Unconfirmed[]];
    }
);

type Scheduled = Activity extends infer One ? (One extends Activity ? Pick<One, 'type' | 'args'> : never) : never;

/** How a run ends by itself. */
export type End =
  | { readonly type: 'continuedAsNew'; readonly input: BatcherInput; readonly bodies: Uint8Array }
  | { readonly type: 'completed' };

interface Signal {
  readonly name: string;
  readonly args: readonly unknown[];
}

/**
 * One run of the batcher as Temporal carries it out: what arrives stands in the history at once and is worked off in the
 * next workflow task. Its decisions are carried out as `src/workflows/batcher.ts` does.
 */
export class BatcherRun {
  readonly runId: string;
  readonly state: BatcherState;
  readonly #workflowId: string;
  readonly #histories: Histories;
  readonly #onRequest: (request: RowRequest) => void;
  #signals: Signal[] = [];
  #ended: { readonly activity: Activity; readonly result: unknown } | { readonly failed: Activity } | null = null;
  #activity: Activity | null = null;

  constructor(
    { workflowId, runId }: { workflowId: string; runId: string },
    histories: Histories,
    input: BatcherInput,
    bodies: Uint8Array,
    nowMs: number,
    onRequest: (request: RowRequest) => void,
  ) {
    this.#onRequest = onRequest;
    this.#workflowId = workflowId;
    this.runId = runId;
    this.#histories = histories;
    const before = input.carried === undefined ? {} : { continuedExecutionRunId: `before ${runId}` };
    histories.started(runId, nowMs, [input, bodies], before);
    const run = { workflowId, runId, continuedFromExecutionRunId: before.continuedExecutionRunId };
    this.state = new BatcherState(run, throughTemporal(input), bodies);
  }

  /** What waits for its end; null once that is in the history. */
  get activity(): Activity | null {
    return this.#ended === null ? this.#activity : null;
  }

  /** That no task has handled yet. */
  get unhandledRequests(): RowRequest[] {
    return this.#signals.filter(({ name }) => name === BATCHER.signals.submit).map(({ args }) => args[0] as RowRequest);
  }

  signal(name: string, args: readonly unknown[], nowMs: number): void {
    this.#histories.signaled(this.runId, nowMs, name, args);
    this.#signals.push({ name, args: args.map(throughTemporal) });
  }

  complete(activity: Activity, result: unknown, nowMs: number): void {
    this.#histories.completed(this.runId, nowMs, activity.eventId, result);
    this.#ended = { activity, result: throughTemporal(result) };
  }

  /** The activity has ended without a result and is not tried again by the server. */
  fail(activity: Activity): void {
    this.#ended = { failed: activity };
  }

  /** A workflow task: signals come first, then the end of an activity, then decisions until there is nothing to do. */
  task(nowMs: number, history: HistoryView): End | null {
    for (const { name, args } of this.#signals.splice(0)) {
      if (name === BATCHER.signals.submit) this.#onRequest(args[0] as RowRequest);
      applySignal(this.state, name, args, nowMs);
    }
    this.#histories.taskCompleted(this.runId, nowMs);
    const ended = this.#ended;
    this.#ended = null;
    if (ended !== null && 'failed' in ended) this.#scheduleAgain(ended.failed, nowMs);
    else if (ended !== null) this.#resume(ended.activity, ended.result, nowMs);
    this.#callOff(nowMs);

    while (this.#activity === null) {
      const decision = this.state.decide(nowMs, history);
      switch (decision.type) {
        case 'wait':
          return null;
        case 'flush': {
          const { spec, bodies } = this.state.takeBatch(decision.reason, nowMs);
          this.#schedule({ type: 'insertBatch', args: [spec, bodies] }, nowMs);
          break;
        }
        case 'readInheritance':
          this.#schedule({ type: 'readInheritance', args: [this.#workflowId, decision.runId] }, nowMs);
          break;
        case 'flushInherited':
          this.#schedule({ type: 'insertInherited', args: [this.state.takeInherited(nowMs)] }, nowMs);
          break;
        case 'confirm':
          this.#schedule({ type: 'confirmRequests', args: ['orders', this.state.takeConfirmations(nowMs)] }, nowMs);
          break;
        case 'continueAsNew':
          return { type: 'continuedAsNew', ...this.state.carryOver(nowMs) };
        case 'complete':
          return { type: 'completed' };
      }
    }
    return null;
  }

  #resume(activity: Activity, result: unknown, nowMs: number): void {
    this.#activity = null;
    switch (activity.type) {
      case 'readInheritance':
        this.state.inherit(result as Inheritance);
        break;
      case 'insertBatch':
      case 'insertInherited': {
        const { json: outcome, bytes } = openEnvelope<FlushOutcome>(result as Uint8Array);
        const { pipeline, batcher, number, destination } = activity.args[0];
        const spec = { pipeline, batcher, number, destination, id: outcome.id };
        this.#finish = () => {
          if (activity.type === 'insertBatch') this.state.finishFlush(outcome, outcome.id, nowMs);
          else this.state.finishInherited(outcome, nowMs);
        };
        if (outcome.rejected > 0) this.#schedule({ type: 'rejectRecords', args: [spec, bytes] }, nowMs);
        else this.#finish();
        break;
      }
      case 'rejectRecords':
        this.#finish();
        this.state.postponeConfirmations((result ?? []) as readonly Unconfirmed[], nowMs);
        break;
      case 'confirmRequests':
        this.state.postponeConfirmations(result as readonly Unconfirmed[], nowMs);
        break;
    }
  }

  /** An insert whose batch a person gives up ends, and the batch is given up. */
  #callOff(nowMs: number): void {
    const { parking } = this.state;
    const activity = this.#activity;
    if (parking === null || activity === null) return;
    if (activity.type === 'insertBatch' && activity.args[0].parking === undefined) {
      const [spec, bodies] = activity.args;
      this.#schedule({ type: 'insertBatch', args: [repeatedBatch(spec, parking), bodies] }, nowMs);
    } else if (activity.type === 'insertInherited' && activity.args[0].parking === undefined) {
      this.#schedule({ type: 'insertInherited', args: [{ ...activity.args[0], parking }] }, nowMs);
    }
  }

  /** What follows when all of a batch is done with. */
  #finish: () => void = () => undefined;

  #scheduleAgain(failed: Activity, nowMs: number): void {
    this.state.flushFailed('the activity has failed');
    if (failed.type === 'insertBatch') {
      const [spec, bodies] = failed.args;
      this.#schedule({ type: 'insertBatch', args: [repeatedBatch(spec), bodies] }, nowMs);
    } else this.#schedule(failed, nowMs);
  }

  #schedule(scheduled: Scheduled, nowMs: number): void {
    const eventId = this.#histories.scheduled(this.runId, nowMs, scheduled.type, scheduled.args);
    const args = scheduled.args.map(throughTemporal);
    this.#activity = { type: scheduled.type, args, eventId, attempt: 1 } as unknown as Activity;
  }
}
