import { WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError, type Client } from '@temporalio/client';
import { ApplicationFailure, defaultPayloadConverter, type Payload } from '@temporalio/common';
import { Context } from '@temporalio/activity';
import type { AttemptNotes } from '../../../src/protocol/attemptNotes.js';
import { AttemptExpiredError, type Beat } from '../../../src/activities/attempt.js';
import { BATCHER, type BatcherInput, type ControlAction } from '../../../src/protocol/batcher.js';
import type { FlushActivities } from '../../../src/protocol/flushActivities.js';
import type { RecordSource } from '../../../src/protocol/record.js';
import { GRPC_STATUS } from '../../../src/temporal/grpcStatus.js';
import { IDLE_CONTINUATIONS_MAX, type HistoryView } from '../../../src/workflows/continuation.js';
import { Histories } from '../batcher/histories.js';
import { BatcherRun, type Activity } from '../batcher/run.js';
import type { Clock, Process } from './clock.js';
import type { Network } from './network.js';

const TASK_MS = 3;
const HEARTBEAT_TIMEOUT_MS = 15_000;
const START_TO_CLOSE_MS = 2 * 3_600_000;
const RETRY_MS = { first: 250, longest: 15_000 };
const ANSWER_AGAIN_MS = 1_000;
const NO_BODIES = new Uint8Array(0);

/** What Temporal tells of itself, for the checks. */
export interface TemporalWatch {
  /** A signal with records was taken. */
  readonly accepted: (body: Uint8Array, meta: unknown) => void;
  readonly tell: (what: string) => void;
}

interface ActivityTask {
  readonly workflow: Batcher;
  readonly run: BatcherRun;
  readonly activity: Activity;
  readonly scheduledAtMs: number;
  attempt: number;
  attemptScheduledAtMs: number;
  details: AttemptNotes | undefined;
  lastBeatMs: number;
}

/** A batcher's workflow: its runs, of which the last may be open. */
interface Batcher {
  readonly workflowId: string;
  readonly histories: Histories;
  run: BatcherRun;
  status: 'RUNNING' | 'TERMINATED' | 'COMPLETED';
  /** A workflow task is on its way, or waits for a worker. */
  task: 'none' | 'scheduled' | 'waiting';
  activity: ActivityTask | null;
  events: number;
  /** Runs to come, this one first, to which the server suggests to continue as new. */
  suggestions: number;
  cancelTimer: () => void;
}

type AnyActivity = (...args: readonly unknown[]) => Promise<unknown>;

interface Worker {
  readonly process: Process;
  readonly activities: FlushActivities;
}

/** Temporal, with the workers that poll it. What a worker does with workflow tasks is in `batcher/run.ts`. */
export class SimulatedTemporal {
  readonly batchers = new Map<string, Batcher>();
  readonly #clock: Clock;
  readonly #network: Network;
  readonly #watch: TemporalWatch;
  readonly #workers: Worker[] = [];
  #waiting: ActivityTask[] = [];
  #runs = 0;
  #given = 0;
  /** How often its data was lost. */
  #lives = 0;

  constructor(clock: Clock, network: Network, watch: TemporalWatch) {
    this.#clock = clock;
    this.#network = network;
    this.#watch = watch;
  }

  /** All of its data is lost, and what was on its way to it. */
  lose(): void {
    for (const batcher of this.batchers.values()) this.#close(batcher, 'TERMINATED');
    this.batchers.clear();
    this.#waiting = [];
    this.#lives++;
  }

  /** A worker begins to poll. */
  poll(worker: Worker): void {
    for (const [index, { process }] of this.#workers.entries()) if (!process.isAlive) this.#workers.splice(index, 1);
    this.#workers.push(worker);
    this.workersChanged();
  }

  /** What waits for a worker may find one now. */
  workersChanged(): void {
    if (this.#able().length === 0) return;
    for (const batcher of this.batchers.values()) {
      if (batcher.task !== 'waiting') continue;
      batcher.task = 'none';
      this.#scheduleTask(batcher);
    }
    for (const task of this.#waiting.splice(0)) this.#dispatch(task);
  }

  #able(): Worker[] {
    return this.#workers.filter(({ process }) => process.isAwake && !this.#network.isCut(process, 'temporal.poll'));
  }

  // What people do

  control(batcher: Batcher, action: ControlAction): void {
    if (batcher.status !== 'RUNNING') return;
    this.#signal(batcher, action, [{ actor: 'test', reason: '' }]);
  }

  /** A person ends all pauses, those too that an heir has taken over. */
  resumeAll(): void {
    for (const batcher of this.batchers.values())
      if (batcher.run.state.status(QUIET).paused) this.control(batcher, 'resume');
  }

  terminate(batcher: Batcher): void {
    if (batcher.status !== 'RUNNING') return;
    this.#close(batcher, 'TERMINATED');
  }

  suggestContinueAsNew(batcher: Batcher, runs: number): void {
    batcher.suggestions = runs;
    this.#scheduleTask(batcher);
  }

  /** Whether no open run of a batcher has anything to do. */
  get isIdle(): boolean {
    return [...this.batchers.values()].every(({ run, status, activity }) => {
      if (status !== 'RUNNING') return true;
      return activity === null && run.state.report().records === 0 && run.state.status(QUIET).inheritedBatches === 0;
    });
  }

  // Workflow tasks

  #scheduleTask(batcher: Batcher): void {
    if (batcher.task !== 'none') return;
    batcher.task = 'scheduled';
    this.#clock.after(TASK_MS, null, () => this.#takeTask(batcher));
  }

  #takeTask(batcher: Batcher): void {
    if (batcher.task !== 'scheduled') return;
    if (this.#able().length === 0) {
      batcher.task = 'waiting';
      return;
    }
    batcher.task = 'none';
    if (batcher.status === 'RUNNING') this.#task(batcher);
  }

  #task(batcher: Batcher): void {
    for (let continued = 0; batcher.status === 'RUNNING'; continued++) {
      const { nowMs } = this.#clock;
      const view = viewOf(batcher);
      batcher.events += 3;
      const end = batcher.run.task(nowMs, view);
      if (end === null) break;
      if (end.type === 'completed') {
        this.#watch.tell(`${short(batcher.workflowId)} is drained`);
        this.#close(batcher, 'COMPLETED');
        return;
      }
      if (continued > IDLE_CONTINUATIONS_MAX + 1) throw new Error(`${batcher.workflowId} continues as new for ever`);
      batcher.suggestions--;
      batcher.histories.ended(batcher.run.runId, 'CONTINUED_AS_NEW');
      this.#watch.tell(`${short(batcher.workflowId)} continues as new`);
      this.#begin(batcher, end.input, end.bodies);
    }
    this.#afterTask(batcher);
  }

  #afterTask(batcher: Batcher): void {
    const { run } = batcher;
    const { activity } = run;
    batcher.cancelTimer();
    if (activity !== null) {
      if (batcher.activity?.activity !== activity) this.#schedule(batcher, activity);
      return;
    }
    const decision = run.state.decide(this.#clock.nowMs, viewOf(batcher));
    if (decision.type !== 'wait' || decision.delayMs === undefined) return;
    batcher.cancelTimer = this.#clock.after(decision.delayMs, null, () => this.#scheduleTask(batcher));
  }

  #begin(batcher: Batcher, input: BatcherInput, bodies: Uint8Array): void {
    batcher.run = this.#newRun(batcher.workflowId, batcher.histories, input, bodies);
    batcher.status = 'RUNNING';
    batcher.events = 3;
  }

  #newRun(workflowId: string, histories: Histories, input: BatcherInput, bodies: Uint8Array): BatcherRun {
    const runId = `run-${++this.#runs}`;
    return new BatcherRun({ workflowId, runId }, histories, input, bodies, this.#clock.nowMs, () => undefined);
  }

  #close(batcher: Batcher, status: 'TERMINATED' | 'COMPLETED'): void {
    batcher.status = status;
    batcher.histories.ended(batcher.run.runId, status);
    batcher.activity = null;
    batcher.cancelTimer();
  }

  // Activities

  #schedule(workflow: Batcher, activity: Activity): void {
    const { nowMs } = this.#clock;
    const times = { scheduledAtMs: nowMs, attemptScheduledAtMs: nowMs, lastBeatMs: nowMs };
    const task: ActivityTask = { workflow, run: workflow.run, activity, ...times, attempt: 1, details: undefined };
    workflow.activity = task;
    this.#clock.after(TASK_MS, null, () => this.#dispatch(task));
  }

  #dispatch(task: ActivityTask): void {
    if (task.workflow.activity !== task) return;
    const able = this.#able();
    if (able.length === 0) {
      this.#waiting.push(task);
      return;
    }
    const worker = able[this.#given++ % able.length]!;
    task.lastBeatMs = this.#clock.nowMs;
    const { attempt } = task;
    this.#expireLater(task, attempt);
    this.#clock.after(2, worker.process, () => void this.#execute(worker, task, attempt));
  }

  #expireLater(task: ActivityTask, attempt: number): void {
    const quietMs = this.#clock.nowMs - task.lastBeatMs;
    this.#clock.after(HEARTBEAT_TIMEOUT_MS - quietMs, null, () => {
      if (!isCurrent(task, attempt)) return;
      if (this.#clock.nowMs - task.lastBeatMs < HEARTBEAT_TIMEOUT_MS) this.#expireLater(task, attempt);
      else this.#retry(task, undefined);
    });
  }

  #retry(task: ActivityTask, delayMs: number | undefined): void {
    const backoffMs = Math.min(RETRY_MS.first * 2 ** (task.attempt - 1), RETRY_MS.longest);
    const afterMs = delayMs ?? backoffMs;
    task.attempt++;
    task.attemptScheduledAtMs = this.#clock.nowMs + afterMs;
    this.#clock.after(afterMs, null, () => this.#dispatch(task));
  }

  /** In the worker's process. */
  async #execute({ process, activities }: Worker, task: ActivityTask, attempt: number): Promise<void> {
    const { activity, workflow, run } = task;
    const info = {
      attempt,
      activityId: String(activity.eventId),
      activityType: activity.type,
      workflowExecution: { workflowId: workflow.workflowId, runId: run.runId },
      scheduledTimestampMs: task.scheduledAtMs,
      currentAttemptScheduledTimestampMs: task.attemptScheduledAtMs,
      startToCloseTimeoutMs: START_TO_CLOSE_MS,
      heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS,
      heartbeatDetails: task.details,
    };
    context = { info, task, heartbeat: () => undefined, cancellationSignal: new AbortController().signal };
    const name = activity.type;
    this.#watch.tell(`${process.name} begins ${name} of ${short(workflow.workflowId)}, attempt ${attempt}`);
    const act = (activities as unknown as Readonly<Record<string, AnyActivity>>)[name]!;
    let answer: () => void;
    try {
      const result = await act(...activity.args);
      answer = () => this.#completed(task, attempt, result);
    } catch (error) {
      const failure = error as Error;
      this.#watch.tell(`${name} of ${process.name} has failed: ${failure.message}`);
      if (!(
        failure instanceof ApplicationFailure ||
        failure instanceof AttemptExpiredError ||
        isUnavailable(failure)
      )) {
        this.#unexpected(failure);
      }
      const delayMs = failure instanceof ApplicationFailure ? Number(msOf(failure.nextRetryDelay)) : undefined;
      answer = () => {
        if (isCurrent(task, attempt)) this.#retry(task, Number.isNaN(delayMs) ? undefined : delayMs);
      };
    }
    // The SDK tries until Temporal has it.
    for (;;) {
      try {
        await this.#network.ask(process, 'temporal.respond', answer, unavailable);
        return;
      } catch {
        await new Promise<void>((resolve) => void setTimeout(resolve, ANSWER_AGAIN_MS));
      }
    }
  }

  /** An error that no part of the product has foreseen. */
  readonly failures: Error[] = [];
  #unexpected(error: Error): void {
    this.failures.push(error);
  }

  #completed(task: ActivityTask, attempt: number, result: unknown): void {
    if (!isCurrent(task, attempt)) return;
    task.workflow.activity = null;
    task.workflow.events += 3;
    task.run.complete(task.activity, result ?? null, this.#clock.nowMs);
    this.#scheduleTask(task.workflow);
  }

  beatOf(process: Process): Beat {
    return (given, notes) => {
      const { task, info } = given as unknown as SimulatedContext;
      const details = JSON.parse(JSON.stringify(notes)) as AttemptNotes;
      return this.#network.ask(
        process,
        'temporal.heartbeat',
        () => {
          if (!isCurrent(task, info.attempt)) return false;
          task.details = details;
          task.lastBeatMs = this.#clock.nowMs;
          return true;
        },
        unavailable,
      );
    };
  }

  // What clients ask

  clientOf(process: Process): Client {
    const ask = <Answer>(what: string, serve: () => Answer): Promise<Answer> => {
      const lives = this.#lives;
      const serveNow = (): Answer => {
        if (this.#lives !== lives) throw unavailable('it was asked in an earlier life');
        return serve();
      };
      return this.#network.ask(process, `temporal.${what}`, serveNow, unavailable);
    };
    const historiesOf = (workflowId: string) => {
      const batcher = this.batchers.get(workflowId);
      if (batcher === undefined) throw notFound();
      return batcher.histories;
    };
    /** What the histories of one batcher answer at once. */
    const inHistories = <Answer>(workflowId: string, read: (client: Client) => Promise<Answer>): Promise<Answer> =>
      ask('history', () => read(historiesOf(workflowId).client())).then((answer) => answer);
    const workflow = {
      getHandle: (workflowId: string, runId?: string) => ({
        describe: () =>
          runId === undefined
            ? ask('describe', () => this.#describe(workflowId))
            : inHistories(workflowId, (client) => client.workflow.getHandle(workflowId, runId).describe()),
        query: (name: string, ...args: unknown[]) => ask('query', () => this.#query(workflowId, name, args)),
      }),
      start: (_type: string, { workflowId, args }: { workflowId: string; args: [BatcherInput, Uint8Array] }) =>
        ask('start', () => this.#start(workflowId, args)),
      list: ({ query }: { query: string }) => this.#list(ask, /WorkflowId = '([^']*)'/.exec(query)?.[1] ?? ''),
    };
    const workflowService = {
      signalWithStartWorkflowExecution: (request: SignalWithStartRequest) =>
        ask('signal', () => this.#signalWithStart(request)),
      getWorkflowExecutionHistory: (request: { execution: { workflowId: string } }) =>
        inHistories(request.execution.workflowId, (client) =>
          client.workflowService.getWorkflowExecutionHistory(request as never),
        ),
    };
    const connection = { withDeadline: <Answer>(_deadline: number, run: () => Promise<Answer>) => run() };
    return {
      workflow,
      workflowService,
      connection,
      options: { namespace: 'default', identity: 'i' },
    } as unknown as Client;
  }

  async *#list(ask: <Answer>(what: string, serve: () => Answer) => Promise<Answer>, workflowId: string) {
    const runs = await ask('list', () => {
      const { workflow } = this.batchers.get(workflowId)!.histories.client();
      return workflow.list() as unknown as readonly object[];
    });
    yield* runs;
  }

  #describe(workflowId: string) {
    const batcher = this.batchers.get(workflowId);
    if (batcher === undefined) throw notFound();
    const { run, status, events } = batcher;
    const type = BATCHER.workflowType;
    return { type, runId: run.runId, status: { name: status }, historySize: 1_000, historyLength: events, raw: {} };
  }

  #query(workflowId: string, name: string, args: readonly unknown[]): unknown {
    const batcher = this.batchers.get(workflowId);
    if (batcher === undefined) throw notFound();
    if (this.#able().length === 0) throw unavailable('no worker polls');
    // What was signalled before is handled before.
    if (batcher.status === 'RUNNING') this.#task(batcher);
    const { state } = batcher.run;
    const answer =
      name === BATCHER.queries.coverage ? state.coverage?.toState() : state.epochStatus(args[0] as RecordSource);
    if (answer === undefined || answer === null) throw unavailable('an heir that has not read');
    return JSON.parse(JSON.stringify(answer)) as unknown;
  }

  #start(workflowId: string, [input, bodies]: [BatcherInput, Uint8Array]): void {
    const batcher = this.batchers.get(workflowId);
    if (batcher === undefined) throw notFound();
    if (batcher.status === 'RUNNING')
      throw new WorkflowExecutionAlreadyStartedError('already started', workflowId, BATCHER.workflowType);
    this.#watch.tell(`an heir of ${short(workflowId)} is started`);
    this.#begin(batcher, input, bodies);
    this.#scheduleTask(batcher);
  }

  #signalWithStart({ workflowId, input, signalName, signalInput }: SignalWithStartRequest) {
    let batcher = this.batchers.get(workflowId);
    const started = batcher === undefined;
    if (batcher === undefined) {
      const [given] = decoded(input) as [BatcherInput];
      const histories = new Histories();
      batcher = {
        ...{ workflowId, histories, run: this.#newRun(workflowId, histories, given, NO_BODIES), status: 'RUNNING' },
        ...{ task: 'none', activity: null, events: 3, suggestions: 0, cancelTimer: () => undefined },
      };
      this.batchers.set(workflowId, batcher);
    }
    if (batcher.status !== 'RUNNING') throw grpcError(GRPC_STATUS.alreadyExists, 'already exists');
    const args = decoded(signalInput);
    if (signalName === BATCHER.signals.records) this.#watch.accepted(args[1] as Uint8Array, args[0]);
    this.#signal(batcher, signalName, args);
    return { runId: batcher.run.runId, started };
  }

  #signal(batcher: Batcher, name: string, args: readonly unknown[]): void {
    batcher.run.signal(name, args, this.#clock.nowMs);
    batcher.events++;
    this.#scheduleTask(batcher);
  }
}

export type { Batcher };

interface SignalWithStartRequest {
  readonly workflowId: string;
  readonly input: { readonly payloads: Payload[] };
  readonly signalName: string;
  readonly signalInput: { readonly payloads: Payload[] };
}

interface SimulatedContext {
  readonly info: { readonly attempt: number; readonly [more: string]: unknown };
  readonly task: ActivityTask;
  readonly heartbeat: () => void;
  readonly cancellationSignal: AbortSignal;
}

/** That of the attempt that begins now: an attempt asks for it at once. */
let context: SimulatedContext;

/** Lets activities find their context. @returns puts it back */
export function installContext(): () => void {
  const current = Object.getOwnPropertyDescriptor(Context, 'current')!;
  Object.defineProperty(Context, 'current', { ...current, value: () => context });
  return () => Object.defineProperty(Context, 'current', current);
}

const QUIET: HistoryView = { continueAsNewSuggested: false, length: 0, bytes: 0 };

function viewOf({ suggestions, events }: Batcher): HistoryView {
  return { continueAsNewSuggested: suggestions > 0, length: events, bytes: suggestions > 0 ? 4_000_000 : 1_000 };
}

function isCurrent(task: ActivityTask, attempt: number): boolean {
  return task.workflow.activity === task && task.attempt === attempt;
}

function decoded({ payloads }: { readonly payloads: Payload[] }): unknown[] {
  return payloads.map((payload) => defaultPayloadConverter.fromPayload(payload));
}

export function short(workflowId: string): string {
  return `batcher ${workflowId.slice(workflowId.indexOf(':', 4) + 1)}`;
}

/** No answer, or that of a Temporal which has lost its data. */
function isUnavailable(error: unknown): boolean {
  return error instanceof WorkflowNotFoundError || (error as { code?: unknown }).code === GRPC_STATUS.unavailable;
}

function unavailable(why: string): Error {
  return grpcError(GRPC_STATUS.unavailable, why);
}

function grpcError(code: number, details: string): Error {
  return Object.assign(new Error(details), { code, details, metadata: {} });
}

function notFound(): Error {
  return new WorkflowNotFoundError('no such workflow', 'batcher', undefined);
}

function msOf(delay: unknown): number | undefined {
  if (typeof delay === 'number') return delay;
  const [, seconds] = /^(\d+) seconds?$/.exec(String(delay)) ?? [];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
