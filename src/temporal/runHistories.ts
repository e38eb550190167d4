import type { Client } from '@temporalio/client';
import { grpcErrorOf, isNotFound } from './errors.js';
import { GRPC_STATUS } from './grpcStatus.js';
import { BATCHER, type CoverageState } from '../protocol/batcher.js';
import { RUN_BEFORE, type Inheritance, type Unreported } from '../protocol/inheritance.js';
import { UNKNOWN_RUN, type BatchSpec } from '../protocol/flush.js';
import { PAYLOAD_BYTES_MAX } from '../protocol/payloadLimit.js';
import { joinBodies, inOwnBuffer } from '../protocol/chunkBodies.js';
import { batchId, type Buffered } from '../workflows/batchPlanning.js';
import { NO_COUNTERS } from '../workflows/counters.js';
import { ReplayedRun } from '../workflows/replayedRun.js';
import { joinInheritances, withUnreported } from '../workflows/trust.js';
import { cipherOf, payloadReader } from './encryption.js';
import { historyEvents, resultOf, runEvents, runStart, type BatcherEvent, type RunStart } from './historyEvents.js';
import { readStart } from './startInput.js';
import { quotedText } from './visibilityQuery.js';

/** Runs for which the answer of {@link RunHistories.anyWasReset} is remembered. */
const RESETS_REMEMBERED = 10_000;

/** How long the leftover of a closed run (some megabytes) is kept after it was last asked for. */
const LEFTOVER_KEPT_MS = 60_000;

/** The leftovers of so many runs are kept, at most. */
const LEFTOVERS_KEPT_MAX = 4;

/** Bytes of all leftovers that are kept. The first one is kept in any case. */
const LEFTOVERS_BYTES_MAX = 32 * 1024 * 1024;

/** See {@link RunHistories.flushing}. */
export type FlushedBatch = Pick<BatchSpec, 'id' | 'number'>;

interface KeptLeftover {
  readonly leftover: readonly Buffered[];
  readonly bytes: number;
  readonly forgetting: NodeJS.Timeout;
  /** Whether its last chunk was asked for. Then only another attempt may ask again, and it makes room for others. */
  isDone: boolean;
}

/** See {@link RunHistories.acceptedBy}. */
export interface AcceptedRecords {
  readonly coverage: CoverageState;
  /** Oldest first. */
  readonly unflushed: readonly Buffered[];
}

/**
 * Temporal no longer has the history of a run, because the namespace's retention is over or somebody has deleted it.
 * What the run had left is lost. A retry does not help.
 */
export class HistoryGoneError extends Error {
  override readonly name = 'HistoryGoneError';
  readonly runId: string;

  constructor(workflowId: string, runId: string) {
    super(`Temporal no longer has the history of run ${runId} of ${workflowId}`);
    this.runId = runId;
  }
}

/** Reads the histories of batchers' runs. Every method rejects if Temporal does not answer. */
export class RunHistories {
  readonly #client: Client;
  readonly #namespace: string;
  readonly #payloadBytesMax: number;
  readonly #resets = new Map<string, boolean>();
  /** By run id. */
  readonly #leftovers = new Map<string, KeptLeftover>();

  /** @param payloadBytesMax what Temporal takes in one payload */
  constructor(client: Client, namespace: string, payloadBytesMax = PAYLOAD_BYTES_MAX) {
    this.#client = client;
    this.#namespace = namespace;
    this.#payloadBytesMax = payloadBytesMax;
  }

  /**
   * Whether one of these runs was made by `workflow reset`. Such a run repeats what the original run did after the
   * point of the reset.
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

  /** A run that Temporal no longer has counts as reset, to be safe. */
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
   * What an heir takes over from the run before it. Temporal says which run that is, not the heir's input. The race:
   * two senders see the same run closed. The first starts an heir, which accepts and flushes records and is closed,
   * too. Then the second sender starts another heir, and its input names the old run. By that input alone, the records
   * of the first heir would be skipped, and those that it had flushed would be inserted again.
   *
   * @param namedRunId or `RUN_BEFORE`: what nobody in the run's chain has taken over
   */
  async inheritanceOf(workflowId: string, heirRunId: string, namedRunId: string): Promise<Inheritance> {
    const start = await this.#startOf(workflowId, heirRunId);
    const heir = start?.originalRunId ?? heirRunId;
    if (namedRunId !== RUN_BEFORE)
      return this.#inheritanceFrom(workflowId, await this.#runBefore(workflowId, heir, namedRunId));
    return this.#inheritanceBefore(workflowId, start?.firstRunId ?? heir);
  }

  /** What is left by the run before a chain, unless its first run was an heir and has taken it over. */
  async #inheritanceBefore(workflowId: string, firstRunId: string): Promise<Inheritance> {
    const first = await this.#startOf(workflowId, firstRunId);
    // If it is gone, so is every run before it.
    if (first === null || this.#isHeir(workflowId, first)) return NOTHING;
    return this.#inheritanceFrom(workflowId, await this.#runBefore(workflowId, firstRunId, null));
  }

  #inheritanceFrom(workflowId: string, runId: string | null): Promise<Inheritance> {
    return runId === null ? Promise.resolve(NOTHING) : this.inheritance(workflowId, runId);
  }

  /**
   * What a closed run has left. If Temporal no longer has its history, nothing is known of it, and `lost` counts it.
   *
   * Somebody without the key may have started it in place of an heir, and it may have ended before it found out. Then what
   * the run before it has left comes first.
   */
  async inheritance(workflowId: string, runId: string): Promise<Inheritance> {
    try {
      const { run, unreported } = await this.#replay(workflowId, runId);
      const inheritance = withUnreported(run.inheritance(), [unreported]);
      if (run.knowsRunBefore || cipherOf(this.#client)?.hasKeys !== true) return inheritance;
      const earlier = await this.inheritanceOf(workflowId, runId, RUN_BEFORE);
      return earlier === NOTHING ? inheritance : joinInheritances(earlier, inheritance, this.#payloadBytesMax);
    } catch (error) {
      if (error instanceof HistoryGoneError && error.runId === runId) return LOST;
      throw error;
    }
  }

  /**
   * The run of a batcher that was closed last before the heir was started. Read from the visibility store, which may be
   * some seconds late. Runs of other workflows under the same id are passed over: consumers commit nothing that these got.
   *
   * @param namedRunId what the heir's input names. It may be an earlier run, and if somebody else has started the heir, any
   *   text
   * @returns null if there was none. The named run if Temporal has neither that nor a later one
   */
  async #runBefore(workflowId: string, heirRunId: string, namedRunId: string | null): Promise<string | null> {
    const [named, heir] = await Promise.all([
      namedRunId === null ? undefined : this.#timeOf(workflowId, namedRunId),
      this.#timeOf(workflowId, heirRunId),
    ]);
    if (typeof heir !== 'number') return namedRunId;
    const isNamed = typeof named === 'number' && named <= heir && (await this.#isBatcher(workflowId, namedRunId ?? ''));
    const sinceMs = isNamed ? named : 0;
    const query =
      `WorkflowId = ${quotedText(workflowId)} AND StartTime >= '${new Date(Math.max(0, sinceMs - CLOCK_STEP_MS)).toISOString()}'` +
      ` AND StartTime <= '${new Date(heir + CLOCK_STEP_MS).toISOString()}'`;
    let seesHeir = false;
    const closed: { readonly runId: string; readonly startMs: number }[] = [];
    for await (const { runId, startTime, status } of this.#client.workflow.list({ query })) {
      const startMs = startTime.getTime();
      if (runId === heirRunId) seesHeir = true;
      else if (status.name !== 'CONTINUED_AS_NEW' && startMs > sinceMs && startMs <= heir)
        closed.push({ runId, startMs });
    }
    // Runs appear in the list in the order in which they were started. So the list is complete only when it has the
    // heir.
    if (!seesHeir)
      throw new Error(`Temporal does not list run ${heirRunId} of ${workflowId} yet; asked again until it does`);
    closed.sort((one, other) => other.startMs - one.startMs);
    for (const { runId } of closed) if (await this.#isBatcher(workflowId, runId)) return runId;
    return isNamed || named === null ? namedRunId : null;
  }

  /** Whether it is a run of a batcher, or gone. */
  async #isBatcher(workflowId: string, runId: string): Promise<boolean> {
    const start = await this.#startOf(workflowId, runId);
    return start === null || start.workflowType === BATCHER.workflowType;
  }

  /** Whether a run was started as an heir of a named run. It has taken over what was left, or its own heir does. */
  #isHeir(workflowId: string, { workflowType, input }: RunStart): boolean {
    if (workflowType !== BATCHER.workflowType) return false;
    return Boolean(readStart(input, payloadReader(this.#client, workflowId)).input.heirOf);
  }

  /** Milliseconds since 1970. Null if Temporal no longer has the run, undefined if it is no id of a run. */
  async #timeOf(workflowId: string, runId: string): Promise<number | null | undefined> {
    try {
      const { startTime } = await this.#client.workflow.getHandle(workflowId, runId).describe();
      return startTime.getTime();
    } catch (error) {
      if (isNotFound(error)) return null;
      if (isInvalid(error)) return undefined;
      throw error;
    }
  }

  /** Null if Temporal no longer has the run. */
  async #startOf(workflowId: string, runId: string): Promise<RunStart | null> {
    try {
      return await runStart(this.#client, { namespace: this.#namespace, workflowId, runId });
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  /** `count` of the chunks that a closed run had accepted and not flushed, from number `from` on, with their bodies. */
  async leftover(workflowId: string, runId: string, from: number, count: number): Promise<readonly Buffered[]> {
    const leftover = await this.#leftoverOf(workflowId, runId, from + count);
    if (leftover.length < from + count) {
      throw new Error(`run ${runId} of ${workflowId} has left ${leftover.length} chunks, not ${from + count}`);
    }
    return leftover.slice(from, from + count);
  }

  /**
   * Kept for a while, because an heir asks batch by batch, and each time the whole history would have to be read. The
   * history of a closed run cannot change.
   *
   * @param to number of the chunk after the last one that is asked for
   */
  async #leftoverOf(workflowId: string, runId: string, to: number): Promise<readonly Buffered[]> {
    const kept = this.#leftovers.get(runId);
    if (kept !== undefined) {
      kept.forgetting.refresh();
      kept.isDone ||= to >= kept.leftover.length;
      return kept.leftover;
    }
    const leftover = (await this.#replay(workflowId, runId)).run.unflushed;
    this.#keep(runId, leftover, to >= leftover.length);
    return leftover;
  }

  /**
   * Keeps a leftover if there is room. Only those that are done make room, and only for one that is not: with one heir
   * too many, each would find its own leftover gone.
   */
  #keep(runId: string, leftover: readonly Buffered[], isDone: boolean): void {
    const kept = this.#leftovers;
    // Two may have read it at the same time.
    if (kept.has(runId)) return;
    const bytes = leftover.reduce((sum, { body }) => sum + body.length, 0);
    const isFull = (): boolean => {
      const together = [...kept.values()].reduce((sum, other) => sum + other.bytes, bytes);
      return kept.size >= LEFTOVERS_KEPT_MAX || (kept.size > 0 && together > LEFTOVERS_BYTES_MAX);
    };
    for (const [other, { isDone: isOtherDone, forgetting }] of kept) {
      if (isDone || !isFull()) break;
      if (!isOtherDone) continue;
      clearTimeout(forgetting);
      kept.delete(other);
    }
    if (isFull()) return;
    const forgetting = setTimeout(() => kept.delete(runId), LEFTOVER_KEPT_MS).unref();
    kept.set(runId, { leftover, bytes, forgetting, isDone });
  }

  /**
   * What a batcher has accepted, and which chunks are not flushed yet: buffered, in a batch, or left by closed runs.
   * Read from the history of a run, which may still be open. No worker is needed.
   */
  async acceptedBy(workflowId: string, runId: string): Promise<AcceptedRecords> {
    const { run } = await this.#replay(workflowId, runId);
    const { coverage, estates: leftovers } = run.inheritance();
    const unflushed: Buffered[] = [];
    for (const { runId: leftBy, chunksDone, batches } of leftovers) {
      // The run's own chunks are in `run.unflushed`. If they were read again, an open run might have flushed some in
      // between.
      if (leftBy === runId) continue;
      const chunks = batches.reduce((sum, size) => sum + size, 0);
      unflushed.push(...(await this.leftover(workflowId, leftBy, chunksDone, chunks)));
    }
    return { coverage, unflushed: [...unflushed, ...run.unflushed] };
  }

  /**
   * The bodies of the batch that a run is flushing, one after the other. For batches that are stored once. What the run
   * has accepted since it scheduled the insert is not read: while ClickHouse is away, that is most of the history.
   *
   * @throws Error if the run is not flushing this batch, as this version reads its history. Then only a worker of the
   *   version that made the batch can insert it. HistoryGoneError if Temporal no longer has the history
   */
  async flushing(workflowId: string, runId: string, { id, number }: FlushedBatch): Promise<Uint8Array> {
    const run = new ReplayedRun({ workflowId, runId });
    for await (const event of this.events(workflowId, runId)) {
      run.apply(event);
      // After a rewind a later batch may have the same id.
      if (event.type === 'insertScheduled' && event.spec.id === id && event.spec.number === number) break;
    }
    const { flushing } = run;
    if (flushing.length === 0 || batchId(workflowId, flushing) !== id)
      throw new Error(
        `run ${runId} of ${workflowId} is not flushing batch ${id}, as this version reads its history: a worker of the version that made the batch has to insert it`,
      );
    return inOwnBuffer(joinBodies(flushing));
  }

  /** {@link events} with the bodies of all batches, also of those that are stored once. */
  async *eventsWithBodies(workflowId: string, runId: string): AsyncIterable<BatcherEvent> {
    const run = new ReplayedRun({ workflowId, runId });
    for await (const event of this.events(workflowId, runId)) {
      run.apply(event);
      const lacksBodies = event.type === 'insertScheduled' && event.bytes?.length === 0;
      yield lacksBodies ? { ...event, bytes: joinBodies(run.flushing) } : event;
    }
  }

  /** The events of a run's history that matter to us, in order. For an open run: those that exist now. */
  events(workflowId: string, runId: string): AsyncIterable<BatcherEvent> {
    const run = { namespace: this.#namespace, workflowId, runId };
    return this.#read(workflowId, runId, runEvents(this.#client, run));
  }

  /**
   * The result of an activity, as bytes.
   *
   * @throws Error if the run has no such event
   */
  async result(workflowId: string, { runId, eventId }: { runId: string; eventId: number }): Promise<Uint8Array> {
    const events = historyEvents(this.#client, { namespace: this.#namespace, workflowId, runId });
    for await (const event of this.#read(workflowId, runId, events)) {
      if (Number(event.eventId) === eventId) return resultOf(this.#client, workflowId, event);
    }
    throw new Error(`run ${runId} of ${workflowId} has no event ${eventId}`);
  }

  /**
   * Replays a closed run, or an open one so far. If the run was an heir that had not read its own inheritance, that is
   * read first, and so on back. `unreported`: what was found on this way and reported nowhere yet.
   */
  async #replay(
    workflowId: string,
    runId: string,
  ): Promise<{ readonly run: ReplayedRun; readonly unreported: Unreported }> {
    const run = new ReplayedRun({ workflowId, runId });
    for await (const event of this.events(workflowId, runId)) run.apply(event);
    if (run.unreadRun === null) return { run, unreported: {} };
    const inheritance = await this.inheritanceOf(workflowId, runId, run.unreadRun);
    run.inherit(inheritance);
    return { run, unreported: inheritance };
  }

  /** @throws HistoryGoneError */
  async *#read<Event>(workflowId: string, runId: string, events: AsyncIterable<Event>): AsyncIterable<Event> {
    try {
      yield* events;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      // "Not found" may also mean the namespace. Then this call fails, too.
      await this.#client.workflow.getHandle(workflowId).describe();
      throw new HistoryGoneError(workflowId, runId);
    }
  }
}

/** Temporal does not take it as the id of a run. */
function isInvalid(error: unknown): boolean {
  return grpcErrorOf(error)?.code === GRPC_STATUS.invalidArgument;
}

/** The visibility store keeps times less exactly than histories do. */
const CLOCK_STEP_MS = 1;

/** The inheritance if there was no run before. */
const NOTHING: Inheritance = {
  coverage: [],
  counters: NO_COUNTERS,
  paused: false,
  controls: [],
  lastFlush: null,
  estates: [],
};

/** The inheritance from a run whose history is gone. */
const LOST: Inheritance = { ...NOTHING, lost: 1 };
