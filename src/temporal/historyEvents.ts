import type { Payload } from '@temporalio/common';
import type { Client } from '@temporalio/client';
import type { BatcherInput } from '../protocol/batcher.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { InheritedBatch, FlushOutcome } from '../protocol/leftover.js';
import { openEnvelope, type BatchSpec, type InsertOutcome } from '../protocol/flush.js';
import type { Unconfirmed } from '../protocol/request.js';
import type { RunEvent } from '../workflows/closedRun.js';
import { payloadConverter, readPayload } from '../workflows/payloadConverter.js';
import { lastingRunId } from '../workflows/runIdentity.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { payloadReader } from './encryption.js';
import { isNotFound } from './errors.js';

type HistoryResponse = Awaited<ReturnType<Client['workflowService']['getWorkflowExecutionHistory']>>;
export type HistoryEvent = NonNullable<NonNullable<HistoryResponse['history']>['events']>[number];

/**
 * An event of a batcher's history. `bytes` in `insertScheduled` are the batch's bodies, empty if it is stored once, in
 * `insertCompleted` the encoded rejected records.
 */
export type BatcherEvent = RunEvent & { readonly bytes?: Uint8Array };

/** One run of a workflow. */
export interface RunName {
  readonly namespace: string;
  readonly workflowId: string;
  readonly runId: string;
}

/** Events per request. Each may carry a chunk or a batch, and the answer has to stay below gRPC's limits. */
const PAGE_EVENTS = 20;
const FIRST_PAGE = new Uint8Array(0);

/** All events of a run's history, in order. Throws if Temporal does not answer. */
export async function* historyEvents(
  client: Client,
  { namespace, workflowId, runId }: RunName,
): AsyncIterable<HistoryEvent> {
  let nextPageToken: Uint8Array = FIRST_PAGE;
  do {
    const page = await client.workflowService.getWorkflowExecutionHistory({
      namespace,
      execution: { workflowId, runId },
      maximumPageSize: PAGE_EVENTS,
      nextPageToken,
    });
    yield* page.history?.events ?? [];
    ({ nextPageToken } = page);
  } while (nextPageToken.length > 0);
}

/** The events of a batcher's history that matter to us, decoded. Throws if Temporal does not answer. */
export async function* runEvents(client: Client, run: RunName): AsyncIterable<BatcherEvent> {
  const scheduled = new Map<number, string>();
  const open = payloadReader(client, run.workflowId);
  for await (const event of historyEvents(client, run)) {
    const decoded = decodeEvent(event, scheduled, open);
    if (decoded !== null) yield decoded;
  }
}

/** How a run of a workflow has begun. */
export interface RunStart {
  readonly workflowType: string;
  /** The first run of its chain of runs. */
  readonly firstRunId: string;
  /** The run itself, or, if it was reset, the original one, which has its place in the order of starts. */
  readonly originalRunId: string;
  /** Payloads of its arguments, as they travel. */
  readonly input: readonly Payload[];
}

/** Rejects if Temporal no longer has the run. */
export async function runStart(
  { workflowService }: Pick<Client, 'workflowService'>,
  { namespace, workflowId, runId }: RunName,
): Promise<RunStart> {
  const { history } = await workflowService.getWorkflowExecutionHistory({
    namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  return {
    workflowType: started?.workflowType?.name ?? '',
    firstRunId: started?.firstExecutionRunId ?? runId,
    originalRunId: started?.originalExecutionRunId ?? runId,
    input: started?.input?.payloads ?? [],
  };
}

/** The settings that a batcher's run began with. Null if Temporal no longer has the run. */
export async function startSettings(
  client: Client,
  { namespace, workflowId, runId }: RunName,
): Promise<BatcherSettings | null> {
  try {
    const { history } = await client.workflowService.getWorkflowExecutionHistory({
      namespace,
      execution: { workflowId, runId },
      maximumPageSize: 1,
    });
    const started = history?.events?.[0]?.workflowExecutionStartedEventAttributes;
    const open = payloadReader(client, workflowId);
    return started ? decode<BatcherInput>(started.input?.payloads, 0, open).settings : null;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** See `lastingRunId`. Rejects if Temporal no longer has the run. */
export async function lastingIdOf(
  { workflowService }: Pick<Client, 'workflowService'>,
  { namespace, workflowId, runId }: RunName,
): Promise<string> {
  const { history } = await workflowService.getWorkflowExecutionHistory({
    namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  const { firstExecutionRunId, continuedExecutionRunId } =
    history?.events?.[0]?.workflowExecutionStartedEventAttributes ?? {};
  return lastingRunId({
    workflowId,
    runId,
    firstExecutionRunId: firstExecutionRunId ?? undefined,
    continuedFromExecutionRunId: continuedExecutionRunId ?? undefined,
  });
}

/** The result in an activity's "completed" event, as bytes. */
export function resultOf(client: Client, workflowId: string, event: HistoryEvent): Uint8Array {
  const open = payloadReader(client, workflowId);
  return decode<Uint8Array>(event.activityTaskCompletedEventAttributes?.result?.payloads, 0, open);
}

/** The payloads that began a run, came with a signal, or went to an activity or came from it. */
export function payloadsIn(event: HistoryEvent): Payload[] {
  return [
    event.workflowExecutionStartedEventAttributes?.input,
    event.workflowExecutionSignaledEventAttributes?.input,
    event.activityTaskScheduledEventAttributes?.input,
    event.activityTaskCompletedEventAttributes?.result,
  ].flatMap((payloads) => payloads?.payloads ?? []);
}

/** Decrypts a payload. */
type Open = (payload: Payload) => Payload;

/** @param scheduled the type of each activity scheduled so far, by event id. This function adds to it */
function decodeEvent(event: HistoryEvent, scheduled: Map<number, string>, open: Open): BatcherEvent | null {
  const eventId = Number(event.eventId);
  const atMs = Number(event.eventTime?.seconds ?? 0) * 1000 + Math.floor((event.eventTime?.nanos ?? 0) / 1e6);
  if (event.workflowExecutionStartedEventAttributes) {
    const { input, firstExecutionRunId, continuedExecutionRunId } = event.workflowExecutionStartedEventAttributes;
    return {
      type: 'started',
      input: decode<BatcherInput>(input?.payloads, 0, open),
      bodies: decode<Uint8Array>(input?.payloads, 1, open),
      chain: {
        firstExecutionRunId: firstExecutionRunId ?? undefined,
        continuedFromExecutionRunId: continuedExecutionRunId ?? undefined,
      },
    };
  }
  if (event.workflowExecutionSignaledEventAttributes) {
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes;
    return { type: 'signaled', name: signalName ?? '', args: decodeAll(input?.payloads, open), atMs };
  }
  if (event.activityTaskScheduledEventAttributes) {
    const { activityType, input } = event.activityTaskScheduledEventAttributes;
    const name = activityType?.name ?? '';
    scheduled.set(eventId, name);
    if (name === 'insertBatch') {
      const bytes = decode<Uint8Array>(input?.payloads, 1, open);
      return { type: 'insertScheduled', spec: decode<BatchSpec>(input?.payloads, 0, open), atMs, bytes };
    }
    if (name === 'insertInherited') {
      return { type: 'inheritedInsertScheduled', batch: decode<InheritedBatch>(input?.payloads, 0, open), atMs };
    }
    return null;
  }
  if (event.activityTaskCompletedEventAttributes) {
    const { scheduledEventId, result } = event.activityTaskCompletedEventAttributes;
    switch (scheduled.get(Number(scheduledEventId))) {
      case 'insertBatch':
      case 'insertInherited': {
        const envelope = decode<Uint8Array>(result?.payloads, 0, open);
        const { json, bytes } = openEnvelope<InsertOutcome & Partial<FlushOutcome>>(envelope);
        return { type: 'insertCompleted', eventId, outcome: json, atMs, bytes };
      }
      case 'rejectRecords':
        return { type: 'rejectCompleted', unconfirmed: decodeUnconfirmed(result?.payloads, open), atMs };
      case 'readInheritance':
        return { type: 'inheritanceRead', inheritance: decode<Inheritance>(result?.payloads, 0, open) };
      default:
        return null;
    }
  }
  return null;
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the place in the history tells the type
function decode<T>(payloads: readonly Payload[] | null | undefined, index: number, open: Open): T {
  const payload = payloads?.[index];
  if (payload === undefined) throw new Error('a batcher’s history lacks a payload');
  return readPayload<T>(open(payload));
}

/** There is no result, or null, if all are confirmed. */
function decodeUnconfirmed(payloads: readonly Payload[] | null | undefined, open: Open): readonly Unconfirmed[] {
  if (!payloads?.[0]) return [];
  return decode<readonly Unconfirmed[] | null | undefined>(payloads, 0, open) ?? [];
}

/**
 * Payloads of foreign signals may have any encoding. The batcher gets them in the same form.
 *
 * @throws MissingKeyError: it may be ours
 */
function decodeAll(payloads: readonly Payload[] | null | undefined, open: Open): unknown[] {
  return (payloads ?? []).map((payload) => payloadConverter.fromPayload(open(payload)));
}
