import { defaultPayloadConverter, type Payload } from '@temporalio/common';
import { WorkflowNotFoundError, type Client } from '@temporalio/client';
import { BATCHER } from '../../../src/protocol/batcher.js';
import { GRPC_STATUS } from '../../../src/temporal/grpcStatus.js';

interface HistoryEvent {
  readonly eventId: number;
  readonly eventTime: { readonly seconds: number; readonly nanos: number };
  readonly [attributes: string]: unknown;
}

/**
 * The histories of a batcher's runs as Temporal keeps them and gives them away: payloads encoded, events numbered from 1,
 * page by page.
 */
export class Histories {
  readonly #runs = new Map<string, HistoryEvent[]>();
  readonly #statuses = new Map<string, string>();

  /** @param more other attributes of the event */
  started(runId: string, atMs: number, args: readonly unknown[], more: object = {}): void {
    this.#runs.set(runId, []);
    this.#statuses.set(runId, 'RUNNING');
    const input = { payloads: args.map(encode) };
    const workflowType = { name: BATCHER.workflowType };
    const attributes = { workflowType, input, originalExecutionRunId: runId, ...more };
    this.#append(runId, atMs, { workflowExecutionStartedEventAttributes: attributes });
  }

  signaled(runId: string, atMs: number, signalName: string, args: readonly unknown[]): void {
    const input = { payloads: args.map(encode) };
    this.#append(runId, atMs, { workflowExecutionSignaledEventAttributes: { signalName, input } });
  }

  taskCompleted(runId: string, atMs: number): void {
    this.#append(runId, atMs, { workflowTaskCompletedEventAttributes: {} });
  }

  /** @returns the id of the event */
  scheduled(runId: string, atMs: number, name: string, args: readonly unknown[]): number {
    const input = { payloads: args.map(encode) };
    return this.#append(runId, atMs, { activityTaskScheduledEventAttributes: { activityType: { name }, input } });
  }

  completed(runId: string, atMs: number, scheduledEventId: number, result: unknown): void {
    const attributes = { scheduledEventId, result: { payloads: [encode(result)] } };
    this.#append(runId, atMs, { activityTaskCompletedEventAttributes: attributes });
  }

  ended(runId: string, status: 'TERMINATED' | 'COMPLETED' | 'CONTINUED_AS_NEW'): void {
    this.#statuses.set(runId, status);
  }

  /** A run is not listed yet. */
  hide(runId: string): void {
    this.#statuses.delete(runId);
  }

  /** Retention removes a run. */
  remove(runId: string): void {
    this.#runs.delete(runId);
    this.#statuses.delete(runId);
  }

  /** A client that can read these histories, and say which runs there are. */
  client(): Client {
    const getWorkflowExecutionHistory = (request: HistoryRequest) => {
      const events = this.#runs.get(request.execution.runId);
      if (events === undefined) return Promise.reject(notFound());
      const from = request.nextPageToken?.[0] ?? 0;
      const to = from + request.maximumPageSize;
      const nextPageToken = to < events.length ? [to] : [];
      return Promise.resolve({ history: { events: events.slice(from, to) }, nextPageToken });
    };
    const describe = (runId?: string) =>
      (runId === undefined && this.#runs.size > 0) || this.#runs.has(runId ?? '')
        ? Promise.resolve({ type: BATCHER.workflowType, startTime: startOf(runId ?? '') })
        : Promise.reject(new WorkflowNotFoundError('no such run', 'batcher', runId));
    const workflow = {
      getHandle: (_workflowId: string, runId?: string) => ({ describe: () => describe(runId) }),
      // The order in which they are listed is not to be relied upon.
      list: () =>
        [...this.#statuses].reverse().map(([runId, name]) => ({ runId, status: { name }, startTime: startOf(runId) })),
    };
    return { workflowService: { getWorkflowExecutionHistory }, workflow } as unknown as Client;
  }

  #append(runId: string, atMs: number, attributes: Readonly<Record<string, unknown>>): number {
    const events = this.#runs.get(runId);
    if (events === undefined) throw new Error(`there is no run ${runId}`);
    const eventTime = { seconds: Math.floor(atMs / 1000), nanos: (atMs % 1000) * 1e6 };
    return events.push({ eventId: events.length + 1, eventTime, ...attributes });
  }
}

/** One after the other, however little time passes between them. */
function startOf(runId: string): Date {
  return new Date(Number(runId.slice(runId.lastIndexOf('-') + 1)));
}

/** As the native connection has it. */
function notFound(): Error {
  return Object.assign(new Error('workflow execution not found'), { code: GRPC_STATUS.notFound });
}

interface HistoryRequest {
  readonly execution: { readonly runId: string };
  readonly maximumPageSize: number;
  readonly nextPageToken?: readonly number[];
}

/** What is left of a value on its way through Temporal: JSON, but for bytes. */
export function throughTemporal<T>(value: T): T {
  return defaultPayloadConverter.fromPayload<T>(encode(value));
}

function encode(value: unknown): Payload {
  return defaultPayloadConverter.toPayload(value);
}
