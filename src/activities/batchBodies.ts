import type { BatchSpec } from '../protocol/flush.js';
import type { RunHistories } from '../temporal/runHistories.js';

/** Bytes that are kept, at most. A batch has up to 1.4 MB. */
const KEPT_BYTES_MAX = 32 * 1024 * 1024;

/** A batch that is stored once. */
type StoredBatch = Pick<BatchSpec, 'batcher' | 'id' | 'chunks'>;

/**
 * The bodies of batches that are stored once, see `BATCH_FORMATS`. The worker that executes a batcher's workflow is handed
 * each batch before its insert is scheduled, and keeps it, because it may be the one that inserts it. Another worker, or
 * a process that has started since, reads it from the history.
 */
export class BatchBodies {
  readonly #histories: Pick<RunHistories, 'flushing'>;
  /** By batcher, which flushes one batch at a time. What was used last is last. */
  readonly #kept = new Map<string, { readonly id: string; readonly bodies: Uint8Array }>();
  #bytes = 0;

  constructor(histories: Pick<RunHistories, 'flushing'>) {
    this.#histories = histories;
  }

  /** Bytes that are kept now. */
  get bytes(): number {
    return this.#bytes;
  }

  has({ batcher, id, chunks }: StoredBatch): boolean {
    const kept = this.#kept.get(batcher);
    return kept?.id === id && kept.bodies.length === chunks.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0);
  }

  /** Keeps the bodies of a batch, in place of the batcher's last one. What was not used for the longest makes room. */
  keep(batcher: string, id: string, bodies: Uint8Array): void {
    this.forget(batcher);
    this.#kept.set(batcher, { id, bodies });
    this.#bytes += bodies.length;
    for (const [oldest] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES_MAX) return;
      this.forget(oldest);
    }
  }

  /**
   * The bodies of a batch. Those that are read from the history are kept for the next attempt.
   *
   * @throws Error if the run does not flush this batch, or Temporal does not answer
   */
  async of(batch: StoredBatch, runId: string): Promise<Uint8Array> {
    const { batcher, id } = batch;
    const kept = this.has(batch) ? this.#kept.get(batcher)?.bodies : undefined;
    const bodies = kept ?? (await this.#histories.flushing(batcher, runId, id));
    this.keep(batcher, id, bodies);
    return bodies;
  }

  /** To be called when a batcher's batch is done. */
  forget(batcher: string): void {
    this.#bytes -= this.#kept.get(batcher)?.bodies.length ?? 0;
    this.#kept.delete(batcher);
  }
}
