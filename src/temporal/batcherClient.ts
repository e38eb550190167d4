import type { Client } from '@temporalio/client';
import { RawValue, WorkflowExecutionAlreadyStartedError, type Payload } from '@temporalio/common';
import { grpcErrorOf, isNotFound } from './errors.js';
import { GRPC_STATUS } from './grpcStatus.js';
import {
  BATCHER_FORMAT,
  type BatcherInput,
  type CloseRequest,
  type CoverageState,
  type EpochStatus,
  BATCHER,
} from '../protocol/batcher.js';
import { settingsChunk } from '../codecs/chunkCodec.js';
import type { ChunkMeta } from '../protocol/chunk.js';
import { PURPOSES } from '../protocol/encryption.js';
import type { RecordSource } from '../protocol/record.js';
import type { BatcherSettings } from '../protocol/settings.js';
import type { CountRequest } from './requestMetrics.js';
import type { HistorySize } from './flowControl.js';
import { canOnlyRead, cipherOf, sealedSignal } from './encryption.js';
import { isOpen } from './openRuns.js';
import { payloadsOf, signalWithStart, type SignalledRun } from './signalWithStart.js';
import type { DueTask } from './stuckTasks.js';
import { taskFailureOf } from './taskFailure.js';

/** What became of a signal. `bytes`: what it adds to the history of the run. */
export type SendOutcome =
  | ({ readonly type: 'accepted'; readonly bytes: number } & SignalledRun)
  /** Not accepted, or unknown. Send exactly the same again. */
  | { readonly type: 'retry'; readonly message: string; readonly bytes: number }
  /** Refused because of its size. Send less. */
  | { readonly type: 'tooLarge'; readonly message: string }
  /** The run takes no more signals until it has continued as new. */
  | { readonly type: 'full'; readonly message: string }
  /** The run has ended. */
  | { readonly type: 'closed' };

/**
 * One batcher. Every method but `send` rejects if Temporal does not answer, or another workflow has the batcher's id.
 */
export interface BatcherClient {
  readonly workflowId: string;
  send(meta: ChunkMeta, body: Uint8Array): Promise<SendOutcome>;
  /** The history of the batcher's run. Null if there is no open run. */
  history(): Promise<HistorySize | null>;
  /**
   * Starts an heir if the batcher's last run is closed. The heir takes over what that run had accepted.
   *
   * @param options.drained whether a drained run counts as closed, too. It has left nothing to flush
   * @returns what it found
   * @throws Error if another workflow runs under the batcher's id
   */
  startHeir(options: { drained: boolean }): Promise<BatcherCheck>;
  /** Why the batcher's repeated workflow task failed, for a person. */
  taskFailure(): Promise<string>;
  /**
   * What the batcher knows about an epoch. Rejects also if no worker answers, or an heir has not read its inheritance
   * yet.
   */
  epochStatus(source: RecordSource): Promise<EpochStatus>;
  /** Resolves once the batcher has accepted the request. */
  close(request: CloseRequest): Promise<void>;
  /** All that the batcher has accepted. Empty if it was never started. Rejects also if no worker answers. */
  coverage(): Promise<CoverageState>;
}

/** A signal that Temporal has taken. */
interface TakenSignal {
  readonly run: SignalledRun;
  /** That travelled with it. */
  readonly settings: BatcherSettings | undefined;
}

export interface BatcherCheck {
  /** The closed run that an heir was started for. Null if none is closed, or another sender started the heir first. */
  readonly closed: ClosedRunInfo | null;
  /** The workflow task that is due. Null if there is none. */
  readonly dueTask: DueTask | null;
}

export interface ClosedRunInfo {
  readonly runId: string;
  /** How it ended, in Temporal's words: TERMINATED, FAILED, and so on. COMPLETED means that it was drained. */
  readonly status: string;
}

/**
 * A batcher in Temporal. Signal-with-start never begins a new, empty run after a closed one (`REJECT_DUPLICATE`).
 * Otherwise what the closed run had accepted and not flushed would be forgotten.
 */
export class TemporalBatcherClient implements BatcherClient {
  readonly workflowId: string;
  readonly #client: Client;
  readonly #taskQueue: string;
  readonly #settings: () => BatcherSettings;
  readonly #requestTimeoutMs: number;
  readonly #counted: CountRequest;
  /** Asked once: whoever sets `required` later has a configuration that the documented order does not have. */
  #takesUnencrypted = false;
  /** The last run that was found to be a batcher's. */
  #batcherRunId: string | null = null;
  /**
   * Chunks whose signal Temporal has taken, while it is not known whether a batcher got it. Such a chunk is not signalled
   * again with the same settings, only asked about. By the chunk's body.
   */
  readonly #unchecked = new WeakMap<Uint8Array, TakenSignal>();
  /** What the batcher would be started with, and from which settings it was made. */
  #lastInput: { readonly settings: BatcherSettings; readonly payloads: Payload[] } | null = null;

  constructor(
    client: Client,
    options: {
      workflowId: string;
      taskQueue: string;
      settings: () => BatcherSettings;
      requestTimeoutMs: number;
      counted: CountRequest;
    },
  ) {
    this.#client = client;
    this.workflowId = options.workflowId;
    this.#taskQueue = options.taskQueue;
    this.#settings = options.settings;
    this.#requestTimeoutMs = options.requestTimeoutMs;
    this.#counted = options.counted;
  }

  async send(meta: ChunkMeta, body: Uint8Array): Promise<SendOutcome> {
    const payloads = this.#sealed(BATCHER.signals.records, payloadsOf(this.#dated(meta), body));
    try {
      await this.#haveUnencryptedTaken();
    } catch (error) {
      return classifySignalError(error);
    }
    const { settings } = meta;
    const before = this.#unchecked.get(body);
    const taken = before?.settings === settings ? before : undefined;
    const bytes = taken ? 0 : payloads.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
    try {
      const { run } = taken ?? { run: await this.#signal(BATCHER.signals.records, payloads) };
      this.#unchecked.set(body, { run, settings });
      await this.#mustBeBatcher(run);
      this.#unchecked.delete(body);
      return { type: 'accepted', bytes, ...run };
    } catch (error) {
      // Only if Temporal has not answered. Otherwise the signal is no batcher's, and is sent again.
      if (grpcErrorOf(error) === undefined || isNotFound(error)) this.#unchecked.delete(body);
      return classifySignalError(error, bytes);
    }
  }

  /**
   * Starts the batcher if it does not run. A sender that was cut off may start the batcher later, and must find the
   * epoch closed.
   */
  async close(request: CloseRequest): Promise<void> {
    try {
      await this.#signalClose(request);
    } catch (error) {
      if (classifySignalError(error).type !== 'closed') throw error;
      await this.startHeir({ drained: true });
      await this.#signalClose(request);
    }
  }

  async #signalClose(request: CloseRequest): Promise<void> {
    const inAnyCase = canOnlyRead(cipherOf(this.#client)) && (await this.#requiresEncryption());
    const { close } = BATCHER.signals;
    await this.#mustBeBatcher(await this.#signal(close, this.#sealed(close, payloadsOf(request), inAnyCase)));
  }

  /**
   * Somebody may have started another workflow under the batcher's id. It takes signals, and does nothing with them. So
   * what it got counts as not accepted. Temporal is asked once for each run. If it does not answer, it is asked again
   * before the same chunk is sent again: the history would grow by a whole chunk each time.
   *
   * @throws Error that says what to do
   */
  async #mustBeBatcher({ runId, started }: SignalledRun): Promise<void> {
    if (runId === this.#batcherRunId) return;
    if (!started) {
      const handle = this.#client.workflow.getHandle(this.workflowId, runId);
      const { type } = await this.#withDeadline(() => handle.describe());
      if (type !== BATCHER.workflowType) throw new Error(isOther(this.workflowId, type));
    }
    this.#batcherRunId = runId;
  }

  /**
   * A batcher that requires encryption would refuse what this process sends, whose offsets are committed then. So it gets
   * settings that say otherwise, encrypted and without records: a chunk with records has to be readable for a worker
   * without the key. Nothing to do for a process that encrypts, or has no keys.
   *
   * @throws Error if no worker answers, or the batcher still requires it
   */
  async #haveUnencryptedTaken(): Promise<void> {
    if (this.#takesUnencrypted || !canOnlyRead(cipherOf(this.#client))) return;
    if (await this.#requiresEncryption()) await this.#endRequirement();
    this.#takesUnencrypted = true;
  }

  async #endRequirement(): Promise<void> {
    const { meta, body } = settingsChunk(dated(this.#settings()));
    const { records } = BATCHER.signals;
    const payloads = payloadsOf(meta, body);
    await this.#signal(records, this.#sealed(records, payloads, true));
    if (await this.#requiresEncryption())
      throw new Error(`${this.workflowId} takes only what is encrypted, and no key is active here`);
  }

  /** Rejects if no worker answers. */
  async #requiresEncryption(): Promise<boolean> {
    return (await this.#query<BatcherSettings>(BATCHER.queries.settings))?.encryption === 'required';
  }

  async epochStatus({ topic, partition, epoch }: RecordSource): Promise<EpochStatus> {
    const source: RecordSource = { topic, partition, epoch };
    return (await this.#query<EpochStatus>(BATCHER.queries.epoch, source)) ?? NEVER_STARTED;
  }

  async coverage(): Promise<CoverageState> {
    // A run that was closed before its first workflow task answers no query.
    await this.startHeir({ drained: false });
    return (await this.#query<CoverageState>(BATCHER.queries.coverage)) ?? [];
  }

  /** Null if the batcher was never started. */
  async #query<Answer>(name: string, ...args: unknown[]): Promise<Answer | null> {
    const handle = this.#client.workflow.getHandle(this.workflowId);
    try {
      const { type } = await this.#withDeadline(() => handle.describe());
      if (type !== BATCHER.workflowType) throw new Error(isOther(this.workflowId, type));
      return await this.#withDeadline(() => handle.query<Answer, unknown[]>(name, ...args));
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  #signal(signal: string, signalInput: Payload[]): Promise<SignalledRun> {
    const request = {
      workflowType: BATCHER.workflowType,
      workflowId: this.workflowId,
      taskQueue: this.#taskQueue,
      workflowTaskTimeoutMs: BATCHER.workflowTaskTimeoutMs,
      input: this.#sealedInput(),
      signal,
      signalInput,
    };
    return this.#counted(
      'signal_with_start',
      this.#withDeadline(() => signalWithStart(this.#client, request)),
    );
  }

  async history(): Promise<HistorySize | null> {
    try {
      const description = await this.#withDeadline(() => this.#client.workflow.getHandle(this.workflowId).describe());
      const { runId, historySize, historyLength, status } = description;
      // A closed run gets no shorter, so its history must not stop the lane. The next signal finds it closed, and an
      // heir is started.
      if (!isOpen(status.name)) return null;
      return { runId, bytes: historySize ?? 0, events: historyLength };
    } catch (error) {
      if (isNotFound(error)) return null;
      throw error;
    }
  }

  async startHeir({ drained }: { drained: boolean }): Promise<BatcherCheck> {
    let dueTask: DueTask | null = null;
    try {
      const handle = this.#client.workflow.getHandle(this.workflowId);
      const { runId, status, raw, type } = await this.#withDeadline(() => handle.describe());
      const isBatcher = type === BATCHER.workflowType;
      if (isOpen(status.name) && !isBatcher) throw new Error(isOther(this.workflowId, type));
      const { attempt, scheduledTime } = raw.pendingWorkflowTask ?? {};
      if (attempt) dueTask = { attempt, scheduledAtMs: Number(scheduledTime?.seconds ?? 0) * 1_000 };
      const isDrained = status.name === 'COMPLETED' && isBatcher;
      if (isOpen(status.name) || (isDrained && !drained)) return { closed: null, dueTask };
      await this.#withDeadline(() =>
        this.#client.workflow.start(BATCHER.workflowType, {
          workflowId: this.workflowId,
          taskQueue: this.#taskQueue,
          workflowTaskTimeout: BATCHER.workflowTaskTimeoutMs,
          args: this.#inputPayloads(runId).map((payload) => RawValue.fromPayload(payload)),
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          workflowIdConflictPolicy: 'FAIL',
        }),
      );
      return { closed: { runId, status: status.name }, dueTask };
    } catch (error) {
      if (!(isNotFound(error) || error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return { closed: null, dueTask };
    }
  }

  taskFailure(): Promise<string> {
    return taskFailureOf(this.#client, this.workflowId, (run) => this.#withDeadline(run));
  }

  /** @param inAnyCase although no key is active */
  #sealed(signal: string, payloads: Payload[], inAnyCase = false): Payload[] {
    const cipher = cipherOf(this.#client);
    if (cipher === undefined || !(cipher.encrypts || inAnyCase)) return payloads;
    return sealedSignal(cipher, this.workflowId, signal, payloads);
  }

  /** What travels encrypted says when it was encrypted: settings, and that they require it. */
  #dated(meta: ChunkMeta): ChunkMeta {
    if (cipherOf(this.#client)?.encrypts !== true) return meta;
    return {
      ...meta,
      ...(meta.settings === undefined ? {} : { settings: dated(meta.settings) }),
      ...(this.#settings().encryption === 'required' ? { requiredAtMs: Date.now() } : {}),
    };
  }

  /** What each signal would start the batcher with. It is encrypted once for all of them, while the settings are the same. */
  #sealedInput(): Payload[] {
    const settings = this.#settings();
    if (this.#lastInput?.settings !== settings) this.#lastInput = { settings, payloads: this.#inputPayloads() };
    return this.#lastInput.payloads;
  }

  #inputPayloads(heirOf?: string): Payload[] {
    const cipher = cipherOf(this.#client);
    const settings = this.#settings();
    const input: BatcherInput = {
      format: BATCHER_FORMAT,
      settings: cipher?.encrypts === true ? dated(settings) : settings,
      ...(heirOf === undefined ? {} : { heirOf }),
    };
    const payloads = payloadsOf(input, NO_BODIES);
    return payloads.map((payload) => cipher?.encrypt(payload, this.workflowId, PURPOSES.input) ?? payload);
  }

  #withDeadline<T>(run: () => Promise<T>): Promise<T> {
    return this.#client.connection.withDeadline(Date.now() + this.#requestTimeoutMs, run);
  }
}

function isOther(workflowId: string, type: string): string {
  return `${workflowId} is a workflow of type ${type}, which somebody has started in place of the batcher: terminate it`;
}

function dated(settings: BatcherSettings): BatcherSettings {
  return { ...settings, sealedAtMs: Date.now() };
}

const NO_BODIES = new Uint8Array(0);

const NEVER_STARTED: EpochStatus = { coveredTo: null, closedAt: null, flushed: true };

/**
 * Every error becomes an outcome. Temporal says INVALID_ARGUMENT for a payload that is too large, for a run that is
 * full, and for what no smaller chunk can help, such as a task queue with too long a name. Only the message tells which
 * (`common.ErrBlobSizeExceedsLimit`, `consts.ErrSignalsLimitExceeded`, `historySizeExceedsLimit` in
 * temporalio/temporal). gRPC itself refuses a message over 4 MiB with RESOURCE_EXHAUSTED.
 *
 * @param bytes of the signal
 */
export function classifySignalError(error: unknown, bytes = 0): SendOutcome {
  const grpcError = grpcErrorOf(error);
  const code = grpcError?.code;
  // A native connection has in `message` what a JavaScript connection has in `details`.
  const message = grpcError === undefined ? String(error) : grpcError.details || grpcError.message;
  if (code === GRPC_STATUS.invalidArgument) {
    if (/limit for signal events/i.test(message) || /history (size|count|length) exceeds/i.test(message)) {
      return { type: 'full', message };
    }
    if (/\b(blob|payloads?|transaction)\b.*\bsize\b.*\bexceed/i.test(message)) return { type: 'tooLarge', message };
  }
  if (code === GRPC_STATUS.alreadyExists) return { type: 'closed' };
  if (code === GRPC_STATUS.resourceExhausted && /larger than max/i.test(message)) return { type: 'tooLarge', message };
  return { type: 'retry', message, bytes };
}
