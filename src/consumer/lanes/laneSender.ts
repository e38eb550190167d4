import { setTimeout as sleep } from 'node:timers/promises';
import type { FlowLimits } from '../../config/config.js';
import { messageOf } from '../../lib/messageOf.js';
import { encodeChunk, type EncodedChunk } from '../../codecs/chunkCodec.js';
import { UnencodableRecordError } from '../../codecs/encodable.js';
import { chunkBytes, chunkBytesMax, type ChunkMeta } from '../../protocol/chunk.js';
import { isStub, type KafkaRecord, type RecordSource } from '../../protocol/record.js';
import { isOverLimit } from '../../protocol/recordLimit.js';
import { BATCH_BYTES_MAX, CHUNK_BYTES_GOAL, CHUNK_BYTES_MAX, withinPayload } from '../../protocol/payloadLimit.js';
import type { BatcherSettings } from '../../protocol/settings.js';
import type { BatcherClient, ClosedRunInfo, SendOutcome } from '../../temporal/batcherClient.js';
import { FlowControl, flowControlLimits } from '../../temporal/flowControl.js';
import { firstRecord, type Lane, type Pack } from './lane.js';
import { LaneStop, type StopCause } from './laneStop.js';

/** Called by a lane, for its consumer. */
export interface LaneObserver {
  /** @param started whether the signal started the batcher's first run */
  accepted(pack: Pack, signal: { readonly seconds: number; readonly started: boolean }): void;
  notAccepted(outcome: 'retried' | 'refused'): void;
  /** The lane stops, or it is stopped for another cause from now on. Called only on changes. */
  stopped(cause: StopCause): void;
  /** The stop has ended: the batcher has accepted a signal, or a rebalance has emptied the lane. */
  resumed(why: 'accepted' | 'emptied'): void;
  /** The lane has stopped in a way that has to be reported. Called once for each stop. */
  stuck(message: string): void;
  /** The batcher's run had ended. An heir continues. */
  heirStarted(closed: ClosedRunInfo): void;
  /**
   * Sets a record aside that is too large for any signal or cannot be encoded. When it resolves, the lane has a stub in
   * its place.
   */
  setAside(pack: Pack): Promise<void>;
  /** See {@link ReadEpochs.leaderEpochBefore}. */
  leaderEpochBefore(source: RecordSource, offset: number): number | null;
}

const TOO_LARGE = 'it is too large';

const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 5_000;
const REPORT_RETRIES_FROM_MS = 800;
const STOPPED_POLL_MS = 500;

/** With such a pause between two signals of a lane, few of all lanes come during one workflow task. */
const CLOSE_MS = 1_000;

/** Of what flow control allows for a signal. The rest is room for a chunk that packs worse than the last. */
export const SHARE_AIMED_AT = 0.9;

/**
 * Sends a lane's records to its batcher, one signal at a time. What arrives meanwhile goes into the next one.
 *
 *     idle ──records──► lingering ──full or waited──► sending ──accepted──► idle
 *                                                        └──not accepted──► the same chunk again
 *
 * A chunk is repeated until it is accepted, or a rebalance clears the lane. If an answer was lost, Temporal may accept
 * a chunk twice. The batcher drops the second copy.
 */
export class LaneSender {
  readonly #lane: Lane;
  readonly #batcher: BatcherClient;
  readonly #flow: FlowControl;
  readonly #observer: LaneObserver;
  readonly #settings: () => BatcherSettings;
  readonly #flowLimits: FlowLimits;
  readonly #ending = new AbortController();
  /** The settings that the batcher got last. Null if they have to be sent. */
  #settingsSent: BatcherSettings | null = null;
  #lastRunId: string | null = null;
  /** Since when the next signal may become larger: since the last one, or since the group has changed. */
  #growsSinceMs = performance.now();
  readonly #stop = new LaneStop();
  /** Since when the lane lingers, and nothing else keeps it from being sent. Null if it does not. */
  #lingersSinceMs: number | null = null;
  #wake: () => void = () => undefined;

  constructor(options: {
    lane: Lane;
    batcher: BatcherClient;
    flow: FlowLimits;
    /** Returns another object if the settings have changed. */
    settings: () => BatcherSettings;
    observer: LaneObserver;
  }) {
    this.#lane = options.lane;
    this.#batcher = options.batcher;
    this.#flowLimits = options.flow;
    this.#flow = new FlowControl(flowControlLimits(options.flow));
    this.#settings = options.settings;
    this.#observer = options.observer;
  }

  /** Sends until {@link end} is called. Never rejects. After an error it waits and tries again. */
  async run(): Promise<void> {
    while (!this.#ending.signal.aborted) {
      this.#lane.chunkBytesGoal = this.#chunkBytesGoal();
      const nowMs = performance.now();
      const readiness = this.#lane.readiness(nowMs);
      const lingersSinceMs = this.#lingersSinceMs;
      this.#lingersSinceMs = readiness.type === 'linger' ? (lingersSinceMs ?? nowMs) : null;
      if (readiness.type === 'ready') {
        const lingeredMs = lingersSinceMs === null ? 0 : nowMs - lingersSinceMs;
        await this.#sendHead(lingeredMs).catch((error: unknown) => this.#waitOut(error));
      } else {
        // If a rebalance cleared the lane while it was stopped, no acceptance ends the stop.
        this.#resumed('emptied');
        await this.#untilWoken(readiness.type === 'linger' ? readiness.waitMs : undefined);
      }
    }
  }

  /** Tells the sender that records were added to the lane. */
  wake(): void {
    this.#wake();
  }

  /** How many members of the group may send to this batcher, this one included. */
  setMembers(members: number): void {
    this.#flow.limits = flowControlLimits(this.#flowLimits, members);
    // Another member may have sent other settings meanwhile.
    this.#settingsSent = null;
    // After a rebalance all members begin at once.
    this.#growsSinceMs = performance.now();
  }

  /** Ends {@link run} after the signal in flight. What is still queued is not sent. */
  end(): void {
    this.#ending.abort();
    this.#wake();
  }

  /** Waits after an error of any kind, even an unexpected one. A lane that ended would hold its partitions for ever. */
  async #waitOut(error: unknown): Promise<void> {
    this.#stopped('temporal', messageOf(error));
    await this.#pause(STOPPED_POLL_MS);
  }

  /**
   * Sends the head of the queue. Resolves once it is accepted, or the lane no longer holds it.
   *
   * @param lingeredMs how long the lane has lingered until it was ready
   */
  async #sendHead(lingeredMs: number): Promise<void> {
    let maxRecords: number | undefined;
    let head: Head | null = null;
    const delays = new Delays();
    while (!this.#ending.signal.aborted && (head === null ? this.#lane.records > 0 : this.#lane.holds(head.pack))) {
      if (!(await this.#maySend())) continue;
      if (head === null) {
        // Packed only now, because a rebalance may have cleared the lane while the history was read.
        if (this.#lane.records === 0) return;
        // What flow control allows may be less than before the lane was stopped.
        this.#lane.chunkBytesGoal = this.#chunkBytesGoal();
        const pack = this.#lane.pack(maxRecords);
        const chunk = this.#encode(pack);
        if ('refusal' in chunk) {
          ({ maxRecords } = await this.#shrink(pack, chunk.refusal));
          continue;
        }
        head = { pack, chunk };
      }
      const outcome = await this.#signal(head, lingeredMs);
      if (outcome.type === 'accepted') return;
      this.#observer.notAccepted(outcome.type === 'retry' ? 'retried' : 'refused');
      if (outcome.type === 'tooLarge') {
        ({ maxRecords } = await this.#shrink(head.pack, TOO_LARGE));
        head = null;
      } else await this.#waitAfter(outcome, delays);
      // After the stop all lanes go on at once, so its head is packed again, smaller.
      if (outcome.type === 'full') head = null;
    }
  }

  /** Sends one signal. Notes what it tells of the batcher, and the acceptance of its records. */
  async #signal({ pack, chunk }: Head, lingeredMs: number): Promise<SendOutcome> {
    const settings = this.#settings();
    const startedAt = performance.now();
    const meta = {
      ...chunk.meta,
      ...this.#waited(pack, startedAt, lingeredMs),
      ...(this.#settingsSent === settings ? {} : { settings }),
    };
    const outcome = await this.#batcher.send(meta, chunk.body);
    if (outcome.type === 'retry') this.#flow.sent(null, outcome.bytes);
    if (outcome.type !== 'accepted') return outcome;
    const { runId, started, bytes } = outcome;
    // Another member may have started the run with older settings.
    this.#settingsSent = meta.settings !== undefined || runId === this.#lastRunId ? settings : null;
    this.#lastRunId = runId;
    this.#growsSinceMs = performance.now();
    this.#flow.sent(runId, bytes);
    this.#resumed('accepted');
    this.#lane.accepted(pack);
    this.#observer.accepted(pack, { seconds: (performance.now() - startedAt) / 1000, started });
    return outcome;
  }

  /**
   * How long a pack has waited for more records.
   *
   * A full pack tells how long the lane has lingered until it was full, so that its records wait no longer for
   * `batch.maxDelay` than others. In a backlog the lane is full before it can linger. Then it tells nothing, and the
   * batcher gathers full batches. A lane that took more than half of the time to fill tells all of it: the next full
   * pack would come too late for the same batch, and the batcher would only wait for a timer.
   */
  #waited({ lingersSinceMs }: Pack, nowMs: number, lingeredMs: number): Pick<ChunkMeta, 'waitedMs'> {
    const { lingerMaxMs } = this.#lane;
    if (lingersSinceMs !== null) return { waitedMs: Math.round(Math.min(nowMs - lingersSinceMs, lingerMaxMs)) };
    const waitedMs = Math.round(lingeredMs > lingerMaxMs / 2 ? lingerMaxMs : lingeredMs);
    return waitedMs > 0 ? { waitedMs } : {};
  }

  /** Waits before the same chunk is sent again. */
  async #waitAfter(
    outcome: Exclude<SendOutcome, { readonly type: 'accepted' | 'tooLarge' }>,
    delays: Delays,
  ): Promise<void> {
    switch (outcome.type) {
      case 'full':
        this.#flow.refused();
        this.#stopped('history', outcome.message);
        await this.#pause(STOPPED_POLL_MS);
        return;
      case 'closed':
        await this.#startHeir();
        // If each heir is closed as soon as it begins, they must not follow each other without a pause.
        if (delays.closedRuns++ > 0) await this.#pause(delays.next());
        return;
      case 'retry': {
        const delayMs = delays.next();
        // A short problem is not reported.
        if (delayMs >= REPORT_RETRIES_FROM_MS) this.#stopped('temporal', outcome.message);
        await this.#pause(delayMs * (0.5 + Math.random() / 2));
      }
    }
  }

  /** Encodes a pack. Returns the chunk, or why no signal can carry it. */
  #encode(pack: Pack): EncodedChunk | { readonly refusal: string } {
    // Several records together have at most `signal.maxBytes`: 8 MiB, half of the limit of one record.
    const first = pack.records === 1 ? firstRecord(pack) : undefined;
    if (first !== undefined && isOverLimit(first)) return { refusal: TOO_LARGE };
    try {
      const chunk = encodeChunk(
        pack.segments.map((segment) => ({
          ...segment,
          leaderEpoch: this.#observer.leaderEpochBefore(segment.tracker, segment.to + 1),
        })),
      );
      const bytes = chunkBytes(chunk.meta.segments, [], chunk.body.length);
      this.#lane.packed(pack.bytes, bytes);
      // One record is sent in any case: it cannot become smaller.
      const isInShare = pack.records === 1 || bytes <= this.#signalBytesMax;
      return isInShare && this.#fits(chunk) ? chunk : { refusal: TOO_LARGE };
    } catch (error) {
      if (error instanceof UnencodableRecordError) return { refusal: error.message };
      throw error;
    }
  }

  /** How large a full chunk is to become: as large as is best, but within what the payload and flow control allow. */
  #chunkBytesGoal(): number {
    const { payloadBytesMax } = this.#settings().batch;
    return Math.min(withinPayload(CHUNK_BYTES_GOAL, payloadBytesMax), this.#signalBytesMax * SHARE_AIMED_AT);
  }

  /**
   * What flow control allows for the next signal. It grows with the pause since the last one. If it grew at once when the
   * pause is over, a lane whose small signals follow each other faster than that would never send larger ones. It does not
   * grow while the lane is stopped: others were stopped for the same reason, and all go on at once.
   */
  get #signalBytesMax(): number {
    const { signalBytesMax, closeSignalBytesMax } = this.#flow.limits;
    if (this.#stop.cause !== null) return closeSignalBytesMax;
    const share = Math.min(1, (performance.now() - this.#growsSinceMs) / CLOSE_MS);
    return Math.max(closeSignalBytesMax, signalBytesMax * share);
  }

  /**
   * Whether a chunk fits into a signal, and into a batch: Temporal takes a signal whose batch is too large for an
   * activity, and the batcher would be held for ever.
   */
  #fits({ meta: { segments }, body }: EncodedChunk): boolean {
    const { payloadBytesMax } = this.#settings().batch;
    return (
      body.length <= withinPayload(CHUNK_BYTES_MAX, payloadBytesMax) &&
      chunkBytesMax(segments, body.length) <= withinPayload(BATCH_BYTES_MAX, payloadBytesMax)
    );
  }

  /**
   * Makes the next pack smaller after a refusal: first half the records. A single record is replaced by a stub, and the
   * stub by one without key and headers.
   *
   * @param refusal why the pack cannot be sent
   */
  async #shrink(pack: Pack, refusal: string): Promise<{ maxRecords: number | undefined }> {
    if (pack.records > 1) return { maxRecords: Math.ceil(pack.records / 2) };
    const record = firstRecord(pack);
    if (record !== undefined && isBare(record)) {
      // Nothing can be taken out of this record any more, so it is not the record that is too large.
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

  /** Reads the batcher's history if that is due. False: nothing may be sent yet, ask again. */
  async #maySend(): Promise<boolean> {
    if (this.#flow.state === 'open') return true;
    try {
      this.#flow.observe(await this.#batcher.history());
    } catch (error) {
      this.#stopped('temporal', messageOf(error));
      await this.#pause(RETRY_MAX_MS);
      return false;
    }
    // `observe` may have changed the state. The compiler does not know that.
    if ((this.#flow.state as string) === 'open') return true;
    this.#stopped('history', `the history of ${this.#batcher.workflowId} is at its limit until it continues as new`);
    await this.#pause(STOPPED_POLL_MS);
    return false;
  }

  /** The batcher's run has ended. An heir flushes what it had accepted, then this lane continues. */
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
    if (this.#stop.cause !== cause) this.#observer.stopped(cause);
    if (this.#stop.note(cause, performance.now())) this.#observer.stuck(message);
  }

  #resumed(why: 'accepted' | 'emptied'): void {
    if (this.#stop.cause === null) return;
    this.#stop.resume();
    this.#observer.resumed(why);
  }

  async #pause(delayMs: number): Promise<void> {
    // The sleep rejects only if it is aborted, and `run` checks that next.
    await sleep(delayMs, undefined, { signal: this.#ending.signal }).catch(() => undefined);
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

/** The head of the queue, ready to be sent. */
interface Head {
  readonly pack: Pack;
  readonly chunk: EncodedChunk;
}

/** The growing delays of one head of the queue. */
class Delays {
  /** How often the batcher's run had ended. */
  closedRuns = 0;
  #delayMs = RETRY_MIN_MS;

  /** Milliseconds. Twice the last one, up to a limit. */
  next(): number {
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(delayMs * 2, RETRY_MAX_MS);
    return delayMs;
  }
}

/** Whether it is a stub without key and headers, the smallest possible record. */
function isBare(record: KafkaRecord): boolean {
  return isStub(record) && record.key === null && record.headers.length === 0;
}
