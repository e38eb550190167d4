import type { Payload } from '@temporalio/common';
import type { Client } from '@temporalio/client';
import type { FlushActivities } from '../protocol/flushActivities.js';
import type { Inheritance } from '../protocol/inheritance.js';
import type { InheritedBatch, FlushOutcome } from '../protocol/leftover.js';
import { callOf, purposeOf, resultBinding, type Binding } from '../protocol/encryption.js';
import { openEnvelope, type BatchSpec, type InsertOutcome } from '../protocol/flush.js';
import type { Unconfirmed } from '../protocol/request.js';
import type { Answer, RunEvent } from '../workflows/replayedRun.js';
import { payloadConverter, readOrBytes, readPayload } from '../workflows/payloadConverter.js';
import { lastingRunId } from '../workflows/runIdentity.js';
import type { BatcherSettings } from '../protocol/settings.js';
import { payloadReader } from './encryption.js';
import { isNotFound } from './errors.js';
import { readStart } from './startInput.js';

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
  const scheduled = new Map<number, ScheduledActivity>();
  const open = payloadReader(client, run.workflowId);
  for await (const event of historyEvents(client, run)) {
    yield* decodeEvent(event, scheduled, open);
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
export async function runStart(client: Pick<Client, 'workflowService'>, run: RunName): Promise<RunStart> {
  const started = await startedEvent(client, run);
  return {
    workflowType: started?.workflowType?.name ?? '',
    firstRunId: started?.firstExecutionRunId ?? run.runId,
    originalRunId: started?.originalExecutionRunId ?? run.runId,
    input: started?.input?.payloads ?? [],
  };
}

/** The settings that a batcher's run began with. Null if Temporal no longer has the run. */
export async function startSettings(client: Client, run: RunName): Promise<BatcherSettings | null> {
  try {
    const started = await startedEvent(client, run);
    const open = payloadReader(client, run.workflowId);
    return started ? readStart(started.input?.payloads ?? [], open).input.settings : null;
  } catch (error) {
    if (isNotFound(error)) return null;
    throw error;
  }
}

/** See `lastingRunId`. Rejects if Temporal no longer has the run. */
export async function lastingIdOf(client: Pick<Client, 'workflowService'>, run: RunName): Promise<string> {
  const { firstExecutionRunId, continuedExecutionRunId } = (await startedEvent(client, run)) ?? {};
  return lastingRunId({
    workflowId: run.workflowId,
    runId: run.runId,
    firstExecutionRunId: firstExecutionRunId ?? undefined,
    continuedFromExecutionRunId: continuedExecutionRunId ?? undefined,
  });
}

/** How a run began. Rejects if Temporal no longer has it. */
async function startedEvent(
  { workflowService }: Pick<Client, 'workflowService'>,
  { namespace, workflowId, runId }: RunName,
) {
  const { history } = await workflowService.getWorkflowExecutionHistory({
    namespace,
    execution: { workflowId, runId },
    maximumPageSize: 1,
  });
  return history?.events?.[0]?.workflowExecutionStartedEventAttributes;
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

/** An activity that a run has scheduled. */
interface ScheduledActivity {
  readonly name: string;
  /** See `callOf`. */
  readonly call: string | null;
}

/** @param scheduled each activity scheduled so far, by event id. This function adds to it */
function decodeEvent(event: HistoryEvent, scheduled: Map<number, ScheduledActivity>, open: Open): BatcherEvent[] {
  const eventId = Number(event.eventId);
  const atMs = Number(event.eventTime?.seconds ?? 0) * 1000 + Math.floor((event.eventTime?.nanos ?? 0) / 1e6);
  if (event.workflowExecutionStartedEventAttributes) {
    const { input, firstExecutionRunId, continuedExecutionRunId } = event.workflowExecutionStartedEventAttributes;
    const start = readStart(input?.payloads ?? [], open);
    if (start.bodies === null && continuedExecutionRunId && start.input.carried !== undefined)
      throw new Error('a batcher’s history lacks a payload');
    return [
      {
        type: 'started',
        input: start.input,
        bodies: start.bodies ?? new Uint8Array(0),
        chain: {
          firstExecutionRunId: firstExecutionRunId ?? undefined,
          continuedFromExecutionRunId: continuedExecutionRunId ?? undefined,
        },
      },
    ];
  }
  if (event.workflowExecutionSignaledEventAttributes) {
    const { signalName, input } = event.workflowExecutionSignaledEventAttributes;
    // The batcher gets them in the same form.
    const args = (input?.payloads ?? []).map((payload) => payloadConverter.fromPayload(open(payload)));
    return [{ type: 'signaled', name: signalName ?? '', args, atMs }];
  }
  if (event.activityTaskScheduledEventAttributes) {
    const { activityType, input } = event.activityTaskScheduledEventAttributes;
    const name = activityType?.name ?? '';
    if (!READ_ACTIVITIES.includes(name)) return [];
    const args = (input?.payloads ?? []).map((payload) => readOrBytes(open(payload)));
    scheduled.set(eventId, { name, call: callOf(name, args, purposeOf) });
    return [{ type: 'activityScheduled', eventId }, ...insertScheduled(name, args, atMs)];
  }
  if (event.activityTaskCompletedEventAttributes) {
    const { scheduledEventId, result } = event.activityTaskCompletedEventAttributes;
    const activity = scheduled.get(Number(scheduledEventId));
    if (activity === undefined) return [];
    const payload = result?.payloads?.[0];
    return activityCompleted(activity, payload && open(payload), {
      eventId,
      scheduledEventId: Number(scheduledEventId),
      atMs,
    });
  }
  return [];
}

/** The activities whose results matter to us. */
const READ_ACTIVITIES: readonly string[] = [
  'insertBatch',
  'insertInherited',
  'rejectRecords',
  'readInheritance',
] satisfies (keyof FlushActivities)[];

function insertScheduled(name: string, args: readonly unknown[], atMs: number): BatcherEvent[] {
  if (name === 'insertBatch')
    return [
      {
        type: 'insertScheduled',
        spec: present(args, 0) as BatchSpec,
        atMs,
        bytes: present(args, 1) as Uint8Array,
      },
    ];
  if (name === 'insertInherited')
    return [{ type: 'inheritedInsertScheduled', batch: present(args, 0) as InheritedBatch, atMs }];
  return [];
}

/**
 * Nothing for a result that the run has refused too: it is not for this call, or anybody may have made it up and it
 * cannot be read.
 */
function activityCompleted(
  { name, call }: ScheduledActivity,
  result: Payload | undefined,
  at: { readonly eventId: number; readonly scheduledEventId: number; readonly atMs: number },
): BatcherEvent[] {
  let binding: Binding = 'plain';
  try {
    const value = result === undefined ? undefined : readPayload<unknown>(result);
    binding = resultBinding(value, call);
    return binding === 'wrong' ? [] : answered(name, value, { ...at, isBound: binding === 'right' });
  } catch (error) {
    if (binding === 'plain') return [];
    throw error;
  }
}

function answered(
  name: string,
  value: unknown,
  { eventId, ...answer }: Answer & { readonly eventId: number; readonly atMs: number },
): BatcherEvent[] {
  switch (name) {
    case 'rejectRecords':
      // There is no result, or null, if all are confirmed.
      return [{ type: 'rejectCompleted', unconfirmed: (value ?? []) as readonly Unconfirmed[], ...answer }];
    case 'readInheritance':
      return [{ type: 'inheritanceRead', inheritance: value as Inheritance, ...answer }];
    default: {
      const { json, bytes } = openEnvelope<InsertOutcome & Partial<FlushOutcome>>(value as Uint8Array);
      return [{ type: 'insertCompleted', eventId, outcome: json, bytes, ...answer }];
    }
  }
}

/** @throws Error if there is no such argument */
function present(args: readonly unknown[], index: number): unknown {
  if (args.length <= index) throw new Error('a batcher’s history lacks a payload');
  return args[index];
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the place in the history tells the type
function decode<T>(payloads: readonly Payload[] | null | undefined, index: number, open: Open): T {
  const payload = payloads?.[index];
  if (payload === undefined) throw new Error('a batcher’s history lacks a payload');
  return readPayload<T>(open(payload));
}
