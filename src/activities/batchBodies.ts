import type { BatchSpec } from '../protocol/flush.js';
import type { Metrics } from '../telemetry/metrics.js';
import type { RunHistories } from '../temporal/runHistories.js';

/** Bytes that are kept, at most. A batch has up to 1.4 MB. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/**
 * A batch that was not used for longer was probably inserted by another worker. Its place may go to one that was read
 * from a history. Between two attempts less time passes, also if many wait for their turn in an outage.
 */
const IDLE_MS = 10 * 60_000;

/**
 * A batch that was handed over, and not used for longer, was probably inserted by another worker. If there are more
 * batchers than places, and the oldest batch made room at once, it would always be the one whose insert comes next.
 */
const HANDED_OVER_MS = 30_000;

/** A batch that is stored once. */
type StoredBatch = Pick<BatchSpec, 'pipeline' | 'batcher' | 'id' | 'number' | 'chunks'>;

interface Kept {
  readonly id: string;
  readonly bodies: Uint8Array;
  usedAtMs: number;
}

/**
 * The bodies of batches that are stored once, see `BATCH_FORMATS`. The worker that executes a batcher's workflow is handed
 * each batch before its insert is scheduled, and keeps it, because it may be the one that inserts it. Another worker, or
 * a process that has started since, reads it from the history.
 */
export class BatchBodies {
  readonly #histories: Pick<RunHistories, 'flushing'>;
  readonly #metrics: Pick<Metrics, 'bodyReads'>;
  readonly #now: () => number;
  /** By batcher, which flushes one batch at a time. What was used last is last. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  /** @param now milliseconds, by a clock that is never set back */
  constructor(
    histories: Pick<RunHistories, 'flushing'>,
    metrics: Pick<Metrics, 'bodyReads'>,
    now: () => number = () => performance.now(),
  ) {
    this.#histories = histories;
    this.#metrics = metrics;
    this.#now = now;
  }

  /** Bytes that are kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  has({ batcher, id, chunks }: StoredBatch): boolean {
    const kept = this.#kept.get(batcher);
    return kept?.id === id && kept.bodies.length === chunks.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
  }

  /**
   * Keeps the bodies of a batch whose insert comes next, in place of the batcher's last one. What was not used for half
   * a minute makes room. If that is too little, the new batch is not kept.
   */
  keep(batcher: string, id: string, bodies: Uint8Array): void {
    this.#keep(batcher, id, bodies, HANDED_OVER_MS);
  }

  /**
   * The bodies of a batch. Those that are read from the history are kept for the next attempt, unless all places are in
   * use. If they took the place of others, and there is one batch more than places, each attempt would find its own gone.
   * They do not take the place of a batch of the same batcher that was just handed over: it is a later one, if this is a
   * late attempt.
   *
   * @throws Error if the run does not flush this batch, or Temporal does not answer
   */
  async of(batch: StoredBatch, runId: string): Promise<Uint8Array> {
    const { pipeline, batcher, id } = batch;
    const kept = this.has(batch) ? this.#kept.get(batcher) : undefined;
    if (kept !== undefined) {
      kept.usedAtMs = this.#now();
      this.#kept.delete(batcher);
      this.#kept.set(batcher, kept);
      return kept.bodies;
    }
    this.#metrics.bodyReads.inc({ pipeline });
    const bodies = await this.#histories.flushing(batcher, runId, batch);
    const other = this.#kept.get(batcher);
    if (other === undefined || this.#now() - other.usedAtMs >= HANDED_OVER_MS) this.#keep(batcher, id, bodies, IDLE_MS);
    return bodies;
  }

  /** To be called when a batch is done. The batcher's next one may have been handed over already: it stays. */
  forget({ batcher, id }: Pick<StoredBatch, 'batcher' | 'id'>): void {
    if (this.#kept.get(batcher)?.id === id) this.#remove(batcher);
  }

  /** @param idleMs others make room if they were not used for so long */
  #keep(batcher: string, id: string, bodies: Uint8Array, idleMs: number): void {
    this.#remove(batcher);
    const nowMs = this.#now();
    for (const [oldest, { usedAtMs }] of this.#kept) {
      if (this.#bytes + bodies.length <= KEPT_BYTES_MAX || nowMs - usedAtMs < idleMs) break;
      this.#remove(oldest);
    }
    if (this.#bytes + bodies.length > KEPT_BYTES_MAX) return;
    this.#kept.set(batcher, { id, bodies, usedAtMs: nowMs });
    this.#bytes += bodies.length;
  }

  #remove(batcher: string): void {
    this.#bytes -= this.#kept.get(batcher)?.bodies.length ?? 0;
    this.#kept.delete(batcher);
  }
}
