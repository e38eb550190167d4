import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import type { Client } from '@temporalio/client';
import type { BatcherInput } from '../records/batcher.js';
import type { Inheritance, InheritedBatch, InheritedOutcome } from '../records/estate.js';
import { openEnvelope, UNKNOWN_RUN, type BatchSpec, type InsertOutcome } from '../records/flush.js';
import type { Buffered } from '../workflows/batcherState.js';
import { ClosedRun, type RunEvent } from '../workflows/closedRun.js';

type HistoryResponse = Awaited<ReturnType<Client['workflowService']['getWorkflowExecutionHistory']>>;
type HistoryEvent = NonNullable<NonNullable<HistoryResponse['history']>['events']>[number];

/** Events asked for at once: each may carry a chunk or a batch, and an answer has to stay below gRPC's limits. */
const PAGE_EVENTS = 20;

const FIRST_PAGE = new Uint8Array(0);
/** Runs whose answer to {@link RunHistories.anyWasReset} is remembered. */
const RESETS_REMEMBERED = 10_000;

/** Reads the histories of batchers' runs. Every method throws where Temporal does not answer. */
export class RunHistories {
  readonly #client: Client;
  readonly #namespace: string;
  readonly #resets = new Map<string, boolean>();

  constructor(client: Client, namespace: string) {
    this.#client = client;
    this.#namespace = namespace;
  }

  /** See `Beat`. */
  async beat(taskToken: Uint8Array): Promise<boolean> {
    try {
      const { cancelRequested } = await this.#client.workflowService.recordActivityTaskHeartbeat({
        namespace: this.#namespace,
        taskToken,
      });
      return !cancelRequested;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
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

  /** What a closed run has left. */
  async inheritance(workflowId: string, runId: string): Promise<Inheritance> {
    return (await this.#closedRun(workflowId, runId)).inheritance();
  }

  /** Chunks of a closed run that it had accepted and not flushed, bodies included. */
  async leftover(workflowId: string, runId: string, from: number, count: number): Promise<readonly Buffered[]> {
    const { leftover } = await this.#closedRun(workflowId, runId);
    if (leftover.length < from + count) {
      throw new Error(`run ${runId} of ${workflowId} has left ${leftover.length} chunks, not ${from + count}`);
    }
    return leftover.slice(from, from + count);
  }

  /** The result of an activity, as bytes. */
  async result(workflowId: string, { runId, eventId }: { runId: string; eventId: number }): Promise<Uint8Array> {
    for await (const event of this.#events(workflowId, runId)) {
      if (Number(event.eventId) !== eventId) continue;
      return decode<Uint8Array>(event.activityTaskCompletedEventAttributes?.result?.payloads, 0);
    }
    throw new Error(`run ${runId} of ${workflowId} has no event ${eventId}`);
  }

  /** A run that was an heir and had not read its own inheritance needs it first, and so on back. */
  async #closedRun(workflowId: string, runId: string): Promise<ClosedRun> {
    const run = new ClosedRun({ workflowId, runId });
    const scheduled = new Map<number, string>();
    for await (const event of this.#events(workflowId, runId)) {
      const decoded = decodeEvent(event, scheduled);
      if (decoded !== null) run.apply(decoded);
    }
    if (run.needs !== null) run.inherit(await this.inheritance(workflowId, run.needs));
    return run;
  }

  async *#events(workflowId: string, runId: string): AsyncIterable<HistoryEvent> {
    let nextPageToken: Uint8Array = FIRST_PAGE;
    do {
      const page = await this.#client.workflowService.getWorkflowExecutionHistory({
        namespace: this.#namespace,
        execution: { workflowId, runId },
        maximumPageSize: PAGE_EVENTS,
        nextPageToken,
      });
      yield* page.history?.events ?? [];
      ({ nextPageToken } = page);
    } while (nextPageToken.length > 0);
  }
}

/** gRPC's own status code: the run is forgotten, or the activity's attempt is over. */
function isNotFound(error: unknown): boolean {
  return (error as { code?: unknown }).code === NOT_FOUND;
}

const NOT_FOUND = 5;

/** @param scheduled by event id the type of each activity scheduled so far; added to */
function decodeEvent(event: HistoryEvent, scheduled: Map<number, string>): RunEvent | null {
  const eventId = Number(event.eventId);
  const atMs = Number(event.eventTime?.seconds ?? 0) * 1000 + Math.floor((event.eventTime?.nanos ?? 0) / 1e6);
  if (event.workflowExecutionStartedEventAttributes) {
    const payloads = event.workflowExecutionStartedEventAttributes.input?.payloads;
    return { type: 'started', input: decode<BatcherInput>(payloads, 0), bodies: decode<Uint8Array>(payloads, 1) };
  }
  if (event.workflowExecutionSignaledEventAttributes) {
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes;
    return { type: 'signaled', name: signalName ?? '', args: decodeAll(input?.payloads), atMs };
  }
  if (event.activityTaskScheduledEventAttributes) {
    const { activityType, input } = event.activityTaskScheduledEventAttributes;
    const name = activityType?.name ?? '';
    scheduled.set(eventId, name);
    if (name === 'insertBatch') return { type: 'insertScheduled', spec: decode<BatchSpec>(input?.payloads, 0), atMs };
    if (name === 'insertInherited') {
      return { type: 'inheritedInsertScheduled', batch: decode<InheritedBatch>(input?.payloads, 0), atMs };
    }
    return null;
  }
  if (event.activityTaskCompletedEventAttributes) {
    const { scheduledEventId, result } = event.activityTaskCompletedEventAttributes;
    switch (scheduled.get(Number(scheduledEventId))) {
      case 'insertBatch':
      case 'insertInherited': {
        const envelope = decode<Uint8Array>(result?.payloads, 0);
        const { json } = openEnvelope<InsertOutcome & Partial<InheritedOutcome>>(envelope);
        return { type: 'insertCompleted', eventId, outcome: json, atMs };
      }
      case 'rejectRecords':
        return { type: 'rejectCompleted', atMs };
      case 'readInheritance':
        return { type: 'inheritanceRead', inheritance: decode<Inheritance>(result?.payloads, 0) };
      default:
        return null;
    }
  }
  return null;
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- what a payload is, its place in a history says
function decode<T>(payloads: readonly Payload[] | null | undefined, index: number): T {
  const payload = payloads?.[index];
  if (payload === undefined) throw new Error('a batcher’s history lacks a payload');
  return defaultPayloadConverter.fromPayload<T>(payload);
}

/** A stranger's payloads may be of any encoding: what cannot be read is no part of ours. */
function decodeAll(payloads: readonly Payload[] | null | undefined): unknown[] {
  return (payloads ?? []).map((payload) => {
    try {
      return defaultPayloadConverter.fromPayload(payload);
    } catch {
      return undefined;
    }
  });
}
