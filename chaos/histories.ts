import { readFileSync } from 'node:fs';
import { Client, type Connection } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import type { temporal } from '@temporalio/proto';
import { DefaultLogger, Runtime, Worker, type ReplayHistoriesIterable } from '@temporalio/worker';
import type { BatcherRun } from './batchers.js';
import { Batches } from './batches.js';
import { placesIn } from './chunks.js';
import { decrypted, decryptedForReplay, keyNameOf, type KeysByName } from './decryption.js';
import type { Replayed } from './checks.js';
import { connectTemporal } from './temporal.js';

/** Of each batcher: the last ones, of which one is open. */
const RUNS_OF_BATCHER_MAX = 4;
const HISTORIES_MAX = 60;
const CALL_MS = 60_000;
const NAMESPACE = 'default';
/** The name of the signal that brings records: docs/formats.md. */
const RECORDS_SIGNAL = 'records';
/** The name of the activity that inserts a batch. */
const INSERT_ACTIVITY = 'insertBatch';
const NOTHING = new Uint8Array(0);
/** Of a signal up to two megabytes are in one. */
const PAGE_EVENTS = 100;

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** What Temporal has of runs of batchers, seen by its own client. */
export class Histories {
  readonly #connection: Connection;
  readonly #client: Client;

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.#client = new Client({ connection });
  }

  static async connect(address: string): Promise<Histories> {
    return new Histories(await connectTemporal(address));
  }

  /** Activities that Temporal still has to do, a text each. */
  async underWay(runs: readonly BatcherRun[]): Promise<string[]> {
    const found: string[] = [];
    for (const { workflowId, runId } of openOf(runs)) {
      const { raw } = await this.#within(() => this.#client.workflow.getHandle(workflowId, runId).describe());
      for (const { activityType, attempt } of raw.pendingActivities ?? [])
        found.push(`${workflowId}, run ${runId}: ${activityType?.name} is due, attempt ${attempt}`);
    }
    return found;
  }

  /** Bytes of the histories of open runs, by batcher. Empty if Temporal is away. */
  async sizes(runs: readonly BatcherRun[]): Promise<ReadonlyMap<string, number>> {
    const sizes = new Map<string, number>();
    for (const { workflowId, runId } of openOf(runs)) {
      const { historySize } = await this.#within(() => this.#client.workflow.getHandle(workflowId, runId).describe());
      if (historySize !== undefined) sizes.set(workflowId, historySize);
    }
    return sizes;
  }

  /** Signals that were encrypted by this key, among the last events of open runs. */
  async signalsBy(key: string, runs: readonly BatcherRun[]): Promise<number> {
    let count = 0;
    for (const { workflowId, runId } of openOf(runs)) {
      const asked = { namespace: NAMESPACE, execution: { workflowId, runId }, maximumPageSize: PAGE_EVENTS };
      const { history } = await this.#within(() =>
        this.#client.workflowService.getWorkflowExecutionHistoryReverse(asked),
      );
      for (const { workflowExecutionSignaledEventAttributes: signal } of history?.events ?? []) {
        const [meta] = signal?.input?.payloads ?? [];
        if (meta !== undefined && keyNameOf(meta) === key) count++;
      }
    }
    return count;
  }

  /**
   * Tells every record that a signal has brought, in all runs.
   *
   * @returns the batches that runs have made themselves. What heirs have inserted for others is in none of them
   */
  async accepted(
    runs: readonly BatcherRun[],
    { topic, keys }: { readonly topic: string; readonly keys: KeysByName },
    add: (partition: number, offset: number, atMs: number, epoch: string) => void,
  ): Promise<Batches> {
    const batches = new Batches(topic);
    for (const execution of runs)
      for await (const event of this.#events(execution)) {
        const scheduled = event.activityTaskScheduledEventAttributes;
        const signal = event.workflowExecutionSignaledEventAttributes;
        if (scheduled?.activityType?.name === INSERT_ACTIVITY) {
          const [batch] = scheduled.input?.payloads ?? [];
          if (batch !== undefined) batches.add(decrypted(batch, keys).data ?? NOTHING);
        }
        if (signal?.signalName !== RECORDS_SIGNAL) continue;
        const [meta, body] = (signal.input?.payloads ?? []).map((payload) => decrypted(payload, keys));
        if (!meta?.data || !body?.data) continue;
        for (const place of placesIn(meta.data, body.data))
          if (place.topic === topic) add(place.partition, place.offset, timeOf(event), place.epoch);
      }
    return batches;
  }

  async *#events({ workflowId, runId }: BatcherRun): AsyncGenerator<HistoryEvent> {
    let nextPageToken: Uint8Array | null | undefined;
    do {
      const page: { history?: { events?: HistoryEvent[] | null } | null; nextPageToken?: Uint8Array | null } =
        await this.#within(() =>
          this.#client.workflowService.getWorkflowExecutionHistory({
            namespace: NAMESPACE,
            execution: { workflowId, runId },
            maximumPageSize: PAGE_EVENTS,
            ...(nextPageToken ? { nextPageToken } : {}),
          }),
        );
      yield* page.history?.events ?? [];
      ({ nextPageToken } = page);
    } while (nextPageToken && nextPageToken.length > 0);
  }

  /** Of the last runs of each batcher, one after the other: a history may have eight megabytes. */
  async *last(runs: readonly BatcherRun[]): AsyncGenerator<{ readonly workflowId: string; readonly history: unknown }> {
    for (const { workflowId, runId } of lastOf(runs)) {
      const history = await this.#within(() => this.#client.workflow.getHandle(workflowId, runId).fetchHistory());
      yield { workflowId, history };
    }
  }

  disconnect(): Promise<void> {
    return this.#connection.close();
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    return this.#connection.withDeadline(Date.now() + CALL_MS, call);
  }
}

/** Milliseconds since 1970. */
function timeOf({ eventTime }: HistoryEvent): number {
  return Number(eventTime?.seconds ?? 0) * 1_000 + Math.floor((eventTime?.nanos ?? 0) / 1e6);
}

function openOf(runs: readonly BatcherRun[]): BatcherRun[] {
  return runs.filter(({ status }) => status === 'RUNNING');
}

/** @param runs in the order of Temporal's list, the latest first */
function lastOf(runs: readonly BatcherRun[]): BatcherRun[] {
  const counts = new Map<string, number>();
  return runs
    .filter(({ workflowId }) => {
      const count = (counts.get(workflowId) ?? 0) + 1;
      counts.set(workflowId, count);
      return count <= RUNS_OF_BATCHER_MAX;
    })
    .slice(0, HISTORIES_MAX);
}

/** Only decrypts: what a replay encodes goes nowhere. */
function codecOf(keys: KeysByName): PayloadCodec {
  return {
    encode: (payloads) => Promise.resolve(payloads),
    decode: (payloads) => Promise.resolve(payloads.map((payload) => decryptedForReplay(payload, keys))),
  };
}

/** A replay calls no sink, but wants to find each. */
const SINKS = {
  batcher: Object.fromEntries(['began', 'reported', 'holding', 'taken'].map((name) => [name, { fn: () => undefined }])),
};

/**
 * Replays histories with the workflows of a build.
 *
 * @param bundle file of the build
 * @param keys by which payloads are encrypted
 */
export async function replay(
  bundle: string,
  histories: ReplayHistoriesIterable,
  keys: KeysByName,
): Promise<Replayed[]> {
  Runtime.install({
    logger: new DefaultLogger('ERROR', () => undefined),
    telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' } } },
  });
  const replayed: Replayed[] = [];
  const workflowBundle = { code: readFileSync(bundle, 'utf8') };
  for await (const { workflowId, runId, error } of Worker.runReplayHistories(
    { workflowBundle, sinks: SINKS, dataConverter: { payloadCodecs: [codecOf(keys)] } },
    histories,
  ))
    replayed.push({ workflowId, runId, ...(error === undefined ? {} : { error: error.message }) });
  return replayed;
}
