import { randomBytes, randomUUID } from 'node:crypto';
import { Client, type Connection } from '@temporalio/client';
import { connectTemporal } from './temporal.js';

/** What Temporal says of one run of a workflow. */
export interface BatcherRun {
  readonly workflowId: string;
  readonly runId: string;
  /** `RUNNING`, `CONTINUED_AS_NEW`, `COMPLETED`, `TERMINATED`, … */
  readonly status: string;
}

export type HowToClose = 'terminate' | 'cancel' | 'reset to the first task' | 'reset to the last task';

const NAMESPACE = 'default';
const CALL_MS = 10_000;
const PILED_AT_ONCE = 64;
/** Temporal is away, has 10,000 signals, or the run is closed. */
const PILED_REFUSALS_MAX = 200;
const PROBE_TIMEOUT_MS = 60_000;
const PROBE_MS = 3_000;
/** Temporal takes two megabytes at most. */
const PROBE_BYTES = 1_500_000;

/** The workflows of a pipeline, seen and closed from outside by Temporal's own client. */
export class Batchers {
  /** Ids of runs that were closed here. */
  readonly closed = new Set<string>();
  readonly #connection: Connection;
  readonly #client: Client;
  readonly #prefix: string;
  readonly #cancelled = new Set<string>();
  #resets = 0;

  private constructor(connection: Connection, pipeline: string) {
    this.#connection = connection;
    this.#client = new Client({ connection });
    this.#prefix = `ktb:${pipeline}:`;
  }

  static async connect(address: string, pipeline: string): Promise<Batchers> {
    return new Batchers(await connectTemporal(address), pipeline);
  }

  /** Terminates, cancels or resets the run that is open; false if there is none, or Temporal is away. */
  async close(index: number, how: HowToClose): Promise<boolean> {
    try {
      return await this.#within(() => this.#close(index, how));
    } catch {
      return false; // It has just been closed, or there is no Temporal: another fault is at work.
    }
  }

  async #close(index: number, how: HowToClose): Promise<boolean> {
    const open = (await this.runs()).find(
      ({ workflowId, status }) => status === 'RUNNING' && workflowId.endsWith(`:${index}`),
    );
    if (open === undefined) return false;
    const { workflowId, runId } = open;
    // Before the request: its answer may be lost.
    this.closed.add(runId);
    const handle = this.#client.workflow.getHandle(workflowId, runId);
    if (how === 'terminate') {
      await handle.terminate('chaos');
    } else if (how === 'cancel') {
      this.#cancelled.add(runId);
      await handle.cancel();
    } else {
      const event = await this.#completedTask(workflowId, runId, how);
      if (event === undefined) return false;
      const reset = await this.#client.workflowService.resetWorkflowExecution({
        namespace: NAMESPACE,
        workflowExecution: { workflowId, runId },
        reason: 'chaos',
        workflowTaskFinishEventId: event as never,
        requestId: `${runId}-${++this.#resets}`,
      });
      // Temporal asks the new run to cancel, too.
      if (this.#cancelled.has(runId)) {
        this.closed.add(reset.runId);
        this.#cancelled.add(reset.runId);
      }
    }
    return true;
  }

  /** Runs of batchers of a layout with so many. */
  async runsOfLayout(batchers: number): Promise<number> {
    const runs = await this.#within(() => this.runs());
    return runs.filter(({ workflowId }) => isOfLayout(workflowId.slice(this.#prefix.length), batchers)).length;
  }

  /**
   * Sends signals that nobody knows to one batcher, many at once, until Temporal takes no more of them or the time is over.
   *
   * @returns how many it has taken
   */
  async pileUp(withinMs: number): Promise<number> {
    const until = Date.now() + withinMs;
    const open = await this.#within(() => this.runs()).catch(() => []);
    const run = open.find(({ status }) => status === 'RUNNING');
    if (run === undefined) return 0;
    // Whatever run it has by now: the list may be late.
    const handle = this.#client.workflow.getHandle(run.workflowId);
    let [taken, refused] = [0, 0];
    const sendMany = async (): Promise<void> => {
      while (Date.now() < until && refused < PILED_REFUSALS_MAX)
        await this.#within(() => handle.signal('nobody', taken)).then(
          () => taken++,
          () => refused++,
        );
    };
    await Promise.all(Array.from({ length: PILED_AT_ONCE }, sendMany));
    return taken;
  }

  /** Runs that have continued as new. */
  async continuedRuns(): Promise<number> {
    const runs = await this.#within(() => this.runs());
    return runs.filter(({ status }) => status === 'CONTINUED_AS_NEW').length;
  }

  /**
   * Whether Temporal writes something down: a workflow that nobody will ever do, so large that its database soon needs more
   * of the disk. What is small goes where something was before. If its disk is full it tries again and again, and does not
   * answer.
   */
  async canWrite(): Promise<boolean> {
    const start = () =>
      this.#client.workflow.start('nothing', {
        workflowId: `chaos-probe-${randomUUID()}`,
        taskQueue: 'chaos-nobody',
        workflowExecutionTimeout: PROBE_TIMEOUT_MS,
        args: [randomBytes(PROBE_BYTES)],
      });
    return this.#connection.withDeadline(Date.now() + PROBE_MS, start).then(
      () => true,
      () => false,
    );
  }

  /** All runs that Temporal lists. */
  async runs(): Promise<BatcherRun[]> {
    const found: BatcherRun[] = [];
    for await (const { workflowId, runId, status } of this.#client.workflow.list({
      query: `WorkflowId STARTS_WITH "${this.#prefix}"`,
    }))
      found.push({ workflowId, runId, status: status.name });
    return found;
  }

  disconnect(): Promise<void> {
    return this.#connection.close();
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    return this.#connection.withDeadline(Date.now() + CALL_MS, call);
  }

  /** Number of the event at which the last workflow task was completed, or the first one. */
  async #completedTask(workflowId: string, runId: string, how: HowToClose): Promise<number | undefined> {
    const { workflowService } = this.#client;
    const asked = { namespace: NAMESPACE, execution: { workflowId, runId }, maximumPageSize: 200 };
    const { history } = await (how === 'reset to the first task'
      ? workflowService.getWorkflowExecutionHistory(asked)
      : workflowService.getWorkflowExecutionHistoryReverse(asked));
    const event = history?.events?.find((each) => (each.workflowTaskCompletedEventAttributes ?? null) !== null);
    return event === undefined ? undefined : Number(event.eventId);
  }
}

/** A layout is called by the number of its batchers, with what comes after it: `8-key`, `8t-key`. */
export function isOfLayout(layout: string, batchers: number): boolean {
  return /^\d+/.exec(layout)?.[0] === String(batchers);
}
