import type { Client } from '@temporalio/client';
import { isNotFound } from './errors.js';
import type { CoverageState } from '../protocol/batcher.js';
import type { Inheritance } from '../protocol/inheritance.js';
import { UNKNOWN_RUN } from '../protocol/flush.js';
import type { Buffered } from '../workflows/batchPlanning.js';
import { NO_COUNTERS } from '../workflows/counters.js';
import { ClosedRun } from '../workflows/closedRun.js';
import { historyEvents, resultOf, runEvents, type BatcherEvent } from './historyEvents.js';

/** Runs whose answer to {@link RunHistories.anyWasReset} is remembered. */
const RESETS_REMEMBERED = 10_000;

/** What the last closed run had left, some megabytes, is kept for so long after it was asked for. */
const LEFTOVER_KEPT_MS = 60_000;

/** See {@link RunHistories.standing}. */
export interface Standing {
  readonly coverage: CoverageState;
  /** Oldest first. */
  readonly unflushed: readonly Buffered[];
}

/**
 * Temporal no longer has the history of a run, since the namespace's retention is over or somebody has deleted it: what the
 * run had left is lost. Asking again does not help.
 */
export class HistoryGoneError extends Error {
  override readonly name = 'HistoryGoneError';
  readonly runId: string;

  constructor(workflowId: string, runId: string) {
    super(`Temporal no longer has the history of run ${runId} of ${workflowId}`);
    this.runId = runId;
  }
}

/** Reads the histories of batchers' runs. Every method throws where Temporal does not answer. */
export class RunHistories {
  readonly #client: Client;
  readonly #namespace: string;
  readonly #resets = new Map<string, boolean>();
  #kept: { readonly runId: string; readonly leftover: readonly Buffered[] } | null = null;
  #forgetting: NodeJS.Timeout | undefined;

  constructor(client: Client, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /**
   * Whether one of these runs was made by `workflow reset` from another one: it does again what that one had done after
   * the point it was reset to.
   */
  async anyWasReset(workflowId: string, runIds: readonly string[]): Promise<boolean> {
    for (const runId of runIds) if (await this.#wasReset(workflowId, runId)) return true;
    return false;
  }

  async #wasReset(workflowId: string, runId: string): Promise<boolean> {
    if (runId === UNKNOWN_RUN) return true;
    const known = this.#resets.get(runId);
    if (known !== undefined) return known;
    const wasReset = await this.#looksReset(workflowId, runId);
    if (this.#resets.size >= RESETS_REMEMBERED) this.#resets.clear();
    this.#resets.set(runId, wasReset);
    return wasReset;
  }

  /** A run that is forgotten may have been. */
  async #looksReset(workflowId: string, runId: string): Promise<boolean> {
    try {
      const { history } = await this.#client.workflowService.getWorkflowExecutionHistory({
        namespace: this.#namespace,
        execution: { workflowId, runId },
        maximumPageSize: 1,
      });
      return history?.events?.[0]?.workflowExecutionStartedEventAttributes?.originalExecutionRunId !== runId;
    } catch (error) {
      if (isNotFound(error)) return true;
      throw error;
    }
  }

  /**
   * What an heir takes over: what the run before it has left. Which one that is, Temporal says, and not the heir's input: a
   * sender may have seen a run closed, and have started the heir only after another heir of that run had been started and
   * closed itself. Without this, what the other one had accepted would be skipped, and what it had flushed taken again.
   *
   * @param namedRunId the closed run that the heir's input names
   */
  async inheritanceOf(workflowId: string, heirRunId: string, namedRunId: string): Promise<Inheritance> {
    const heir = await this.#originalOf(workflowId, heirRunId);
    return this.inheritance(workflowId, await this.#runBefore(workflowId, heir, namedRunId));
  }

  /**
   * What a closed run has left. Where Temporal no longer has its history, that is lost and nothing is known of it:
   * `lost` counts such runs.
   */
  async inheritance(workflowId: string, runId: string): Promise<Inheritance> {
    try {
      const { run, lost } = await this.#closedRun(workflowId, runId);
      return lost === undefined ? run.inheritance() : { ...run.inheritance(), lost };
    } catch (error) {
      if (error instanceof HistoryGoneError && error.runId === runId) return LOST;
      throw error;
    }
  }

  /** The run that was closed last before a run was started: from the visibility store, which may lag some seconds behind. */
  async #runBefore(workflowId: string, heirRunId: string, namedRunId: string): Promise<string> {
    const [named, heir] = await Promise.all([
      this.#startOf(workflowId, namedRunId),
      this.#startOf(workflowId, heirRunId),
    ]);
    // The one that is named is gone, and so is all that was closed with it.
    if (named === null || heir === null) return namedRunId;
    const query =
      `WorkflowId = '${workflowId}' AND StartTime >= '${new Date(named - CLOCK_STEP_MS).toISOString()}'` +
      ` AND StartTime <= '${new Date(heir + CLOCK_STEP_MS).toISOString()}'`;
    let seesHeir = false;
    let before = { runId: namedRunId, startMs: named };
    for await (const { runId, startTime, status } of this.#client.workflow.list({ query })) {
      const startMs = startTime.getTime();
      if (runId === heirRunId) seesHeir = true;
      else if (status.name !== 'CONTINUED_AS_NEW' && startMs > before.startMs && startMs <= heir)
        before = { runId, startMs };
    }
    // What was started before it is listed before it.
    if (!seesHeir)
      throw new Error(`Temporal does not list run ${heirRunId} of ${workflowId} yet; asked again until it does`);
    return before.runId;
  }

  /** Milliseconds since 1970; null where Temporal no longer has the run. */
  async #startOf(workflowId: string, runId: string): Promise<number | null> {
    try {
      const { startTime } = await this.#client.workflow.getHandle(workflowId, runId).describe();
      return startTime.getTime();
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  /** The run that a reset one was made of, which has its place among the others; else the run itself. */
  async #originalOf(workflowId: string, runId: string): Promise<string> {
    for await (const event of historyEvents(this.#client, { namespace: this.#namespace, workflowId, runId }))
      return event.workflowExecutionStartedEventAttributes?.originalExecutionRunId ?? runId;
    return runId;
  }

  /** Chunks of a closed run that it had accepted and not flushed, bodies included. */
  async leftover(workflowId: string, runId: string, from: number, count: number): Promise<readonly Buffered[]> {
    const leftover = await this.#leftoverOf(workflowId, runId);
    if (leftover.length < from + count) {
      throw new Error(`run ${runId} of ${workflowId} has left ${leftover.length} chunks, not ${from + count}`);
    }
    return leftover.slice(from, from + count);
  }

  /** An heir asks for it batch by batch, and the whole history has to be read for each; one that is closed cannot change. */
  async #leftoverOf(workflowId: string, runId: string): Promise<readonly Buffered[]> {
    const leftover =
      this.#kept?.runId === runId ? this.#kept.leftover : (await this.#closedRun(workflowId, runId)).run.unflushed;
    this.#kept = { runId, leftover };
    clearTimeout(this.#forgetting);
    this.#forgetting = setTimeout(() => (this.#kept = null), LEFTOVER_KEPT_MS).unref();
    return leftover;
  }

  /**
   * What a batcher has accepted, and what of it is not flushed yet: buffered, on its way, or left by closed runs. From the
   * history of a run, which may still be running; no worker is needed.
   */
  async standing(workflowId: string, runId: string): Promise<Standing> {
    const { run } = await this.#closedRun(workflowId, runId);
    const { coverage, estates } = run.inheritance();
    const unflushed: Buffered[] = [];
    for (const { runId: leftBy, chunksDone, batches } of estates) {
      // Its own are known already; read again, a running one may have flushed some.
      if (leftBy === runId) continue;
      const chunks = batches.reduce((sum, size) => sum + size, 0);
      unflushed.push(...(await this.leftover(workflowId, leftBy, chunksDone, chunks)));
    }
    return { coverage, unflushed: [...unflushed, ...run.unflushed] };
  }

  /** What of a run's history matters, in its order; of a running one what there is by now. */
  events(workflowId: string, runId: string): AsyncIterable<BatcherEvent> {
    const run = { namespace: this.#namespace, workflowId, runId };
    return this.#read(workflowId, runId, runEvents(this.#client, run));
  }

  /** The result of an activity, as bytes. */
  async result(workflowId: string, { runId, eventId }: { runId: string; eventId: number }): Promise<Uint8Array> {
    const events = historyEvents(this.#client, { namespace: this.#namespace, workflowId, runId });
    for await (const event of this.#read(workflowId, runId, events)) {
      if (Number(event.eventId) === eventId) return resultOf(event);
    }
    throw new Error(`run ${runId} of ${workflowId} has no event ${eventId}`);
  }

  /**
   * A run that was an heir and had not read its own inheritance needs it first, and so on back. `lost`: what was found to be lost by
   * that, which nobody has been told yet.
   */
  async #closedRun(workflowId: string, runId: string): Promise<{ readonly run: ClosedRun; readonly lost?: number }> {
    const run = new ClosedRun({ workflowId, runId });
    for await (const event of this.events(workflowId, runId)) run.apply(event);
    run.end();
    if (run.needs === null) return { run };
    const { lost, ...inheritance } = await this.inheritanceOf(workflowId, runId, run.needs);
    run.inherit(inheritance);
    return lost === undefined ? { run } : { run, lost };
  }

  /** @throws HistoryGoneError */
  async *#read<Event>(workflowId: string, runId: string, events: AsyncIterable<Event>): AsyncIterable<Event> {
    try {
      yield* events;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // The batcher itself must be there: else it is the namespace that is not found.
      await this.#client.workflow.getHandle(workflowId).describe();
      throw new HistoryGoneError(workflowId, runId);
    }
  }
}

/** Visibility stores times less exactly than histories do. */
const CLOCK_STEP_MS = 1;

/** What is known of a run whose history is gone. */
const LOST: Inheritance = {
  coverage: [],
  counters: NO_COUNTERS,
  paused: false,
  controls: [],
  lastFlush: null,
  estates: [],
  lost: 1,
};
