import { setTimeout as sleep } from 'node:timers/promises';
import type { FlowLimits } from '../../config/config.js';
import { messageOf } from '../../lib/messageOf.js';
import { encodeChunk, type EncodedChunk } from '../../codecs/chunkCodec.js';
import { UnencodableRecordError } from '../../codecs/columns.js';
import { isStub, type KafkaRecord } from '../../protocol/record.js';
import { isOverLimit } from '../../protocol/recordLimit.js';
import { withinPayload } from '../../protocol/payloadLimit.js';
import type { BatcherSettings } from '../../protocol/settings.js';
import type { BatcherClient, ClosedRunInfo } from '../../temporal/batcherClient.js';
import { FlowControl, flowControlLimits, type FlowControlLimits } from '../../temporal/flowControl.js';
import type { Lane, Pack } from './lane.js';
import { LaneStop, type StopCause } from './laneStop.js';

/** What a lane tells its consumer. */
export interface LaneObserver {
  /** @param started whether the batcher's first run was begun for the signal */
  accepted(pack: Pack, signal: { readonly seconds: number; readonly started: boolean }): void;
  notAccepted(outcome: 'retried' | 'refused'): void;
  /** The lane stops or goes on; called on changes only. */
  stopped(cause: StopCause): void;
  resumed(): void;
  /** The lane has stopped in a way that is worth a word; called once a stop. */
  stuck(message: string): void;
  /** The batcher's run had ended; another one goes on in its place. */
  heirStarted(closed: ClosedRunInfo): void;
  /** Puts a record aside that is too large for any signal, or cannot be encoded; once resolved, the lane carries a stub in its place. */
  setAside(pack: Pack): Promise<void>;
}

/**
 * Encoded bytes of a chunk that are always accepted: below the payload limit (2 MiB, `limit.blobSize.error`, or what
 * the namespace says) and below what one batch may have, with room for the metadata.
 */
const BODY_BYTES_MAX = 1_200_000;

const TOO_LARGE = 'it is too large';

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
const REPORT_RETRIES_FROM_MS = 800;
const STOPPED_POLL_MS = 500;
/**
 * Sends a lane's records to its batcher, one signal at a time; what arrives meanwhile goes into the next one.
 *
 *     idle ──records──► lingering ──full or waited──► sending ──accepted──► idle
 *                                                        └──not accepted──► the same chunk again
 *
 * A chunk is repeated until it is accepted or the lane is cleared by a rebalance. Temporal may accept one twice, where an
 * answer was lost; the batcher drops the second.
 */
export class LaneSender {
  readonly #lane: Lane;
  readonly #batcher: BatcherClient;
  readonly #flow: FlowControl;
  readonly #observer: LaneObserver;
  readonly #settings: () => BatcherSettings;
  readonly #flowLimits: FlowLimits;
  #limits: FlowControlLimits;
  readonly #stopping = new AbortController();
  /** What the batcher was told last; null where it has to be told. */
  #settingsSent: BatcherSettings | null = null;
  #lastRunId: string | null = null;
  readonly #stop = new LaneStop();
  #wake: () => void = () => undefined;

  constructor(options: {
    lane: Lane;
    batcher: BatcherClient;
    flow: FlowLimits;
    /** Another object where they have changed. */
    settings: () => BatcherSettings;
    observer: LaneObserver;
  }) {
    this.#lane = options.lane;
    this.#batcher = options.batcher;
    this.#flowLimits = options.flow;
    this.#limits = flowControlLimits(options.flow);
    this.#flow = new FlowControl(this.#limits);
    this.#settings = options.settings;
    this.#observer = options.observer;
  }

  /** Sends until {@link stop} is called. Never rejects: what goes wrong is waited out. */
  async run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const readiness = this.#lane.readiness(performance.now());
      if (readiness.type === 'ready') await this.#sendHead().catch((error: unknown) => this.#waitOut(error));
      else {
        // A rebalance may have cleared the lane while it was stopped: no acceptance would say that it is over.
        this.#resumed();
        await this.#untilWoken(readiness.type === 'linger' ? readiness.waitMs : undefined);
      }
    }
  }

  /** Nothing is sent until something changes: a batcher whose history is full, Temporal away. */
  get isStopped(): boolean {
    return this.#stop.cause !== null;
  }

  /** Records were added to the lane. */
  wake(): void {
    this.#wake();
  }

  /** How many members of the group may send to this batcher, this one included. */
  setMembers(members: number): void {
    this.#limits = flowControlLimits(this.#flowLimits, members);
    this.#flow.limits = this.#limits;
    // Another member may have brought its own meanwhile.
    this.#settingsSent = null;
  }

  /** Ends {@link run} after the signal in flight. What is still queued stays unsent. */
  stop(): void {
    this.#stopping.abort();
    this.#wake();
  }

  /** What nobody has thought of, too: a lane that has ended would hold its partitions for ever. */
  async #waitOut(error: unknown): Promise<void> {
    this.#stopped('temporal', messageOf(error));
    await this.#pause(STOPPED_POLL_MS);
  }

  async #sendHead(): Promise<void> {
    let maxRecords: number | undefined;
    let retryMs = RETRY_MIN_MS;
    let closedRuns = 0;
    let pack: Pack | undefined;
    let chunk: EncodedChunk | undefined;
    while (!this.#stopping.signal.aborted && (pack === undefined ? this.#lane.records > 0 : this.#lane.holds(pack))) {
      if (!(await this.#maySend())) continue;
      if (pack === undefined || chunk === undefined) {
        // Packed only now: a rebalance may have cleared the lane while its history was looked at.
        if (this.#lane.records === 0) return;
        pack = this.#lane.pack(maxRecords, this.#limits.signalBytesMax);
        const encoded = this.#encode(pack);
        if (!('body' in encoded)) {
          ({ maxRecords } = await this.#shrink(pack, encoded.refusal));
          pack = undefined;
          continue;
        }
        chunk = encoded;
      }
      const settings = this.#settings();
      const meta = this.#settingsSent === settings ? chunk.meta : { ...chunk.meta, settings };
      const startedAt = performance.now();
      const outcome = await this.#batcher.send(meta, chunk.body);
      switch (outcome.type) {
        case 'accepted':
          // A run that another member has started may have older settings.
          this.#settingsSent = meta.settings !== undefined || outcome.runId === this.#lastRunId ? settings : null;
          this.#lastRunId = outcome.runId;
          this.#flow.sent(outcome.runId, chunk.body.length);
          this.#resumed();
          this.#lane.accepted(pack);
          this.#observer.accepted(pack, {
            seconds: (performance.now() - startedAt) / 1000,
            started: outcome.started,
          });
          return;
        case 'tooLarge':
          this.#observer.notAccepted('refused');
          ({ maxRecords } = await this.#shrink(pack, TOO_LARGE));
          pack = undefined;
          break;
        case 'full':
          this.#observer.notAccepted('refused');
          this.#flow.refused();
          this.#stopped('history', outcome.message);
          await this.#pause(STOPPED_POLL_MS);
          break;
        case 'closed':
          this.#observer.notAccepted('refused');
          await this.#startHeir();
          // Heirs whose runs are ended as soon as they begin must not follow each other without a pause.
          if (closedRuns++ > 0) {
            await this.#pause(retryMs);
            retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
          }
          break;
        case 'retry':
          this.#observer.notAccepted('retried');
          this.#flow.sent(null, chunk.body.length);
          // A passing hiccup is not worth a word.
          if (retryMs >= REPORT_RETRIES_FROM_MS) this.#stopped('temporal', outcome.message);
          await this.#pause(retryMs * (0.5 + Math.random() / 2));
          retryMs = Math.min(retryMs * 2, RETRY_MAX_MS);
          break;
      }
    }
  }

  /** The chunk, or why no signal can carry it. */
  #encode(pack: Pack): EncodedChunk | { readonly refusal: string } {
    // Several records together have no more than `signal.maxBytes`, which is far less than one may have.
    const [first] = pack.segments;
    if (pack.records === 1 && first?.records.some(isOverLimit) === true) return { refusal: TOO_LARGE };
    try {
      const chunk = encodeChunk(pack.segments);
      const bytesMax = withinPayload(BODY_BYTES_MAX, this.#settings().batch.payloadBytesMax);
      return chunk.body.length > bytesMax ? { refusal: TOO_LARGE } : chunk;
    } catch (error) {
      if (error instanceof UnencodableRecordError) return { refusal: error.message };
      throw error;
    }
  }

  /**
   * After a refusal for what is in a chunk: half the records next time, or a stub in the place of the only one, at last a bare one.
   *
   * @param refusal why the pack cannot be sent
   */
  async #shrink(pack: Pack, refusal: string): Promise<{ maxRecords: number | undefined }> {
    if (pack.records > 1) return { maxRecords: Math.ceil(pack.records / 2) };
    const record = pack.segments[0]?.records[0];
    if (record !== undefined && isBare(record)) {
      // Nothing is left to be taken out of it: what is too large is not the record.
      this.#stopped('temporal', `a signal with one small record cannot be sent: ${refusal}`);
      await this.#pause(RETRY_MAX_MS);
      return { maxRecords: 1 };
    }
    try {
      await this.#observer.setAside(pack);
      return { maxRecords: undefined };
    } catch (error) {
      const message = messageOf(error);
      this.#stopped(
        'deadLetters',
        `a record that no signal can carry cannot be put on the dead-letter topic: ${message}`,
      );
      await this.#pause(RETRY_MAX_MS);
      return { maxRecords: 1 };
    }
  }

  /** Looks at the batcher's history where that is due. False: wait and ask again. */
  async #maySend(): Promise<boolean> {
    if (this.#flow.state === 'open') return true;
    try {
      this.#flow.observe(await this.#batcher.history());
    } catch (error) {
      this.#stopped('temporal', messageOf(error));
      await this.#pause(RETRY_MAX_MS);
      return false;
    }
    // The look may have changed the state; the compiler still sees the one before it.
    if ((this.#flow.state as string) === 'open') return true;
    this.#stopped('history', `the history of ${this.#batcher.workflowId} is at its limit until it continues as new`);
    await this.#pause(STOPPED_POLL_MS);
    return false;
  }

  /** The batcher's run has ended: what it had accepted comes first, then this lane goes on. */
  async #startHeir(): Promise<void> {
    this.#flow.refused();
    try {
      const { closed } = await this.#batcher.startHeir({ drained: true });
      if (closed !== null) this.#observer.heirStarted(closed);
    } catch (error) {
      this.#stopped('closed', messageOf(error));
      await this.#pause(RETRY_MAX_MS);
    }
  }

  #stopped(cause: StopCause, message: string): void {
    if (this.#stop.cause !== cause) {
      this.#resumed();
      this.#observer.stopped(cause);
    }
    if (this.#stop.stop(cause, performance.now())) this.#observer.stuck(message);
  }

  #resumed(): void {
    if (this.#stop.cause === null) return;
    this.#stop.resume();
    this.#observer.resumed();
  }

  async #pause(delayMs: number): Promise<void> {
    // The only rejection of an abortable sleep is the abort, which `run` looks at next.
    await sleep(delayMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }

  async #untilWoken(timeoutMs: number | undefined): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}

/** A stub without key and headers: as small as a record can be. */
function isBare(record: KafkaRecord): boolean {
  return isStub(record) && record.key === null && record.headers.length === 0;
}
